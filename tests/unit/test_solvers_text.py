"""The text benchmarks: what they ask, what they read from replies, and what they say about rows they cannot use."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from solving import MODEL, Replies, prompts, solved, task

from engine.errors import SolverError
from engine.records import Outcome
from solvers.arc import ARCSolverStrategy
from solvers.bbh import BBHSolverStrategy, read_conclusion, read_prompt
from solvers.drop import DROPSolverStrategy
from solvers.hellaswag import HellaswagSolverStrategy
from solvers.majority_vote import MajorityVoteStrategy
from solvers.math500 import MATH500SolverStrategy
from solvers.mgsm import ANSWER_WORDS, INSTRUCTIONS, MGSMSolverStrategy
from solvers.mmlu import CATEGORY, MMLUSolverStrategy
from solvers.mmlu_pro import MMLUProSolverStrategy
from solvers.simpleqa import SimpleQASolverStrategy

MMLU = {"question": "2 + 2?", "subject": "abstract_algebra", "choices": ["3", "4", "5", "6"], "answer": 1}
PRO = {"question": "2 + 2?", "category": "math", "options": ["3", "4", "5"], "answer": "B"}
SWAG = {"activity_label": "Tea", "ctx_a": "A man boils water.", "ctx_b": "he", "endings": ["pours [x] it.", "sings."]}
ARC = {"question": "Hot?", "choices": {"text": ["ice", "fire"], "label": ["1", "2"]}, "answerKey": "2"}
MGSM = {"question": "Wie viele?", "answer": "1,250", "language": "de"}
MATH = {"problem": "Half?", "answer": "\\frac{1}{2}", "subject": "Algebra", "level": 2}
DROP = {"passage": "A and B met.", "question": "Who met?", "answers": [["A"], ["A", "B"]]}
BBH = {"task": "made_up", "input": "Is 1 > 2?", "target": "False"}
FACT = {"problem": "Who?", "answer": "Ada"}
COT = (
    "BENCHMARK DATA ... canary GUID 0\n-----\nJudge sums.\n\nQ: Is 2 > 1?\nA: Let's think step by step.\nYes, more. "
    "So the answer is True.\n\nQ: Is 1 > 2?\nA: Let's think step by step.\nNo. So the answer is False."
)
EVERY: list[tuple[Any, dict[str, Any]]] = [
    (MMLUSolverStrategy(None, MODEL), MMLU),
    (MMLUProSolverStrategy(None, MODEL), PRO),
    (HellaswagSolverStrategy(None, MODEL), {**SWAG, "label": "0"}),
    (ARCSolverStrategy(None, MODEL), ARC),
    (MGSMSolverStrategy(None, MODEL), MGSM),
    (MATH500SolverStrategy(None, MODEL), MATH),
    (DROPSolverStrategy(None, MODEL), DROP),
    (BBHSolverStrategy(None, MODEL), BBH),
]
NAMES = [type(solver).__name__ for solver, _ in EVERY]


class Splits(dict[str, list[dict[str, Any]]]):
    """A dataset by its splits, of which one is evaluated."""

    subset = "test"
    name = "made-up"


@pytest.fixture
def bbh_folder(tmp_path: Path) -> Path:
    (tmp_path / "cot-prompts").mkdir()
    (tmp_path / "cot-prompts" / "made_up.txt").write_text(COT)
    return tmp_path


# --- rows and replies that are not as they should be ------------------------------------------------------------


@pytest.mark.parametrize(("solver", "datum"), EVERY, ids=NAMES)
async def test_a_row_without_a_field_is_an_error_that_names_it(solver, datum):
    for field in set(datum) - {"level", "activity_label" if "query" in datum else "", "ctx_b", "ctx_a"}:
        if field == "subject" and "problem" in datum:
            continue
        with pytest.raises(SolverError, match=field):
            await solved(solver, {name: value for name, value in datum.items() if name != field}, "A")


HOSTILE = {
    "nul": "\x00",
    "surrogates": "\ud800 \udfff",
    "html": "<b>?</b><script>",
    "ansi": "\x1b[31m?\x1b[0m",
    "long": "?" * 10_000_000,
    "boxes": "\\boxed{" * 100_000,
    "answers": "answer is (" * 500_000,
    "brackets": "(" * 2_000_000,
    "dollars": "$" * 1_000_000,
    "spans": "Answer: " + "a and " * 500_000,
    "blanks": " \n" * 500_000,
}


@pytest.mark.parametrize(("solver", "datum"), EVERY, ids=NAMES)
@pytest.mark.parametrize("reply", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_reply_gets_an_outcome_within_seconds(solver, datum, reply):
    began = time.monotonic()
    score = await solved(solver, datum, reply)
    assert score.value < 1
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(("solver", "datum"), EVERY[:6], ids=NAMES[:6])
async def test_a_reply_without_an_answer_is_unparsed_and_keeps_its_groups(solver, datum):
    score = await solved(solver, datum, "Who knows?")
    assert score.outcome is Outcome.UNPARSED
    assert score.info == {"looked_at": "Who knows?"}
    assert bool(score.tags) == (
        type(solver) in {MMLUSolverStrategy, MMLUProSolverStrategy, MGSMSolverStrategy}
        or (type(solver) is MATH500SolverStrategy)
    )


@pytest.mark.parametrize(
    ("make", "datum", "answer"),
    [
        (MMLUSolverStrategy, MMLU, "B"),
        (MATH500SolverStrategy, MATH, "\\boxed{1/2}"),
        (DROPSolverStrategy, DROP, "Answer: A"),
    ],
)
async def test_a_second_call_is_made_only_where_it_is_asked_for_and_the_first_reply_holds_no_answer(
    make, datum, answer
):
    for two_stage, replies, calls in [(True, ["Hm.\n?", answer], 2), (True, [answer], 1), (False, ["Hm.\n?"], 1)]:
        with task(Replies(*replies)) as caller:
            score = await make(None, MODEL, two_stage=two_stage).solve(datum)
        assert len(caller.asked) == calls
        assert score.value == (answer in replies)


# --- multiple choice --------------------------------------------------------------------------------------------


async def test_mmlu_shows_examples_of_the_subject_of_the_question_and_never_the_question_itself():
    other = {**MMLU, "subject": "anatomy", "question": "Bone?"}
    dev = [other, MMLU, {**MMLU, "question": "3 + 1?"}]
    solver = MMLUSolverStrategy(Splits(dev=dev), MODEL)
    [[message]] = await prompts(solver, [MMLU])
    assert message["content"] == (
        "The following are multiple choice questions (with answers) about  abstract algebra.\n\n"
        "3 + 1?\nA. 3\nB. 4\nC. 5\nD. 6\nAnswer: B\n\n2 + 2?\nA. 3\nB. 4\nC. 5\nD. 6\nAnswer:"
    )
    assert solver.evaluation_name() == "mmlu_2shots"


def test_without_the_split_for_examples_there_are_none_and_the_name_says_so():
    assert MMLUSolverStrategy(Splits(test=[MMLU]), MODEL).evaluation_name() == "mmlu_0shots"


def test_the_split_that_is_evaluated_gives_no_examples():
    splits = Splits(dev=[MMLU])
    splits.subset = "dev"
    assert MMLUSolverStrategy(splits, MODEL).evaluation_name() == "mmlu_0shots"


def test_other_examples_are_another_identity():
    one = MMLUSolverStrategy(Splits(dev=[MMLU]), MODEL).scorer_versions()
    assert one != MMLUSolverStrategy(Splits(dev=[{**MMLU, "answer": 2}]), MODEL).scorer_versions()


def test_every_one_of_57_subjects_has_a_category():
    assert len(CATEGORY) == 57


async def test_mmlu_counts_for_its_subject_and_its_category():
    score = await solved(MMLUSolverStrategy(None, MODEL), MMLU, " B\n\nNext question?\nAnswer: C")
    assert (score.value, score.answer) == (1.0, "B")
    assert score.tags == ("subject/abstract_algebra", "category/stem")


def test_the_mean_over_subjects_counts_each_subject_the_same():
    means = {"subject/a": 0.5, "subject/b": 1.0, "category/stem": 0.6}
    assert MMLUSolverStrategy(None, MODEL).further_metrics(means) == {"mean_over_subjects": 0.75}


@pytest.mark.parametrize("answer", ["B", 1, "1"])
async def test_a_reference_answer_may_be_a_letter_or_a_position(answer):
    assert (await solved(MMLUSolverStrategy(None, MODEL), {**MMLU, "answer": answer}, "B")).value == 1


@pytest.mark.parametrize("answer", [4, -1, "E", "", True])
async def test_a_reference_answer_that_is_no_choice_is_an_error(answer):
    with pytest.raises(SolverError, match="answer"):
        await solved(MMLUSolverStrategy(None, MODEL), {**MMLU, "answer": answer}, "B")


async def test_half_a_rationale_is_no_answer():
    solver = MMLUSolverStrategy(None, MODEL, mode="cot")
    cut = await solved(solver, MMLU, "Both (B) and", finish_reason="length")
    assert cut.outcome is Outcome.UNPARSED
    assert (await solved(solver, MMLU, "Answer: B\nbecause", finish_reason="length")).value == 1


async def test_mmlu_pro_shows_worked_examples_of_the_category():
    worked = {**PRO, "question": "1 + 1?", "cot_content": "A: Let's think step by step. Two. The answer is (A)."}
    solver = MMLUProSolverStrategy(Splits(validation=[worked, {**worked, "category": "law"}]), MODEL)
    [[message]] = await prompts(solver, [PRO])
    assert "1 + 1?\nOptions:\nA. 3\nB. 4\nC. 5\nAnswer: Let's think step by step. Two." in message["content"]
    assert message["content"].count("Question:") == 2


async def test_hellaswag_shows_its_choices_cleaned():
    [[message]] = await prompts(HellaswagSolverStrategy(None, MODEL), [{**SWAG, "label": "0"}])
    assert message["content"].endswith("Tea: A man boils water. He\nA. pours it.\nB. sings.\nAnswer:")


def test_hellaswag_takes_no_examples_from_the_validation_split():
    rows = [{**SWAG, "label": "0"}]
    assert HellaswagSolverStrategy(Splits(validation=rows), MODEL).evaluation_name() == "hellaswag_0shots"
    assert HellaswagSolverStrategy(Splits(train=rows), MODEL).evaluation_name() == "hellaswag_1shots"


async def test_arc_gives_letters_to_choices_that_have_numbers():
    score = await solved(ARCSolverStrategy(None, MODEL), ARC, "B. fire")
    assert (score.value, score.answer) == (1.0, "B")


# --- numbers, mathematics, spans --------------------------------------------------------------------------------


async def test_mgsm_asks_and_reads_in_the_language_of_the_problem():
    assert set(INSTRUCTIONS) == set(ANSWER_WORDS)
    [[message]] = await prompts(MGSMSolverStrategy(None, MODEL), [MGSM])
    assert message["content"] == f"{INSTRUCTIONS['de']}\n\nWie viele?"
    score = await solved(MGSMSolverStrategy(None, MODEL), MGSM, "Erst 3.\n**Antwort:** 1,250")
    assert (score.value, score.answer, score.tags) == (1.0, "1250", ("language/de", "script/latin"))


async def test_mgsm_without_the_answer_word_reads_the_last_number():
    assert (await solved(MGSMSolverStrategy(None, MODEL), MGSM, "Das sind 1250.")).value == 1


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("Antwort: 2000-1250", 1),
        ("Antwort: 1250\n\n" + "Probe. " * 100 + "Das sind 3 Schritte.", 0),
        ("1250.\nAntwort: wie oben", 0),
        ("Antwort: -1250", 0),
    ],
)
async def test_mgsm_counts_the_last_number_behind_the_last_answer_word_however_far(reply, value):
    assert (await solved(MGSMSolverStrategy(None, MODEL), MGSM, reply)).value == value


async def test_math_is_compared_as_mathematics_and_counts_for_subject_and_level():
    score = await solved(MATH500SolverStrategy(None, MODEL), MATH, "Thus $\\boxed{\\dfrac12}$.")
    assert (score.value, score.tags) == (1.0, ("subject/Algebra", "level/2"))
    assert (await solved(MATH500SolverStrategy(None, MODEL), MATH, "\\boxed{2/4}")).value == 1
    assert (await solved(MATH500SolverStrategy(None, MODEL), MATH, "\\boxed{0.4}")).value == 0


# --- BIG-Bench Hard ---------------------------------------------------------------------------------------------


async def test_bbh_shows_the_published_examples_without_their_reasoning_and_never_the_question_itself(bbh_folder):
    solver = BBHSolverStrategy(str(bbh_folder), MODEL)
    [[message]] = await prompts(solver, [BBH])
    assert message["content"] == "Judge sums.\n\nQ: Is 2 > 1?\nA: True\n\nQ: Is 1 > 2?\nA:"
    assert solver.evaluation_name() == "bbh_direct_2shots"


async def test_bbh_asks_for_reasoning_with_the_published_prompt(bbh_folder):
    solver = BBHSolverStrategy(str(bbh_folder), MODEL, mode="cot")
    [[message]] = await prompts(solver, [{**BBH, "input": "Is 5 > 4?"}])
    assert message["content"] == COT.partition("-----\n")[2] + "\n\nQ: Is 5 > 4?\nA: Let's think step by step.\n"


def test_the_canary_is_no_part_of_what_is_asked():
    assert "canary" not in repr(read_prompt(COT))


def test_bbh_without_published_prompts_says_so_in_its_name(tmp_path):
    assert BBHSolverStrategy(str(tmp_path), MODEL).evaluation_name() == "bbh_direct_0shots"


@pytest.mark.parametrize(("reply", "value"), [(" False\n", 1), ("False.", 0), ("false", 0), ("The answer is False", 0)])
async def test_bbh_direct_wants_the_target_and_nothing_else(reply, value):
    assert (await solved(BBHSolverStrategy(None, MODEL), BBH, reply)).value == value


@pytest.mark.parametrize(
    ("reply", "target", "value"),
    [
        ("1 is less. So the answer is False.\n\nQ: next? So the answer is True.", "False", 1),
        ("So the answer is **(B)**.", "(B)", 1),
        ("The answer is (B) because.", "(B)", 1),
        ("So the answer is B.", "(B)", 1),
        ("So the answer is option (B).", "(B)", 1),
        ("So the answer is Both.", "(B)", 0),
        ("So the answer is ] ] >.", "] ] >", 1),
    ],
)
async def test_bbh_reads_the_last_conclusion_of_a_chain_of_thought(reply, target, value):
    solver = BBHSolverStrategy(None, MODEL, mode="cot")
    assert (await solved(solver, {**BBH, "target": target}, reply)).value == value


def test_a_chain_of_thought_without_a_conclusion_has_no_answer():
    assert read_conclusion("I wonder.") is None


# --- judges and votes -------------------------------------------------------------------------------------------


def test_a_judge_is_always_named():
    with pytest.raises(SolverError, match="no judge is named"):
        SimpleQASolverStrategy(None, MODEL)


@pytest.mark.parametrize(
    ("said", "value", "outcome"),
    [
        ("A", 1, None),
        ("The answer is wrong.\nB", 0, None),
        ("CORRECT? No: INCORRECT", 0, None),
        ("D", 0, Outcome.UNPARSED),
    ],
)
async def test_simpleqa_takes_the_judges_last_word_and_nothing_that_is_not_on_the_menu(said, value, outcome):
    solver = SimpleQASolverStrategy(None, MODEL, judge="p::judge")
    with task(Replies("Ada L.", others={"p::judge": said})) as caller:
        score = await solver.solve(FACT)
    assert (score.value, score.outcome) == (value, outcome)
    assert caller.asked == [[{"role": "user", "content": "Who?"}]]
    [[asked]] = caller.others["p::judge"].asked
    assert "Gold target: Ada\nPredicted answer: Ada L.\n" in asked["content"]


async def test_several_judges_vote_and_a_tie_is_no_verdict():
    solver = SimpleQASolverStrategy(None, MODEL, judge="a::j, b::j, c::j")
    with task(Replies("Ada", others={"a::j": "A", "b::j": "B", "c::j": "A"})):
        assert (await solver.solve(FACT)).value == 1
    with task(Replies("Ada", others={"a::j": "A", "b::j": "B", "c::j": "?"})):
        assert (await solver.solve(FACT)).outcome is Outcome.UNPARSED


def test_simpleqa_f1_is_the_harmonic_mean():
    solver = SimpleQASolverStrategy(None, MODEL, judge="a::j")
    assert solver.further_metrics({"correct": 0.5, "correct_given_attempted": 1.0}) == {"f1": pytest.approx(2 / 3)}


async def test_the_answer_that_comes_most_often_is_the_one_that_is_judged():
    solver = MajorityVoteStrategy(None, MODEL, solver="MMLUSolverStrategy", votes=5, shots="0")
    with task(Replies("A", "B", "Who knows?", "B", "C")) as caller:
        score = await solver.solve(MMLU)
    assert len({repr(messages) for messages in caller.asked}) == 1
    assert (score.value, score.answer, score.metrics) == (1.0, "B", {"agreement": 0.4})
    assert score.tags == ("subject/abstract_algebra", "category/stem")
    assert solver.evaluation_name() == "mmlu_0shots_majority5"


async def test_a_vote_without_answers_is_unparsed():
    solver = MajorityVoteStrategy(None, MODEL, solver="MMLUSolverStrategy", votes=3)
    assert (await solved(solver, MMLU, "Who knows?")).outcome is Outcome.UNPARSED


async def test_nobody_votes_on_verdicts_without_answers():
    solver = MajorityVoteStrategy(None, MODEL, solver="ThreeDigitAdditionSolver")
    with pytest.raises(SolverError, match="no answer to vote on"):
        await solved(solver, {"input": "1 + 1", "output": "2"}, "2")


@pytest.mark.parametrize("options", [{"solver": "Nobody"}, {"solver": "MMLUSolverStrategy", "shotz": 1}, {"votes": 0}])
def test_a_vote_that_cannot_be_held_is_an_error_before_anything_is_asked(options):
    with pytest.raises(SolverError):
        MajorityVoteStrategy(None, MODEL, **{"solver": "MMLUSolverStrategy", **options})


def test_votes_are_drawn_at_a_temperature_and_know_their_solvers_code():
    solver = MajorityVoteStrategy(None, MODEL, solver="GSM8KSolverStrategy")
    assert solver.sampling["temperature"] > 0
    assert {"inner", "number"} <= set(solver.scorer_versions())


async def test_a_false_answer_of_the_mmlu_pro_file_is_not_scored_by_and_the_task_says_so():
    row = {"question_id": 143, "question": "What percent?", "category": "business", "answer": "C"}
    row["options"] = ["500%", "700%", "646%", "65%", "60%", "800%", "845%", "75%", "64.6%", "550%"]
    right = await solved(MMLUProSolverStrategy(None, MODEL), row, "The answer is (I).")
    filed = await solved(MMLUProSolverStrategy(None, MODEL, errata=False), row, "The answer is (I).")
    other = await solved(MMLUProSolverStrategy(None, MODEL), {**row, "question_id": 144}, "The answer is (I).")
    assert (right.value, filed.value, other.value) == (1.0, 0.0, 0.0)
    assert "64.6% is right" in right.info["note"]


def test_the_bengali_instruction_has_the_letter_that_upstream_has_and_normalisation_would_take_apart():
    assert INSTRUCTIONS["bn"].count("\N{BENGALI LETTER YYA}") == 1
