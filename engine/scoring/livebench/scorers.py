"""A LiveBench question and the reply to it -> the official score, by the question's task.

Source: `livebench/gen_ground_truth_judgment.py`.
Differs: what upstream scores in a container of its own is not scored, see `has_scorer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import SolverError
from engine.scoring.livebench import (
    VERSION,
    amps_hard,
    connections,
    cta,
    house_traversal,
    instruction_following,
    math_comp,
    olympiad,
    plot_unscrambling,
    spatial,
    tablejoin,
    tablereformat,
    typos,
    web_of_lies,
    zebra_puzzle,
)
from engine.scoring.thoughts import spoken

__all__ = ["VERSION", "has_scorer", "score_question"]

Question = Mapping[str, Any]
LISTS_SINCE = "2024-11-25"
"""The release from which zebra_puzzle and connections ask for a list in tags."""
INSTRUCTIONS = ("paraphrase", "simplify", "story_generation", "summarize")
OTHER_INSTRUCTIONS_SINCE = "2025-11-25"
"""The release from which instruction_following asks for instructions of another set, IFBench."""

SCORERS: Mapping[str, Callable[[str, Question], float]] = {
    "amps_hard": lambda reply, question: amps_hard.score(reply, question["ground_truth"]),
    "connections": lambda reply, question: (
        connections.score if _release(question) >= LISTS_SINCE else connections.score_old
    )(reply, question["ground_truth"]),
    "cta": lambda reply, question: cta.score(reply, question["ground_truth"]),
    "house_traversal": lambda reply, question: house_traversal.score(reply, question["ground_truth"]),
    "instruction_following": instruction_following.score,
    "aime": lambda reply, question: math_comp.score_number(reply, question["ground_truth"]),
    "amc": lambda reply, question: math_comp.score_choice(reply, question["ground_truth"], question["turns"][0]),
    "olympiad": lambda reply, question: olympiad.score(reply, question["ground_truth"]),
    "plot_unscrambling": lambda reply, question: plot_unscrambling.score(reply, question["ground_truth"]),
    "spatial": lambda reply, question: spatial.score(reply, question["ground_truth"]),
    "tablejoin": lambda reply, question: tablejoin.score(reply, question["ground_truth"]),
    "tablereformat": lambda reply, question: tablereformat.score(
        reply, question["ground_truth"], question["turns"][0], _release(question)
    ),
    "typos": lambda reply, question: typos.score(reply, question["ground_truth"]),
    "web_of_lies_v2": lambda reply, question: web_of_lies.score(reply, question["ground_truth"]),
    "web_of_lies_v3": lambda reply, question: web_of_lies.score_list(reply, question["ground_truth"]),
    "zebra_puzzle": lambda reply, question: (
        zebra_puzzle.score if _release(question) >= LISTS_SINCE else zebra_puzzle.score_old
    )(reply, question["ground_truth"]),
}


def has_scorer(question: Question) -> bool:
    """Whether the question's task can be scored here: not coding, whose tests run in containers, nor later tasks."""
    return _scorer_name(question) is not None


def score_question(reply: str, question: Question) -> float:
    """The official score of the last reply to a question, in 0-1; may take long for hostile replies.

    Raises:
        SolverError: the question's task has no scorer, or the question lacks what its scorer needs.
    """
    name = _scorer_name(question)
    if name is None:
        raise SolverError(f"LiveBench task {question.get('task')!r} has no scorer here", hint="choose with --task")
    try:
        return float(SCORERS[name](spoken(reply), question))
    except (KeyError, IndexError, AttributeError, TypeError) as error:
        raise SolverError(
            f"LiveBench question {question.get('question_id')!r} is not as its task {name!r} needs it: {error!r:.80}",
            hint="it needs turns and ground_truth",
        ) from error


def _scorer_name(question: Question) -> str | None:
    task, release = str(question.get("task", "")), _release(question)
    subtask = str(question.get("subtask") or task)
    if question.get("category") == "instruction_following" or task in INSTRUCTIONS:
        return "instruction_following" if release < OTHER_INSTRUCTIONS_SINCE else None
    if "amps_hard" in subtask.lower() or "amps_hard" in task.lower():
        return "amps_hard"
    parts = subtask.split("_")
    if parts[0] in ("amc", "smc") or parts[1:2] == ["amc"]:
        return "amc"
    if parts[0] in ("imo", "usamo"):
        return "olympiad"
    if parts[0] == "aime":
        return "aime"
    return subtask if subtask in SCORERS else None


def _release(question: Question) -> str:
    return str(question.get("livebench_release_date") or "")[:10]
