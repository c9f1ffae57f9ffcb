"""How far the words of an answer are those of the reference: F1 over bags of words, and DROP's over several spans."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from engine.scoring.exact import normalise
from engine.scoring.verdict import UNREAD, Verdict

VERSION = 2
LONGEST = 2000
"""Characters of an answer that are shown."""
REACH = 100_000
"""Characters of an answer that are looked at; no reply about a passage is nearly as long."""
PUNCTUATION = str.maketrans("", "", string.punctuation)
ARTICLE = re.compile(r"\b(?:a|an|the)\b")


def token_f1(given: str, wanted: str, *, ignore_articles: bool = True) -> float:
    """The harmonic mean of precision and recall over words, in 0-1, each word as often as it comes.

    Case and punctuation are ignored; two texts without words are equal.

    Source: SQuAD 1.1 (Rajpurkar et al. 2016, arXiv 1606.05250), `evaluate-v1.1.py`.
    Differs: as `normalise` does.
    """
    bags = [
        Counter(normalise(text, ignore_case=True, ignore_punctuation=True, ignore_articles=ignore_articles).split())
        for text in (given[:REACH], wanted)
    ]
    if not bags[0] or not bags[1]:
        return float(bags[0] == bags[1])
    shared = (bags[0] & bags[1]).total()
    return 2 * shared / (bags[0].total() + bags[1].total())


def drop_scores(given: Sequence[str], wanted: Sequence[str]) -> tuple[float, float]:
    """Exact match and F1, both in 0-1, of answered spans against the spans of one reference answer.

    Spans are matched one to one so that the sum of F1 is greatest; a span with numbers scores 0 against one
    that has none of them.

    F1 has two decimals, as it is published.

    Source: DROP (Dua et al. 2019, arXiv 1903.00161), `allennlp-reading-comprehension`, `drop_eval.py`.
    """
    ours = [_drop_words(span[:REACH]) for span in given]
    theirs = [_drop_words(span) for span in wanted]
    exact = float(set(ours) == set(theirs) and len(ours) == len(theirs))
    table = [[_bag_f1(set(one.split()), set(other.split())) for one in ours] for other in theirs]
    return exact, round(100 * _best_sum(table) / max(len(ours), len(theirs), 1)) / 100


def judge(text: str, target: str) -> Verdict:
    """The F1 over words of the whole reply and the target; a blank reply is no answer."""
    answer = text.strip()
    return Verdict(token_f1(answer, target), answer=answer[:LONGEST]) if answer else UNREAD


def _drop_words(span: str) -> str:
    """A span as DROP compares it: lower case, numbers as floats, no punctuation, articles or extra blanks."""
    parts = []
    for token in re.split(r"[ -]", span):
        word = token.lower()
        word = word if _is_number(word) else word.translate(PUNCTUATION)
        word = str(float(word)) if _is_number(word) else word
        parts.append(" ".join(ARTICLE.sub(" ", word).split()))
    return " ".join(part for part in parts if part)


def _bag_f1(given: set[str], wanted: set[str]) -> float:
    numbers = {word for word in wanted if _is_number(word)}
    if numbers and not numbers & given:
        return 0.0
    shared = len(given & wanted)
    precision = shared / len(given) if given else 1.0
    recall = shared / len(wanted) if wanted else 1.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _best_sum(table: list[list[float]]) -> float:
    """The greatest sum of entries with no two in one row or column."""
    if len(table) == 1 or not table or not table[0]:
        return max(table[0], default=0.0) if table else 0.0
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(sum(table[row][column] for row, column in zip(rows, columns, strict=True)))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
