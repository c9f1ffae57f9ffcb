"""The number that a reply gives is read and compared exactly."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SolverError
from engine.records import Outcome
from engine.scoring.number import (
    extract_marked,
    extract_number,
    gold_number,
    judge,
    parse_number,
    same_number,
    show_number,
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("It is 3.\n#### 18", "18"),
        ("#### 1,234.", "1234"),
        ("#### $5.50", "5.50"),
        ("#### -3", "-3"),
        ("#### **18**", "18"),
        ("#### 18\n\nThe answer is 7.", "18"),
        ("#### 18\nQ: next\n#### 19", "18"),
    ],
)
def test_four_hashes_win_over_everything_behind_them(text, number):
    assert extract_number(text) == Decimal(number)


def test_a_numbered_markdown_heading_is_not_an_answer():
    assert extract_number("#### 1. Count the eggs\n16 - 7 = 9\n#### 2) Sell\n9 * 2 = 18\nThe answer is 18.") == 18


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (r"Hence \boxed{18}, after 3 steps.", "18"),
        (r"\(\boxed{\frac{3}{4}}\)", "0.75"),
        (r"\boxed{1{,}234}", "1234"),
        (r"\boxed{1\,234}", "1234"),
        (r"\boxed{x = \$18.00}", "18"),
        (r"\boxed{18\text{ dollars}} for 2 days", "18"),
        (r"first \boxed{3}, in the end \boxed{4}", "4"),
        (r"The answer is 7, or \boxed{8}", "8"),
        (r"The answer is 7, or \boxed{unclear}", "7"),
        (r"The answer is 7, or \boxed{8 and never closed", "7"),
    ],
)
def test_the_last_box_is_read_with_its_latex(text, number):
    assert extract_number(text) == Decimal(number)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("The answer is 5.", "5"),
        ("the Answer is: **$1,234.50**, from 3 parts", "1234.50"),
        ("The answer is 16 - 7 = 9 eggs in 2 days.", "9"),
        ("The answer is\n\n42\n\nThat took 3 steps.", "42"),
        ("The answer is \\(42\\). Check: 40 + 2", "42"),
        ("The answer is 5. I hope the answer is clear, all 3 of it.", "5"),
        ("The answer is 4. No: the answer is 5. Checked 2 times.", "5"),
        ("The answer is -$5 and not 3", "-5"),
        ("The answer is 2 1/2 pies, not 3", "2.5"),
        ("The answer is 10 000 for 3", "10000"),
        ("Answer: \N{MINUS SIGN}5\nin 3 steps", "-5"),
        ("**Final Answer:** 12 apples\nand 3 pears", "12"),
        ("Janet has 3.\nA: 26", "26"),
        ("A: There are 5 apples, she ate 2, so 3.", "3"),
        ("A: 1/5", "0.2"),
    ],
)
def test_a_stated_answer_wins_over_later_numbers(text, number):
    assert extract_number(text) == Decimal(number)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("20-12=8", "8"),
        ("from 5-10", "10"),
        ("a loss of -$30", "-30"),
        ("that costs $-30.", "-30"),
        ("it costs $1,234,567.", "1234567"),
        ("in total 10\N{NO-BREAK SPACE}000", "10000"),
        ("1, 2,3", "3"),
        ("up by 50%", "50"),
        ("about 1.5e3", "1500"),
        (r"so $2 \times 10^{3}$", "2000"),
        ("half of it, .5", "0.5"),
        ("after 5km", "5"),
        ("**7**", "7"),
        ("_7_", "7"),
        ("٣٤", "34"),
    ],
)
def test_without_a_marker_the_last_number_counts(text, number):
    assert extract_number(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "none of them", "H2O", "A: 1/0", "#### none"])
def test_no_number_is_none(text):
    assert extract_number(text) is None


def test_another_language_brings_its_own_phrases():
    assert extract_number("Die Antwort lautet 18, nach 3 Schritten", phrases=("Die Antwort lautet",)) == 18
    assert extract_number("答案是18,用了3步", phrases=("答案是",)) == 18


def test_of_a_cut_reply_only_a_marked_number_counts():
    assert extract_marked("16 - 7 = 9 eggs, and then 9 *") is None
    assert extract_marked("The answer is 18. Let me check: 9 *") == 18


def test_numbers_stay_exact_beyond_the_precision_of_the_context():
    long = "-" + "1234567890" * 5 + ".5"
    assert extract_number(f"The answer is {long}") == Decimal(long)
    assert extract_number("The answer is 0.1") == Decimal("0.1")


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=3))
def test_every_decimal_is_read_back_however_it_is_written(number):
    assert extract_number(f"so\n#### {number:,f}") == number
    assert extract_number(f"The answer is ${number:,f}.") == number
    assert extract_number(f"in the end {number:f}") == number
    assert parse_number(show_number(number)) == number


@given(st.text(max_size=300))
def test_any_text_gives_a_number_or_none(text):
    assert extract_number(text) is None or extract_number(text) == extract_number(text)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "bomb",
    [
        "1,111,",
        "9",
        "the answer is ",
        "#",
        "\\boxed{",
        "\\frac{",
        "A: ",
        "A:\n",
        "1/",
        "1 1/",
        "-$",
        "10^",
        "answer is =\n",
    ],
)
def test_a_megabyte_of_anything_is_read_in_linear_time(bomb):
    text = bomb * (1_000_000 // len(bomb))
    extract_number(text)
    extract_number(f"#### {text}")
    extract_number(f"The answer is {text}")


def test_equal_numbers_are_equal_however_they_are_written():
    assert same_number(Decimal("18.00"), Decimal(18))
    assert not same_number(Decimal("0.33"), extract_number("1/3"))
    assert not same_number(None, None)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("18", 18),
        (" $1,234 ", 1234),
        ("18 dollars", 18),
        ("18 €", 18),
        ("5%", 5),
        ("-10", -10),
        ("1/2", Decimal("0.5")),
    ],
)
def test_a_text_that_is_a_number_is_parsed(text, number):
    assert parse_number(text) == number


@pytest.mark.parametrize("text", ["", "abc", "18 in 3", "12 + 6", "1,2"])
def test_a_text_that_is_more_than_a_number_is_not_parsed(text):
    assert parse_number(text) is None


def test_a_reference_answer_is_what_stands_behind_the_hashes_or_a_bare_number():
    assert gold_number("He sells 9 * 2 = <<9*2=18>>18.\n#### 1,018") == 1018
    assert gold_number("18") == 18
    assert gold_number("He sells 18 of 20.") is None


def test_the_judge_says_what_it_read():
    assert judge("The answer is $18.00.", "#### 18").value == 1
    assert judge("The answer is $18.00.", "#### 18").answer == "18"
    assert judge("The answer is 17.", "18").outcome is None
    assert judge("No idea.", "18").outcome is Outcome.UNPARSED


def test_a_target_that_is_no_number_is_named():
    with pytest.raises(SolverError, match="'eighteen'"):
        judge("18", "eighteen")


@pytest.mark.parametrize(("name", "solved"), [("6b_finetuning", 286), ("175b_verification", 742)])
def test_recorded_answers_of_gsm8k_get_their_published_verdicts(shared_data, name, solved):
    recording = shared_data / "oracles" / f"gsm8k-openai-{name}.jsonl.gz"
    rows = [
        json.loads(line) for line in (shared_data / "gsm8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    gold = {row["question"].strip(): row["answer"] for row in rows}
    with gzip.open(recording, "rt", encoding="utf-8") as lines:
        answers = [json.loads(line) for line in lines]
    verdicts = [judge(row["content"], gold[row["match"].strip()]).value == 1 for row in answers]
    assert [row["id"] for row, verdict in zip(answers, verdicts, strict=True) if verdict != row["expected"]] == []
    assert sum(verdicts) == solved
    assert len(verdicts) == 1319


@pytest.mark.parametrize("file", ["test.jsonl", "train.jsonl.gz"])
def test_every_reference_answer_of_gsm8k_is_a_number(shared_data, file):
    path = shared_data / "gsm8k" / file
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if file.endswith(".gz") else raw).decode()
    for line in text.splitlines():
        answer = json.loads(line)["answer"]
        assert gold_number(answer) == Decimal(answer.rpartition("#### ")[2].replace(",", ""))


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("The answer is 3/4.", "0.75"),
        ("3 / 4 of 12 is 9.\n\nAnswer: 16 apples (see step 2)", "16"),
        ("Answer: 72 (in 2 days)", "72"),
        ("Answer: (18)", "18"),
    ],
)
def test_what_stands_behind_the_answer_does_not_hide_it(reply: str, number: str) -> None:
    assert extract_number(reply) == Decimal(number)
