"""Instructions about words, letters, case, commas and language."""

from __future__ import annotations

import re

from engine.scoring.instructions.arguments import Arguments
from engine.scoring.instructions.language import language
from engine.scoring.instructions.sentences import tokens


def has_keywords(text: str, wanted: Arguments) -> bool:
    """Every keyword is there, as a regular expression in any case."""
    return all(_count(word, text, most=1) for word in wanted.words("keywords"))


def lacks_words(text: str, wanted: Arguments) -> bool:
    r"""None of the forbidden words stands between word boundaries, in any case."""
    return not any(_count(rf"\b{word}\b", text, most=1) for word in wanted.words("forbidden_words"))


def repeats_keyword(text: str, wanted: Arguments) -> bool:
    """The keyword comes often, or seldom, enough; within other words too."""
    count = _count(wanted.text("keyword").strip(), text)
    return wanted.holds("relation", count, wanted.number("frequency"))


def repeats_letter(text: str, wanted: Arguments) -> bool:
    """The letter comes often, or seldom, enough, in either case.

    Differs: where the argument is no letter of the Latin alphabet (`#`, `!`) upstream counts a letter drawn at
        random; here that very character is counted.
    """
    count = text.lower().count(wanted.text("letter").strip().lower())
    return wanted.holds("let_relation", count, wanted.number("let_frequency"))


def shouts_words(text: str, wanted: Arguments) -> bool:
    """Words in capitals come often, or seldom, enough; a word with hyphens is one."""
    count = sum(token.isupper() for token in tokens(text))
    return wanted.holds("capital_relation", count, wanted.number("capital_frequency"))


def is_capital_english(text: str, _: Arguments) -> bool:
    """All letters are capitals, and the language is English or cannot be told."""
    return text.isupper() and language(text) in ("en", None)


def is_lowercase_english(text: str, _: Arguments) -> bool:
    """No letter is a capital, and the language is English or cannot be told."""
    return text.islower() and language(text) in ("en", None)


def is_in_language(text: str, wanted: Arguments) -> bool:
    """The language is the one asked for, or cannot be told."""
    return language(text) in (wanted.text("language"), None)


def has_no_comma(text: str, _: Arguments) -> bool:
    """There is no comma."""
    return "," not in text


def _count(pattern: str, text: str, *, most: int | None = None) -> int:
    """How often the pattern is found, up to `most`; a keyword that is no pattern stands for itself."""
    try:
        found = re.compile(pattern, re.IGNORECASE)
    except re.error:
        found = re.compile(re.escape(pattern), re.IGNORECASE)
    count = 0
    for count, _ in enumerate(found.finditer(text), start=1):
        if count == most:
            break
    return count
