"""Whether a reply is the target: equal after white space around both is gone, or after more where asked for."""

from __future__ import annotations

import re
import unicodedata

from engine.scoring.verdict import UNREAD, Verdict

VERSION = 1
ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normalise(
    text: str, *, ignore_case: bool = False, ignore_punctuation: bool = False, ignore_articles: bool = False
) -> str:
    """The text without white space around it, and without what is to be ignored.

    Punctuation is every character of a Unicode category P and S; articles are the English a, an and the, in
    any case. Where punctuation or articles go, runs of white space become one blank.

    Source: with all three options, the normalisation of SQuAD 1.1 (Rajpurkar et al. 2016, arXiv 1606.05250).
    Differs: SQuAD removes ASCII punctuation only.
    """
    text = text.strip()
    if ignore_case:
        text = text.casefold()
    if ignore_punctuation:
        text = "".join(c for c in text if unicodedata.category(c)[0] not in "PS")
    if ignore_articles:
        text = (ARTICLES if ignore_case else re.compile(ARTICLES.pattern, re.IGNORECASE)).sub(" ", text)
    return " ".join(text.split()) if ignore_punctuation or ignore_articles else text


def same_text(
    text: str,
    target: str,
    *,
    ignore_case: bool = False,
    ignore_punctuation: bool = False,
    ignore_articles: bool = False,
) -> bool:
    """Whether both are equal once normalised alike; see `normalise`."""
    wanted = normalise(
        target, ignore_case=ignore_case, ignore_punctuation=ignore_punctuation, ignore_articles=ignore_articles
    )
    given = normalise(
        text, ignore_case=ignore_case, ignore_punctuation=ignore_punctuation, ignore_articles=ignore_articles
    )
    return given == wanted


def judge(text: str, target: str) -> Verdict:
    """1 where the reply is the target, white space around both aside; a blank reply is no answer.

    Source: exact match of BIG-Bench Hard (Suzgun et al. 2022, arXiv 2210.09261).
    """
    answer = text.strip()
    return Verdict(float(answer == target.strip()), answer=answer) if answer else UNREAD
