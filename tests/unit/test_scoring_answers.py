"""Scorers of answers in text: mathematics, F1, judges' verdicts, and what several answers say together."""

from __future__ import annotations

import gzip
import json
import time
from fractions import Fraction
from itertools import combinations

import pytest

from engine.errors import SolverError, UsageError
from engine.scoring.apart import GivenUpError, apart
from engine.scoring.f1 import drop_scores, token_f1
from engine.scoring.judge import pair_verdict, read_verdict, vote
from engine.scoring.math import extract_math, judge, last_boxed, same_math, same_math_apart, same_text
from engine.scoring.metrics import (
    average_at_k,
    majority,
    majority_at_k,
    pass_at_k,
    pass_hat_k,
    repeat_metrics,
    threshold_pass_at_k,
)

SAME = [
    ("\\frac12", "0.5"),
    ("1\\frac{4}{5}", "\\frac{9}{5}"),
    ("10{,}000", "10000"),
    ("10,000", "10000.0"),
    ("11,\\! 111,\\! 100", "11111100"),
    ("\\text{Evelyn}", "Evelyn"),
    ("90^\\circ", "90"),
    ("x=5", "5"),
    ("N = 10,\\!080", "10,080"),
    ("k=\\$32,348", "\\$32,\\!348"),
    ("(0,9) \\bigcup (9,36)", "(0,9) \\cup (9,36)"),
    ("6+9i", "9i+6"),
    ("\\left( 3, \\frac{\\pi}{2} \\right)", "(3,\\pi/2)"),
    ("20\\%", "20"),
    ("20%", "\\frac{1}{5}"),
    ("20\\%", "0.2"),
    ("0.1\\overline{6}", "\\frac16"),
    ("90°", "90"),
    ("2√3", "2\\sqrt{3}"),
    ("½", "\\frac12"),
    ("\\text{June 20}", "June 20"),
    ("\\emptyset", "\\varnothing"),
    ("2516_{8}", "2516_8"),
    ("6^{\\text{th}}", "6"),
]
DIFFERENT = [("(1,2)", "(2,1)"), ("[0,1]", "(0,1)"), ("0.3333", "\\frac13"), ("3.14", "\\pi"), ("10,000", "9,999")]
DIFFERENT += [("2516_7", "2516_8"), ("20\\%", "2"), ("0.2", "20"), ("\\text{}", "5")]


def spin(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def hoard() -> int:
    return len(bytearray(64 << 30))


@pytest.mark.parametrize(("given", "wanted"), SAME)
def test_the_same_mathematics_is_the_same_answer(given, wanted):
    assert same_math(given, wanted)
    assert same_math(wanted, given)


@pytest.mark.parametrize(("given", "wanted"), DIFFERENT)
def test_other_mathematics_is_another_answer(given, wanted):
    assert not same_math(given, wanted)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("\\boxed{1} or rather \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
        ("\\boxed 7$", "7"),
        ("\\boxed{ \\{1,2\\} }", "\\{1,2\\}"),
        ("The answer is $x+1$.\nDone.", "x+1"),
        ("**Final answer:** 12", "12"),
        ("**Final Answer**: 12", "12"),
        ("\\boxed{1}, no, $\\fbox{x+1}$", "x+1"),
        ("so we get $a$ and then \\(b+1\\), hm", "b+1"),
        ("it is 1,234.5 then", "1,234.5"),
        ("Who knows?", None),
    ],
)
def test_the_answer_is_read_from_the_box_or_what_is_nearest_to_one(reply, answer):
    assert extract_math(reply) == answer


def test_a_box_that_never_ends_is_no_box():
    assert last_boxed("\\boxed{" + "{" * 100_000) is None


def test_plain_numbers_and_equal_texts_need_no_algebra():
    assert same_text("1,000", "1000.0") is True
    assert same_text("7", "8") is False
    assert same_text("x + 1", "x+1") is True
    assert same_text("1+x", "x+1") is None


def test_what_is_too_long_for_algebra_is_compared_as_text():
    assert same_text("(" * 5000, "1") is False


def test_math_without_an_answer_is_unparsed():
    assert judge("Who knows?", "1").answer is None


async def test_hostile_latex_is_given_up_in_time():
    began = time.monotonic()
    assert not await same_math_apart("9^{9^{9^{9}}}", "\\frac{3}{8}")
    assert time.monotonic() - began < 30


async def test_a_call_that_takes_too_much_time_ends_its_worker_and_the_next_gets_a_new_one():
    with pytest.raises(GivenUpError):
        await apart(spin, 60.0, cpu_s=1)
    assert await apart(len, "abc") == 3


async def test_a_call_that_takes_too_much_memory_is_given_up():
    with pytest.raises(GivenUpError):
        await apart(hoard)


async def test_what_a_function_raises_in_a_worker_is_raised_here():
    with pytest.raises(ValueError, match="invalid literal"):
        await apart(int, "x")


# --- F1 ---------------------------------------------------------------------------------------------------------


def test_drop_scores_are_those_of_the_published_scorer():
    assert drop_scores(["4"], ["4"]) == (1.0, 1.0)
    assert drop_scores(["4"], ["5"]) == (0.0, 0.0)
    assert drop_scores(["the 4 cats"], ["4.0 cats"]) == (1.0, 1.0)
    assert drop_scores(["5 cats"], ["4 cats"]) == (0.0, 0.0)
    assert drop_scores(["B", "A"], ["A", "B"]) == (1.0, 1.0)
    assert drop_scores(["A"], ["A", "B"]) == (0.0, 0.5)
    assert drop_scores(["A", "C"], ["A"]) == (0.0, 0.5)


def test_f1_over_words_agrees_with_published_cases(shared_data):
    cases = json.loads((shared_data / "scorer_cases" / "lighteval" / "f1_score.json").read_text())["test_cases"]
    for case in cases:
        [given] = case["model_response"]["text"]
        wanted = case["doc"]["choices"]
        got = max(token_f1(given, each, ignore_articles=False) for each in wanted)
        assert got == pytest.approx(case["expected_output"]["f1"], abs=case["tolerance"])


def test_articles_count_for_nothing_by_default():
    assert token_f1("the cat", "A cat!") == 1.0
    assert token_f1("", "") == 1.0
    assert token_f1("", "cat") == 0.0


# --- judges -----------------------------------------------------------------------------------------------------

MENU = {"A": "good", "B": "bad", "GOOD": "good", "NOT_GOOD": "bad"}


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("A", "good"),
        ("A good start, but\n**B**", "bad"),
        ("A: GOOD", "good"),
        ("It is NOT_GOOD", "bad"),
        ("GOOD? NOT_GOOD. The grade is (A).", "good"),
        ("Grade: B", "bad"),
        ("A fine answer", None),
        ("GOODNESS", None),
        ("C", None),
        ("", None),
    ],
)
def test_a_verdict_is_the_last_word_that_is_on_the_menu(reply, verdict):
    assert read_verdict(reply, MENU) == verdict


def test_judges_vote_and_a_tie_is_none():
    assert vote(["a", "b", "a"]) == "a"
    assert vote(["a", "b", None]) is None
    assert vote([None, None]) is None


@pytest.mark.parametrize(
    ("first", "swapped", "better"),
    [
        ("first", "second", "a"),
        ("second", "first", "b"),
        ("first", "first", "tie"),
        ("tie", "second", "tie"),
        ("first", None, None),
    ],
)
def test_a_judge_that_follows_the_position_finds_no_winner(first, swapped, better):
    assert pair_verdict(first, swapped) == better


def test_a_verdict_on_a_pair_that_is_none_is_an_error():
    with pytest.raises(SolverError, match="maybe"):
        pair_verdict("maybe", "first")


# --- several answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(1, 7))
def test_pass_at_k_is_the_share_of_all_choices_of_k(n):
    for correct in range(n + 1):
        answers = [True] * correct + [False] * (n - correct)
        for k in range(1, n + 1):
            drawn = list(combinations(answers, k))
            assert pass_at_k(n, correct, k) == pytest.approx(float(Fraction(sum(map(any, drawn)), len(drawn))))
            assert pass_hat_k(n, correct, k) == pytest.approx(float(Fraction(sum(map(all, drawn)), len(drawn))))
            for share in (0.0, 0.25, 0.5, 1.0):
                least = max(share * k, 1)
                enough = sum(sum(each) >= least for each in drawn)
                assert threshold_pass_at_k(n, correct, k, share) == pytest.approx(enough / len(drawn))


@pytest.mark.parametrize(("n", "correct", "k"), [(2, 3, 1), (2, -1, 1), (2, 1, 3), (2, 1, 0), (0, 0, 1)])
def test_counts_that_cannot_be_are_an_error(n, correct, k):
    with pytest.raises(UsageError):
        pass_at_k(n, correct, k)


def several(name: str, metric: str, texts: list[str], values: list[float], k: int) -> float:
    """Our figure for a metric of the published cases."""
    n, correct = len(values), int(sum(values))
    if name == "pass_at_k":
        return pass_at_k(n, correct, k)
    if name == "g_pass_at_k":
        return threshold_pass_at_k(n, correct, k, float(metric.split("_")[1]))
    return majority_at_k(texts, values, k) if name == "maj_at_k" else average_at_k(values, k)


@pytest.mark.parametrize("name", ["pass_at_k", "g_pass_at_k", "maj_at_k", "avg_at_k"])
def test_published_cases_of_several_answers_hold(shared_data, name):
    path = shared_data / "scorer_cases" / "lighteval" / f"{name}.json"
    for case in json.loads(path.read_text())["test_cases"]:
        gold = case["doc"]["gold_index"]
        if isinstance(gold, list) and len(gold) > 1:
            continue  # upstream takes the first of several right answers for the only one
        wanted = case["doc"]["choices"][gold[0] if isinstance(gold, list) else gold]
        texts = case["model_response"]["text"]
        values = [float(text.strip() == wanted) for text in texts]
        for metric, expected in case["expected_output"].items():
            if not metric.startswith("mg-pass"):
                got = several(name, metric, texts, values, case["metric_params"]["k"])
                assert got == pytest.approx(expected, abs=case["tolerance"]), (case["name"], metric)


def test_the_majority_is_the_first_of_the_most_frequent_and_none_abstains():
    assert majority(["a", None, "b", "b"]) == 2
    assert majority(["a", "b"]) == 0
    assert majority([None, None]) is None
    assert majority_at_k([None, "b", "b"], [0.0, 1.0, 1.0], 1) == 0.0


def test_metrics_over_repeats_are_means_over_questions():
    questions = [(["a", "a", "b", "a"], [1.0, 1.0, 0.0, 1.0]), (["c", "d", "d", None], [1.0, 0.0, 0.0, 0.0])]
    got = repeat_metrics(questions, 4)
    assert got["pass@1"] == pytest.approx(0.5)
    assert got["pass@2"] == pytest.approx((1 + 0.5) / 2)
    assert got["pass@4"] == 1.0
    assert got["pass^2"] == pytest.approx((0.5 + 0) / 2)
    assert got["majority@4"] == 0.5


def test_a_question_with_too_few_judged_answers_counts_only_for_smaller_k():
    assert repeat_metrics([(["a"], [1.0]), (["a", "b"], [1.0, 0.0])], 2)["pass@2"] == 1.0


def test_recorded_answers_to_math_have_their_published_verdicts_one_by_one(shared_data):
    with gzip.open(shared_data / "oracles" / "math-qwen-cot-0-4.jsonl.gz", "rt", encoding="utf-8") as lines:
        recorded = [json.loads(line) for line in lines]
    differ = [row["id"] for row in recorded if bool(judge(row["content"], row["target"]).value) != row["expected"]]
    assert (len(recorded), differ) == (400, [])


def test_each_reference_answer_of_math500_is_equivalent_to_itself(shared_data):
    with (shared_data / "math500" / "test.jsonl").open(encoding="utf-8") as lines:
        answers = [json.loads(line)["answer"] for line in lines]
    assert [answer for answer in answers if not same_math(f"{answer} ", answer)] == []
