"""Whether the target stands in a reply."""

from __future__ import annotations

from engine.errors import SolverError
from engine.scoring.verdict import Verdict

VERSION = 1


def includes(text: str, target: str, *, ignore_case: bool = True, whole_words: bool = True) -> bool:
    """Whether `target`, white space around it aside, is part of `text`.

    With `whole_words` a letter or digit of the target's ends may not touch another: 5 is not in 15.

    Raises:
        SolverError: the target is blank, which every text includes.
    """
    wanted = target.strip()
    if not wanted:
        raise SolverError(f"scorer 'includes': the target is {target!r}", hint="a target needs some text")
    if ignore_case:
        text, wanted = text.casefold(), wanted.casefold()
    at = text.find(wanted)
    while at >= 0:
        if not whole_words or _stands_alone(text, at, at + len(wanted)):
            return True
        at = text.find(wanted, at + 1)
    return False


def judge(text: str, target: str) -> Verdict:
    """1 where the target stands in the reply as whole words, in any case.

    Source: `includes` of Inspect (inspect_ai.scorer).
    Differs: whole words only, so that the target 5 is not found in 15.
    """
    return Verdict(1.0, answer=target.strip()) if includes(text, target) else Verdict(0.0)


def _stands_alone(text: str, start: int, end: int) -> bool:
    before = start > 0 and text[start].isalnum() and text[start - 1].isalnum()
    after = end < len(text) and text[end - 1].isalnum() and text[end].isalnum()
    return not before and not after
