"""Which letter a reply to a multiple-choice question chooses."""

from __future__ import annotations

import re
from functools import lru_cache

from engine.errors import SolverError
from engine.scoring.verdict import UNREAD, Verdict

VERSION = 3
LETTERS = "ABCDEFGHIJ"
REACH = 100_000
"""Characters at either end of a reply that are looked at; no reply to a question is nearly as long."""
BOXED = r"\\boxed\{{\s*(?:\\(?:text|textbf|mathrm|mathbf)\{{\s*)?\(?([{letters}])\b"
STATED = (
    r"(?i:\b(?:answer|(?:correct|right|best|final)[ \t]+(?:choice|option))(?:[ \t]+(?:is|would[ \t]+be)\b)?)"
    r"[\s:*_]{{0,8}}(?i:(?:option|choice)[ \t]+)?[\s*_`'\"$]{{0,8}}"
    r"(?:[(\[]([{letters}{lower}])[)\]]|(?!{article})([{letters}])(?![\w'\u2019])|([{lower}])(?=[).*_]*[ \t]*$))"
)
LEADING = r"\A[\s*_`\"']*[(\[]?([{letters}])(?:[)\].:*]|\s*\Z)"
MARKED = r"(?:[(\[]|\*\*)([{letters}])(?=[)\].:*])"
ALONE = r"(?<![\w'\u2019])(?:(?![AI])[{letters}]|[AI](?=[ \t]*(?:[).:,]|$)))(?![\w'\u2019])"
FIRST = r"\A[\s*_`\"'$(\[]*(?!{article})([{letters}])(?![\w'\u2019])"
LONE = r"\A[\s*_`\"'$(\[]*([{letters}{lower}])[)\].:*_`\"'$]*[ \t]*(?:\n|\Z)"
CONCLUDED = (
    r"(?i:\banswer(?:[ \t]+is\b[ \t]*:?|[*_]*[ \t]*:))[\s*_`'\"$]{{0,8}}(?i:(?:option|choice)[ \t]+)?"
    r"(?:[(\[]([{letters}])[)\]]|(?!{article})([{letters}])(?![\w'\u2019]))"
)
NEXT = re.compile(r"\n[ \t]*(?:Question|Q)\b|\n[(]?A[.):]")
WIDE = {ord("\N{FULLWIDTH LATIN CAPITAL LETTER A}") + at: chr(ord("A") + at) for at in range(26)}
AFTER_LETTER = "because|since|as|and|which|for|due|with|is"
AFTER_A = f"{AFTER_LETTER}|was|would|or|but|not|that|if|in|on|by|based|given|rather|according"
"""Words before which A is no article, as I is no pronoun before the ones above."""
ARTICLE = rf"(?:A[ \t]+(?!(?:{AFTER_A})\b)|I[ \t]+(?!(?:{AFTER_LETTER})\b))[a-z]"
RUN_ON = re.compile(r"\n[ \t]*(?:Question|Q)[ \t]*\d*[ \t]*:")


def extract_choice(text: str, letters: str = LETTERS) -> str | None:
    r"""The letter that the reply chooses, in upper case; None where it chooses none.

    By priority: the last `\boxed{X}`, the last statement ("the answer is X", "Answer: (X)"), a
    reply that begins with the letter, the last letter in brackets or bold, the last letter standing alone,
    where the words A and I do not count.

    Differs: stricter than the published rule of MMLU-Pro (`extract_mmlu_pro`), which reads B from "the
    answer is Both", A from "a cat. A dog", and the first of several statements rather than the last.
    """
    rules = _rules(letters)
    text = _plain(text)
    if stated := extract_stated(text, letters):
        return stated
    if leading := rules[2].match(text) or rules[6].fullmatch(text):
        return leading[1].upper()
    for rule in rules[3:5]:
        if found := rule.findall(text):
            return str(found[-1])
    return None


def extract_stated(text: str, letters: str = LETTERS) -> str | None:
    r"""The same, but None where the letter is neither boxed nor stated as the answer: for replies that were cut.

    A model that states an answer and goes on to a next question is not followed.
    """
    text = _plain(text)
    own = RUN_ON.split(text, maxsplit=1)[0]
    return _stated(own, letters) or (_stated(text, letters) if len(own) < len(text) else None)


def _stated(text: str, letters: str) -> str | None:
    for rule in _rules(letters)[:2]:
        if found := rule.findall(text):
            last = found[-1]
            return (last if isinstance(last, str) else next(filter(None, last))).upper()
    return None


def extract_first(text: str, letters: str = LETTERS) -> str | None:
    """The letter that the reply begins with, else as `extract_choice`: where a prompt ends with "Answer:".

    What a model says after a letter on a line of its own, a next question for example, is not looked at. A letter
    that begins a sentence ("C. elegans is a worm") yields to an answer that is stated later, in the same question.
    """
    rules = _rules(letters)
    text = _plain(text)
    if lone := rules[6].match(text):
        return lone[1].upper()
    first = rules[5].match(text)
    if first is None:
        return extract_choice(text, letters)
    concluded = rules[7].findall(NEXT.split(text[:REACH], maxsplit=1)[0])
    return next(filter(None, concluded[-1])) if concluded else first[1]


def extract_mmlu_pro(text: str, letters: str = LETTERS) -> str | None:
    """The letter by the published rule of MMLU-Pro; None where it finds none.

    The first `answer is (X)`, brackets optional; else `answer: X`, the last on the first line that has one;
    else the last letter standing alone.

    Source: `evaluate_from_local.py` of MMLU-Pro (Wang et al. 2024, arXiv 2406.01574).
    Differs: where nothing is found upstream guesses at random; a guess is not an answer. Time is linear in
        the length of the reply.
    """
    stated, labelled, alone = _published(letters)
    if match := stated.search(text):
        return match[1]
    if found := _last_on_first_line(labelled, text):
        return found
    letters_alone = alone.findall(text)
    return letters_alone[-1] if letters_alone else None


def judge(text: str, target: str) -> Verdict:
    """1 where the reply chooses the target, a letter from A to Z with or without brackets.

    Letters up to J, or up to the target's where it is later, are understood as choices.

    Raises:
        SolverError: the target is no letter.
    """
    wanted = target.strip().strip("()[].").upper()
    if len(wanted) != 1 or not "A" <= wanted <= "Z":
        raise SolverError(f"scorer 'choice': the target is {target!r}", hint="a target is one letter, as B or (B)")
    answer = extract_choice(text, "".join(map(chr, range(ord("A"), max(ord("J"), ord(wanted)) + 1))))
    return UNREAD if answer is None else Verdict(float(answer == wanted), answer=answer)


def _last_on_first_line(labelled: re.Pattern[str], text: str) -> str | None:
    first = labelled.search(text)
    if first is None:
        return None
    end = text.find("\n", first.start())
    found = first[1]
    for match in labelled.finditer(text, first.end()):
        if 0 <= end < match.start():
            break
        found = match[1]
    return found


def _plain(text: str) -> str:
    """The text with wide letters as narrow ones; of one far too long, its two ends."""
    text = text if len(text) <= 2 * REACH else f"{text[:REACH]}\n{text[-REACH:]}"
    return text if text.isascii() else text.translate(WIDE)


RULES = (BOXED, STATED, LEADING, MARKED, ALONE, FIRST, LONE, CONCLUDED)


@lru_cache(maxsize=64)
def _rules(letters: str) -> tuple[re.Pattern[str], ...]:
    given = {"letters": re.escape(letters), "lower": re.escape(letters.lower()), "article": ARTICLE}
    return tuple(re.compile(rule.format(**given), re.MULTILINE) for rule in RULES)


@lru_cache(maxsize=64)
def _published(letters: str) -> tuple[re.Pattern[str], ...]:
    one = f"[{re.escape(letters)}]"
    return (
        re.compile(rf"answer is \(?({one})\)?"),
        re.compile(rf"[aA]nswer:\s*({one})"),
        re.compile(rf"\b{one}\b"),
    )
