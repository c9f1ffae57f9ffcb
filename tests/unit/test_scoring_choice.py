"""The letter that a reply chooses is found, and nothing else is taken for one."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SolverError
from engine.records import Outcome
from engine.scoring.choice import LETTERS, extract_choice, extract_first, extract_mmlu_pro, judge


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        (" (B)\n", "B"),
        ("**B**", "B"),
        ("B. Paris, not C. Rome", "B"),
        ("A", "A"),
        ("The answer is (C).", "C"),
        ("the answer is C", "C"),
        ("Not B.\nAnswer: A is right", "A"),
        ("Answer: C\n\nQuestion: Which else?\nAnswer: A", "C"),
        ("Question: which?\nB or C, so the answer is C", "C"),
        ("The answer is (c).", "C"),
        ("The correct answer is: **C**", "C"),
        ("**Answer:** C\n\nA and B are wrong.", "C"),
        ("Answer:\n\nC", "C"),
        ("The answer is A because B is wrong.", "A"),
        ("The best option is D, although C is near.", "D"),
        ("The answer is (B) or (I), but since (I) is better: the answer is (I).", "I"),
        (r"The answer is B, so \boxed{\text{D}}", "D"),
        ("A dog is not a cat, so (B) it is, I think.", "B"),
        ("I would go for D here", "D"),
        ("A cat. The answer is Both of C", "C"),
    ],
)
def test_the_chosen_letter_is_found(text, letter):
    assert extract_choice(text) == letter


@pytest.mark.parametrize("text", ["", "I think so", "A dog is an animal", "The answer is A dog", "Don't know; X or K"])
def test_words_are_no_choices(text):
    assert extract_choice(text) is None


def test_only_the_given_letters_are_choices():
    assert extract_choice("The answer is (E).", "ABCD") is None
    assert extract_choice("The answer is (E).", "ABCDE") == "E"


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The answer is (B). The answer is (C).", "B"),
        ("answer is Both", "B"),
        ("Answer: C and answer: D\nAnswer: E", "D"),
        ("I take option J", "J"),
        ("", None),
    ],
)
def test_the_published_rule_of_mmlu_pro_is_kept_with_its_edges(text, letter):
    assert extract_mmlu_pro(text) == letter


def test_the_published_rule_gives_the_published_letters(shared_data):
    recording = shared_data / "oracles" / "mmlu_pro-Meta-Llama-3_1-8B-Instruct.jsonl.gz"
    with gzip.open(recording, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    assert len(rows) == 3000
    assert [row["id"] for row in rows if extract_mmlu_pro(row["content"]) != row["letter"]] == []


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "bomb", ["answer", "answer is ", "answer:", "Answer: \n", "A ", "(A", "\\boxed{", " ", "AB", "*"]
)
def test_a_megabyte_of_anything_is_read_in_linear_time(bomb):
    text = bomb * (1_000_000 // len(bomb))
    for extract in (extract_choice, extract_mmlu_pro):
        extract(text)
        extract(f"answer: {text}")


@given(st.text(alphabet=st.sampled_from("ABCIJ answeris:()*\n"), max_size=80))
def test_what_is_found_is_one_of_the_letters(text):
    for extract in (extract_choice, extract_mmlu_pro):
        assert extract(text) is None or extract(text) in LETTERS


def test_the_judge_takes_targets_with_and_without_brackets():
    assert judge("The answer is (B).", "(B)").value == 1
    assert judge("The answer is (B).", "b").answer == "B"
    assert judge("The answer is (R).", "R").value == 1
    assert judge("The answer is (A).", "B").value == 0
    assert judge("No idea", "B").outcome is Outcome.UNPARSED


def test_a_target_that_is_no_letter_is_named():
    with pytest.raises(SolverError, match="'Paris'"):
        judge("B", "Paris")


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("B\n\nWhat is the capital?\nA. x\nB. y\nC. z\nD. w\nAnswer: C", "B"),
        (" B. Paris\n\nNext?\nA. x\nB. y\nAnswer: C", "B"),
        ("C. elegans is a worm.\n\nAnswer: D", "D"),
        ("A: Let's think step by step. So the answer is (B).", "B"),
        ("B. Paris\n\nExplanation: A is wrong, and the answer D is too.", "B"),
        ("**C) Paris**", "C"),
        ("c)", "C"),
        ("answer: c", "C"),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER B}", "B"),
        ("答案\N{FULLWIDTH COLON}B", "B"),
        ("I cannot determine the answer.", None),
    ],
)
def test_a_letter_that_begins_a_reply_is_its_answer_unless_another_is_stated(reply, letter):
    assert extract_first(reply, "ABCD") == letter
