"""LiveBench `paraphrase`, `simplify`, `story_generation`, `summarize`: instructions that a program checks.

Source: `livebench/process_results/instruction_following/utils.py`; the checks are IFEval's, strict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import SolverError
from engine.scoring.instructions.checks import judge_instructions


def score(reply: str, question: Mapping[str, Any]) -> float:
    """The mean of the share of instructions followed and of whether all are.

    Raises:
        SolverError: the question names no instruction, or one that is unknown.
    """
    names, arguments = question.get("instruction_id_list"), question.get("kwargs")
    if not names or not isinstance(arguments, list):
        raise SolverError("instruction_following: the question has no instruction", hint="see instruction_id_list")
    followed = judge_instructions(reply.strip(), names, arguments, loosely=False).strict
    return (all(followed) + sum(followed) / len(followed)) / 2
