"""Each kind of instruction is checked by its published rule, strictly and loosely."""

from __future__ import annotations

import gzip
import json

import pytest

from engine.errors import SolverError
from engine.scoring.instructions.checks import CHECKS, Followed, judge_instructions, variants

FRENCH = "Le renard brun saute par-dessus le chien paresseux, et personne ne sait pourquoi il fait cela."
CAPITALS = {"capital_frequency": 2, "capital_relation": "at least"}
SECTIONS = {"section_spliter": "SECTION", "num_sections": 2}
RARELY = {"letter": "q", "let_frequency": 2, "let_relation": "less than"}
SECOND = {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Then"}
HASHES = {"letter": "#", "let_frequency": 2, "let_relation": "at least"}
TWICE = {"keyword": "cat ", "frequency": 2, "relation": "at least"}
CASES = [
    ("change_case:capital_word_frequency", CAPITALS, "NASA's A-B", "Ok"),
    ("change_case:english_capital", {}, "THE WEATHER IS FINE TODAY, ISN'T IT?", "The weather is fine"),
    ("change_case:english_lowercase", {}, "the weather is fine today, isn't it?", "The weather is fine"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say it. "}, "\nsay it. Yes.", "Yes. Say it."),
    ("combination:two_responses", {}, "one ****** two ******", "one ****** one"),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[a[b] and [c]", "[a] and [\n]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye.\nP. S. More", "Bye. PS more"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "p.p.s it is", "p.s. it is"),
    ("detectable_format:constrained_response", {}, "My answer is maybe. Or not.", "my answer is maybe."),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{'a': 1}"),
    ("detectable_format:multiple_sections", SECTIONS, "SECTION 1 a SECTION2 b", "SECTION 1"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* one\n- two\n**three**", "* one\n* two\n* three"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*one* **two**", "*one* ** **"),
    ("detectable_format:title", {}, "<<Poem>>\n...", "<< >> <Poem>"),
    ("keywords:existence", {"keywords": ["Cat", "dog"]}, "Dogs and cats", "a cat"),
    ("keywords:forbidden_words", {"forbidden_words": ["cat"]}, "Cats", "a CAT."),
    ("keywords:frequency", TWICE, "Cats and a tomcat", "cat"),
    ("keywords:letter_frequency", RARELY, "Quiet", "Quiet quail"),
    ("keywords:letter_frequency", HASHES, "#a #b", "#a"),
    ("language:response_language", {"language": "fr"}, FRENCH, "The weather is fine today, is it not?"),
    ("length_constraints:nth_paragraph_first_word", SECOND, "A b.\n\n'then, c.", "A b.\n\nNow then."),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "***\none\n***\ntwo", "one *** *** two"),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "at least"}, "One. Two!", "Mr. Pym?"),
    ("length_constraints:number_words", {"num_words": 3, "relation": "less than"}, "well-known", "it's not"),
    ("punctuation:no_comma", {}, "no; none", "no, none"),
    ("startend:end_checker", {"end_phrase": "The End."}, '"So it is. the end."', "The End. Bye."),
    ("startend:quotation", {}, ' "quoted" \n', '"'),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "follows", "fails"), CASES, ids=[case[0] for case in CASES])
def test_a_reply_that_follows_is_told_from_one_that_does_not(name, arguments, follows, fails):
    assert judge_instructions(follows, [name], [arguments]).strict == (True,)
    assert judge_instructions(fails, [name], [arguments]).strict == (False,)


def test_every_kind_of_instruction_has_a_case():
    assert {case[0] for case in CASES} == set(CHECKS)
    assert len(CHECKS) == 25


def test_each_instruction_gets_a_verdict_of_its_own_in_their_order():
    followed = judge_instructions("No, never.", ["punctuation:no_comma", "startend:quotation"], [{}, {}])
    assert followed == Followed((False, False), (False, False))


def test_loosely_the_first_and_last_line_and_stars_may_go():
    text = 'Sure, here it is:\n"*Quoted*"\nBye, now'
    names = ["punctuation:no_comma", "startend:quotation", "detectable_format:number_highlighted_sections"]
    followed = judge_instructions(text, names, [{}, {}, {"num_highlights": 2}])
    assert followed == Followed((False, False, False), (True, True, False))


def test_a_reply_has_eight_variants_and_equal_ones_come_once():
    assert variants("a *1*\nb\nc") == ["a *1*\nb\nc", "b\nc", "a *1*\nb", "b", "a 1\nb\nc", "a 1\nb"]


def test_an_empty_reply_follows_nothing():
    assert judge_instructions(" \n", ["punctuation:no_comma"], [{}]) == Followed((False,), (False,))


def test_null_arguments_are_missing_ones():
    names = ["length_constraints:number_words"]
    arguments = [{"num_words": 1, "relation": "at least", "keywords": None}]
    assert judge_instructions("word", names, arguments).strict == (True,)
    with pytest.raises(SolverError, match="no argument 'relation'"):
        judge_instructions("word", names, [{"num_words": 1, "relation": None}])


@pytest.mark.parametrize(
    ("names", "arguments", "message"),
    [
        (["keywords:existance"], [{}], "no instruction 'keywords:existance'"),
        (["punctuation:no_comma"], [], "1 instructions come with arguments for 0"),
        (["keywords:existence"], [{"keywords": "cat"}], "argument 'keywords' is 'cat'"),
        (
            ["length_constraints:number_words"],
            [{"num_words": 1, "relation": "about"}],
            "argument 'relation' is 'about'",
        ),
        (["length_constraints:number_words"], [{"num_words": "x", "relation": "at least"}], "argument 'num_words'"),
    ],
)
def test_what_is_asked_for_and_cannot_be_checked_is_named(names, arguments, message):
    with pytest.raises(SolverError, match=message):
        judge_instructions("word", names, arguments)


def test_a_keyword_that_is_no_pattern_stands_for_itself():
    assert judge_instructions("I like C++ (a lot", ["keywords:existence"], [{"keywords": ["C++", "(a"]}]).strict == (
        True,
    )


def test_deep_json_is_no_error():
    assert judge_instructions("[" * 100_000, ["detectable_format:json_format"], [{}]).strict == (False,)


@pytest.mark.parametrize("text", ["12 34 !", "\x00", "\ud800", "<b>\x1b[31m</b>"])
def test_strange_text_gets_verdicts(text):
    rows = {name: arguments for name, arguments, _, _ in CASES}
    assert len(judge_instructions(text, list(rows), list(rows.values())).loose) == 25


@pytest.mark.parametrize("name", ["gpt-4-20231107", "gpt-4o-mini-2024-07-18", "mistralai__Mistral-7B-Instruct-v0.3"])
def test_verdicts_on_recorded_replies_are_the_published_ones(shared_data, name):
    rows = {}
    with (shared_data / "ifeval" / "input_data.jsonl").open(encoding="utf-8") as lines:
        rows = {row["key"]: row for row in map(json.loads, lines)}
    strict = loose = count = 0
    with gzip.open(shared_data / "oracles" / f"ifeval-{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for recorded in map(json.loads, lines):
            row = rows[int(recorded["id"])]
            followed = judge_instructions(recorded["content"], row["instruction_id_list"], row["kwargs"])
            count += len(followed.strict)
            strict += sum(a != b for a, b in zip(followed.strict, recorded["strict"], strict=True))
            loose += sum(a != b for a, b in zip(followed.loose, recorded["loose"], strict=True))
    assert count == 832
    assert strict == 0
    assert loose <= 2
