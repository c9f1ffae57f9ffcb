"""A reply and the instructions of its prompt -> which of them it follows, strictly and loosely.

Source: Zhou et al. 2023, arXiv 2311.07911, section 2.2, and google-research `instruction_following_eval`.
Differs: sentences and tokens are split without a learned model and languages told with a fixed seed, see
    `sentences` and `language`; a missing argument is an error in place of one drawn at random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import SolverError
from engine.scoring.instructions import VERSION, form, length, wording
from engine.scoring.instructions.arguments import Arguments

__all__ = ["CHECKS", "VERSION", "Followed", "judge_instructions", "variants"]

Check = Callable[[str, Arguments], bool]

CHECKS: Mapping[str, Check] = {
    "change_case:capital_word_frequency": wording.shouts_words,
    "change_case:english_capital": wording.is_capital_english,
    "change_case:english_lowercase": wording.is_lowercase_english,
    "combination:repeat_prompt": form.repeats_prompt,
    "combination:two_responses": form.has_two_responses,
    "detectable_content:number_placeholders": form.has_placeholders,
    "detectable_content:postscript": form.has_postscript,
    "detectable_format:constrained_response": form.is_an_option,
    "detectable_format:json_format": form.is_json,
    "detectable_format:multiple_sections": form.has_sections,
    "detectable_format:number_bullet_lists": form.has_bullets,
    "detectable_format:number_highlighted_sections": form.has_highlights,
    "detectable_format:title": form.has_title,
    "keywords:existence": wording.has_keywords,
    "keywords:forbidden_words": wording.lacks_words,
    "keywords:frequency": wording.repeats_keyword,
    "keywords:letter_frequency": wording.repeats_letter,
    "language:response_language": wording.is_in_language,
    "length_constraints:nth_paragraph_first_word": length.starts_paragraph,
    "length_constraints:number_paragraphs": length.counts_paragraphs,
    "length_constraints:number_sentences": length.counts_sentences,
    "length_constraints:number_words": length.counts_words,
    "punctuation:no_comma": wording.has_no_comma,
    "startend:end_checker": form.ends_with,
    "startend:quotation": form.is_quoted,
}


@dataclass(frozen=True, slots=True)
class Followed:
    """Which instructions a reply follows, in their order; what it follows strictly it follows loosely."""

    strict: tuple[bool, ...]
    loose: tuple[bool, ...]


def judge_instructions(
    text: str, instructions: Sequence[str], arguments: Sequence[Mapping[str, Any]], *, loosely: bool = True
) -> Followed:
    """Which of the instructions the reply follows, one verdict each.

    An empty reply follows none. Loosely is in any of the eight published variants of the reply, see `variants`.

    Args:
        text: the reply.
        instructions: names, as `punctuation:no_comma`.
        arguments: of each instruction, by name; those that are null count as missing.
        loosely: False saves the work; `loose` is then as `strict`.

    Raises:
        SolverError: an instruction is unknown, or lacks an argument.
    """
    if len(instructions) != len(arguments):
        raise SolverError(
            f"{len(instructions)} instructions come with arguments for {len(arguments)}",
            hint="a row has as many kwargs as it has entries in instruction_id_list",
        )
    asked = [(_check(name), Arguments(name, given)) for name, given in zip(instructions, arguments, strict=True)]
    strict = tuple(bool(text.strip()) and check(text, given) for check, given in asked)
    if not loosely or all(strict):
        return Followed(strict, strict)
    others = [variant for variant in variants(text)[1:] if variant.strip()]
    loose = tuple(
        done or any(check(other, given) for other in others) for done, (check, given) in zip(strict, asked, strict=True)
    )
    return Followed(strict, loose)


def variants(text: str) -> list[str]:
    """The reply, and it without stars, without its first line, its last line, or both; equal ones once."""
    lines = text.split("\n")
    cut = [text, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return list(dict.fromkeys([*cut, *(each.replace("*", "") for each in cut)]))


def _check(name: str) -> Check:
    if name not in CHECKS:
        raise SolverError(f"there is no instruction {name!r}", hint=f"known: {', '.join(CHECKS)}")
    return CHECKS[name]
