"""Whether a regular expression, given as the target, is found in a reply."""

from __future__ import annotations

from engine.errors import SolverError
from engine.scoring.verdict import Verdict

VERSION = 1
TIMEOUT_S = 1.0
"""How long one search may take; a pattern that backtracks without end must not hold up a run."""


def extract_pattern(text: str, pattern: str, *, timeout_s: float = TIMEOUT_S) -> str | None:
    """The first group of the first match, or all of it where the pattern has no group; None without a match.

    A first group that took no part in the match gives the empty string. Syntax is that of the `regex`
    library, which is that of `re` and more; flags go inside, as in `(?i)yes`.

    Raises:
        SolverError: the pattern is not a regular expression, or the search took longer than `timeout_s`.
    """
    import regex  # type: ignore[import-untyped]

    try:
        match = regex.search(pattern, text, timeout=timeout_s, concurrent=True)
    except regex.error as error:
        raise SolverError(
            f"scorer 'pattern': {pattern!r} is no regular expression: {error}", hint="mend the pattern"
        ) from error
    except TimeoutError as error:
        raise SolverError(
            f"scorer 'pattern': {pattern!r} took more than {timeout_s:g} s on a reply of {len(text)} characters",
            hint="avoid repeats within repeats, as in (a+)+",
        ) from error
    if match is None:
        return None
    return (match[1] or "") if match.re.groups else match[0]


def judge(text: str, target: str) -> Verdict:
    """1 where the target, a regular expression, is found anywhere in the reply; anchor it with `^` and `$`."""
    found = extract_pattern(text, target)
    return Verdict(0.0) if found is None else Verdict(1.0, answer=found)
