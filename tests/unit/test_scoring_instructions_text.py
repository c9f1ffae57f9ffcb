"""Sentences, tokens and languages of a text are told as the published checker tells them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.scoring.instructions.checks import judge_instructions
from engine.scoring.instructions.language import language
from engine.scoring.instructions.sentences import sentences, tokens


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("No stop", 1),
        ("One. Two? Three!", 3),
        ("Mr. Smith met Dr. Watson at 3 p.m. on Monday.", 1),
        ("He works for the U.S. The rest is silence.", 2),
        ('He said: "Go." She went.', 2),
        ("Wait... it is fine. Wait... The end.", 3),
        ("It cost 3.50 dollars. Too much!!! Really?!", 3),
        ("1. Eat. 2. Sleep.", 4),
        ("Take 3. it is there.", 1),
        ("J. R. Tolkien wrote it. A. Introduction", 3),
        ("Vitamin D. The sun.", 1),
        ("Ends (here). (And here.) Fine.", 3),
        ("One line\nwithout an end\n\nstill the same", 1),
    ],
)  # fmt: skip
def test_sentences_end_where_english_ends_them(text, count):
    assert len(sentences(text)) == count


def test_what_closes_a_sentence_stays_with_it():
    assert sentences('He said: "Go." She went.') == ['He said: "Go."', "She went."]


def test_contractions_are_two_tokens_and_hyphens_join():
    assert [token for token in tokens("I'M FROM U-S, CANNOT SAY A/B!") if token.isupper()] == [
        "I", "'M", "FROM", "U-S", "CAN", "NOT", "SAY", "A/B",
    ]  # fmt: skip


@given(st.text(alphabet="aB .?!\"')(1\n", max_size=200))
def test_splitting_loses_nothing_but_white_space(text):
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


def test_a_title_is_looked_for_in_time():
    began = time.process_time()
    assert judge_instructions("<" * 200_000, ["detectable_format:title"], [{}]).strict == (False,)
    assert time.process_time() - began < 5


def test_a_long_text_is_split_in_time():
    began = time.process_time()
    sentences("A." * 200_000)
    sentences('."' * 200_000)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The weather is fine today and we should go out.", "en"),
        ("Das Wetter ist heute schön, und wir sollten hinausgehen.", "de"),
        ("आज मौसम अच्छा है और हमें बाहर जाना चाहिए।", "hi"),
        ("12345 !!!", None),
    ],
)
def test_the_language_is_told_the_same_each_time(text, code):
    assert {language(text) for _ in range(5)} == {code}
