"""The names of the figures that the engine records of every run, and what a solver's figure of such a name becomes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

FIGURES = frozenset(
    {
        *("score_answered", "unscored", "unanswered", "n"),
        *("refused", "truncated", "empty", "unparsed", "errored", "skipped"),
        *("cost_usd", "paid_usd", "cost_per_task_usd", "cost_per_correct_usd"),
        *("input_tokens", "output_tokens", "output_tokens_per_task"),
        *("duration_p50_s", "duration_p95_s", "latency_p50_s", "latency_p95_s"),
    }
)
"""What stands behind the evaluation's name in each of them, as in `gsm8k/cost_usd`."""
OWN = "own_"


def own_names(names: Sequence[str], taken: Collection[str]) -> dict[str, str]:
    """A name for each of a solver's figures beside figures with the names `taken`: its own, else with `own_` before it.

    No two are the same.
    """
    found = {name: name for name in names if name not in taken}
    for name in names:
        if name in taken:
            new = OWN + name
            while new in taken or new in found.values():
                new = OWN + new
            found[name] = new
    return found
