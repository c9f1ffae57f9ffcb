"""Instructions about how many words, sentences and paragraphs there are."""

from __future__ import annotations

import re

from engine.scoring.instructions.arguments import Arguments
from engine.scoring.instructions.sentences import sentences

WORD = re.compile(r"\w+")
DIVIDER = re.compile(r"\s?\*\*\*\s?")
WORD_END = re.compile(r"[.,?!'\"]")


def counts_words(text: str, wanted: Arguments) -> bool:
    """Enough words, or few enough."""
    return wanted.holds("relation", sum(1 for _ in WORD.finditer(text)), wanted.number("num_words"))


def counts_sentences(text: str, wanted: Arguments) -> bool:
    """Enough sentences, or few enough."""
    return wanted.holds("relation", len(sentences(text)), wanted.number("num_sentences"))


def counts_paragraphs(text: str, wanted: Arguments) -> bool:
    """As many paragraphs between `***` as asked for; one that is empty may only be the first or the last."""
    paragraphs = DIVIDER.split(text)
    inner = paragraphs[1:-1]
    if not all(paragraph.strip() for paragraph in inner):
        return False
    return sum(bool(paragraph.strip()) for paragraph in paragraphs) == wanted.number("num_paragraphs")


def starts_paragraph(text: str, wanted: Arguments) -> bool:
    """As many paragraphs between empty lines as asked for, and the n-th begins with the word."""
    paragraphs = text.split("\n\n")
    count = sum(bool(paragraph.strip()) for paragraph in paragraphs)
    nth = wanted.number("nth_paragraph")
    if not 1 <= nth <= count or count != wanted.number("num_paragraphs"):
        return False
    words = paragraphs[nth - 1].split(None, 1)
    if not words:
        return False
    first = words[0].lstrip("'").lstrip('"')
    return WORD_END.split(first, maxsplit=1)[0].lower() == wanted.text("first_word").lower()
