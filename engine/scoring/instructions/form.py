"""Instructions about the form of a reply: titles, lists, sections, JSON, how it begins and ends."""

from __future__ import annotations

import json
import re

from engine.scoring.instructions.arguments import Arguments

STARRED = re.compile(r"^\s*\*[^\*].*$", re.MULTILINE)
DASHED = re.compile(r"^\s*-.*$", re.MULTILINE)
HIGHLIGHTS = (re.compile(r"\*([^\n\*]*)\*"), re.compile(r"\*\*([^\n\*]*)\*\*"))
POSTSCRIPTS = {"P.S.": r"p\.\s?s\.", "P.P.S": r"p\.\s?p\.\s?s"}
FENCES = ("```json", "```Json", "```JSON", "```")
OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
RESPONSES = "******"


def has_title(text: str, _: Arguments) -> bool:
    """There is a title in double angular brackets with something in it."""
    return any(_title(line).lstrip("<").rstrip(">").strip() for line in text.split("\n"))


def _title(line: str) -> str:
    """From the first brackets that open to the last that close; a search by pattern takes too long, as below."""
    begin, end = line.find("<<"), line.rfind(">>")
    return line[begin : end + 2] if 0 <= begin < end - 2 else ""


def has_placeholders(text: str, wanted: Arguments) -> bool:
    """At least so many placeholders in square brackets."""
    return sum(map(_placeholders, text.split("\n"))) >= wanted.number("num_placeholders")


def _placeholders(line: str) -> int:
    """Brackets that open and close on the line; a search by pattern takes too long where many open and none closes."""
    count, end = 0, -1
    while (begin := line.find("[", end + 1)) >= 0 and (end := line.find("]", begin)) >= 0:
        count += 1
    return count


def has_bullets(text: str, wanted: Arguments) -> bool:
    """Exactly so many lines that begin with a star or a dash."""
    return len(STARRED.findall(text)) + len(DASHED.findall(text)) == wanted.number("num_bullets")


def has_highlights(text: str, wanted: Arguments) -> bool:
    """At least so many pieces between stars; one between double stars counts for itself."""
    count = sum(bool(inner.strip()) for pattern in HIGHLIGHTS for inner in pattern.findall(text))
    return count >= wanted.number("num_highlights")


def has_sections(text: str, wanted: Arguments) -> bool:
    """At least so many sections that begin with the word and a number."""
    marker = re.compile(rf"\s?{wanted.text('section_spliter').strip()}\s?\d+\s?")
    return sum(1 for _ in marker.finditer(text)) >= wanted.number("num_sections")


def has_postscript(text: str, wanted: Arguments) -> bool:
    """A postscript begins with the marker, in any case."""
    marker = wanted.text("postscript_marker").strip()
    return re.search(POSTSCRIPTS.get(marker, marker.lower()), text.lower()) is not None


def is_json(text: str, _: Arguments) -> bool:
    """All of it is JSON, a Markdown fence around it aside."""
    inner = text.strip()
    for fence in FENCES:
        inner = inner.removeprefix(fence)
    try:
        json.loads(inner.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def is_an_option(text: str, _: Arguments) -> bool:
    """One of the three allowed answers is in it."""
    return any(option in text for option in OPTIONS)


def has_two_responses(text: str, _: Arguments) -> bool:
    """Two different responses between six stars; one that is empty may only be the first or the last."""
    responses = [response.strip() for response in text.split(RESPONSES)]
    if not all(responses[1:-1]):
        return False
    given = [response for response in responses if response]
    return len(given) == 2 and given[0] != given[1]


def repeats_prompt(text: str, wanted: Arguments) -> bool:
    """It begins with the request, in any case."""
    return text.strip().lower().startswith(wanted.text("prompt_to_repeat").strip().lower())


def ends_with(text: str, wanted: Arguments) -> bool:
    """It ends with the phrase, in any case, double quotes behind it aside."""
    return text.strip().strip('"').lower().endswith(wanted.text("end_phrase").strip().lower())


def is_quoted(text: str, _: Arguments) -> bool:
    """It stands in double quotes."""
    inner = text.strip()
    return len(inner) > 1 and inner[0] == inner[-1] == '"'
