"""The first solvers: what they ask, what they read, and what they say about rows they cannot use."""

from __future__ import annotations

import gzip
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.errors import SolverError
from engine.ports import current_task
from engine.records import Completion, Outcome, Score
from solvers.gsm8k import EXEMPLARS, GSM8KSolverStrategy
from solvers.template import Template, TemplateSolver
from solvers.three_digit_addition import ThreeDigitAdditionSolver

MODEL = "simulated::any"
ROBE = {"question": "A robe takes 2 bolts and half that much. How many?", "answer": "2/2=<<2/2=1>>1\n#### 1,003"}


class Recorded:
    """A task whose model gives one recorded reply, and which keeps what was asked."""

    def __init__(self, reply: str, finish_reason: str) -> None:
        self.reply = reply
        self.finish_reason = finish_reason
        self.messages: list[Mapping[str, Any]] = []

    async def complete(self, messages: Sequence[Mapping[str, Any]], sampling: Mapping[str, Any]) -> Completion:
        self.messages = [dict(message) for message in messages]
        return Completion(
            request_key="k",
            provider="p",
            model="m",
            request="",
            response="",
            text=self.reply,
            finish_reason=self.finish_reason,
        )

    def folder(self, label: str) -> Path:
        raise AssertionError(label)


@contextmanager
def task(reply: str, finish_reason: str = "stop") -> Iterator[Recorded]:
    caller = Recorded(reply, finish_reason)
    token = current_task.set(caller)
    try:
        yield caller
    finally:
        current_task.reset(token)


async def solved(solver: Any, datum: dict[str, Any], reply: str, finish_reason: str = "stop") -> Any:
    with task(reply, finish_reason):
        return await solver.solve(datum)


# --- three digit addition ---------------------------------------------------------------------------------------


async def test_addition_asks_the_words_of_the_tutorial():
    with task(" 357\n") as caller:
        assert await ThreeDigitAdditionSolver(None, MODEL).solve({"input": "12 + 345", "output": "357"}) is True
    asked = "Please add the following numbers together: 12 + 345\n\nOutput the result only."
    assert caller.messages == [{"role": "user", "content": asked}]


@pytest.mark.parametrize("reply", ["358", "The sum is 357", "357.", ""])
async def test_addition_wants_the_sum_and_nothing_else(reply):
    assert await solved(ThreeDigitAdditionSolver(None, MODEL), {"input": "12 + 345", "output": "357"}, reply) is False


def test_addition_is_named_as_in_the_tutorial():
    solver = ThreeDigitAdditionSolver(None, MODEL)
    assert solver.evaluation_name() == "3_digit_addition"
    assert solver.compatible_datasets() == ["3_digit_addition"]


# --- GSM8K ------------------------------------------------------------------------------------------------------


async def test_gsm8k_asks_the_question_word_for_word_after_eight_examples():
    with task("Half of 2 is 1. The answer is $1,003.00.") as caller:
        score = await GSM8KSolverStrategy(None, MODEL).solve(ROBE)
    assert score == Score(value=1.0, answer="1003")
    (message,) = caller.messages
    assert message["content"].endswith(f"Q: {ROBE['question']}\nA:")
    assert message["content"].count("\nA:") == 9
    assert message["content"].startswith("Q: There are 15 trees in the grove.")


def test_each_example_gives_the_answer_that_its_own_text_states():
    assert [example.answer.rpartition("The answer is ")[2] for example in EXEMPLARS] == [
        "6.", "5.", "39.", "8.", "9.", "29.", "33.", "8.",
    ]  # fmt: skip


def test_an_example_that_is_the_question_itself_is_dropped():
    prompt = GSM8KSolverStrategy(None, MODEL).prompt(f" {EXEMPLARS[3].question}\n")
    assert prompt.count(EXEMPLARS[3].question) == 1
    assert EXEMPLARS[3].answer not in prompt
    assert prompt.count("\nA: ") == 7


async def test_gsm8k_without_examples_and_with_a_system_message():
    solver = GSM8KSolverStrategy(None, MODEL, shots=0, system="You are a calculator.")
    with task("2") as caller:
        assert (await solver.solve({"question": "1 + 1?", "answer": "2"})).value == 1
    assert caller.messages == [
        {"role": "system", "content": "You are a calculator."},
        {"role": "user", "content": "Q: 1 + 1?\nA:"},
    ]
    assert solver.evaluation_name().startswith("gsm8k_0shots_system_")
    assert GSM8KSolverStrategy(None, MODEL).evaluation_name() == "gsm8k_8shots"


async def test_a_reply_without_a_number_is_unparsed_and_shows_what_was_looked_at():
    score = await solved(GSM8KSolverStrategy(None, MODEL), ROBE, "I cannot tell.")
    assert (score.value, score.outcome, score.info) == (0.0, Outcome.UNPARSED, {"looked_at": "I cannot tell."})


async def test_a_model_that_goes_on_to_a_next_problem_is_not_followed():
    score = await solved(GSM8KSolverStrategy(None, MODEL), ROBE, "The answer is 1003.\n\nQ: Next?\nA: The answer is 7.")
    assert score.answer == "1003"


async def test_of_a_cut_reply_only_a_stated_answer_is_read():
    solver = GSM8KSolverStrategy(None, MODEL)
    assert (await solved(solver, ROBE, "First, 1003", "length")).outcome is Outcome.UNPARSED
    assert (await solved(solver, ROBE, "The answer is 1003. To check, 9 *", "length")).value == 1
    assert (await solved(solver, ROBE, "It is 1003\nQ: Next 5", "length")).value == 1


async def test_of_a_rationale_in_the_form_of_the_dataset_only_a_marked_answer_is_read():
    solver = GSM8KSolverStrategy(None, MODEL)
    assert (await solved(solver, ROBE, "He saw 1000+3=<<1000+3=1003>>1003")).outcome is Outcome.UNPARSED
    assert (await solved(solver, ROBE, "He saw 1000+3=<<1000+3=1003>>1003\nA: 1003")).value == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "Q"}, "no field 'answer'"),
        ({"prompt": "Q", "answer": "2"}, "no field 'question'"),
        ({"question": "Q", "answer": "two"}, "field 'answer' is 'two'"),
    ],
)
async def test_a_row_that_gsm8k_cannot_use_is_named(row, said):
    with pytest.raises(SolverError, match=said):
        await solved(GSM8KSolverStrategy(None, MODEL), row, "2")


def test_more_examples_than_there_are_is_an_error():
    with pytest.raises(SolverError, match="shots is 9"):
        GSM8KSolverStrategy(None, MODEL, shots=9)


@pytest.mark.parametrize(("name", "expected"), [("6b_finetuning", 286), ("175b_verification", 742)])
async def test_recorded_replies_get_their_published_score(shared_data, name, expected):
    lines = (shared_data / "gsm8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    with gzip.open(shared_data / "oracles" / f"gsm8k-openai-{name}.jsonl.gz", "rt", encoding="utf-8") as recorded:
        replies = {row["match"].strip(): row["content"] for row in map(json.loads, recorded)}
    solver = GSM8KSolverStrategy(None, MODEL)
    values = []
    for datum in map(json.loads, lines):
        question = datum["question"].strip()
        assert solver.prompt(datum["question"]).count(question) == 1
        values.append((await solved(solver, datum, replies[question])).value)
    assert (sum(values), len(values)) == (expected, 1319)


# --- template ---------------------------------------------------------------------------------------------------


ROW = {
    "question": "Capital of France?",
    "choices": ["Rome", "Paris"],
    "meta": {"level": 3, "a b": "c"},
    "a.b": "dotted",
    "Best Answer": "Paris",
    "none": None,
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{question}", "Capital of France?"),
        ("A. {choices[0]}\nB. {choices[1]}", "A. Rome\nB. Paris"),
        ("{choices[-1]}", "Paris"),
        ("{choices}", '["Rome", "Paris"]'),
        ("{meta.level} {meta[level]} {meta.a b}", "3 3 c"),
        ("{a.b}", "dotted"),
        ("{Best Answer}", "Paris"),
        ('{{"q": "{question}"}}', '{"q": "Capital of France?"}'),
        ("no fields", "no fields"),
        ("", ""),
    ],
)
def test_a_template_is_filled_from_the_row(template, text):
    assert Template(template, what="prompt").render(ROW) == text


@pytest.mark.parametrize(
    "template", ["{missing}", "{choices[2]}", "{meta.x}", "{question.upper}", "{choices.x}", "{none}"]
)
def test_a_field_without_a_value_is_named_with_the_fields_of_the_row(template):
    with pytest.raises(SolverError) as caught:
        Template(template, what="target").render(ROW)
    assert f"the target names {template[1:-1]!r}" in caught.value.message
    assert "question, choices, meta" in caught.value.hint


def test_a_template_reaches_no_attributes():
    class Loaded(dict[str, Any]):
        secret = "s"

    for template in ("{__class__}", "{question.__class__}", "{meta.__class__}", "{meta.secret}", "{choices[__len__]}"):
        with pytest.raises(SolverError):
            Template(template, what="prompt").render({**ROW, "meta": Loaded()})


@pytest.mark.parametrize(
    "template", ["{", "}", "{}", "{a!r}", "{a:>3}", '{"answer": 1}', "{a[}", "{a.}", "{[0]}", "{a[0]b}"]
)
def test_a_template_that_cannot_be_read_is_an_error_at_once(template):
    with pytest.raises(SolverError, match="the prompt cannot be read"):
        Template(template, what="prompt")


async def test_any_row_is_asked_and_judged_by_a_named_scorer():
    solver = TemplateSolver(
        None,
        MODEL,
        prompt="{question}",
        target="{choices[1]}",
        system="Be {brief}.",
        scorer="includes",
        few_shot=[{"question": "Capital of Italy?", "choices": ["x", "Rome"]}, ROW],
    )
    with task("It is Paris.") as caller:
        assert await solver.solve(ROW) == Score(value=1.0, answer="Paris")
    assert caller.messages == [
        {"role": "system", "content": "Be {brief}."},
        {"role": "user", "content": "Capital of Italy?"},
        {"role": "assistant", "content": "Rome"},
        {"role": "user", "content": "Capital of France?"},
    ]
    assert solver.compatible_datasets() == ["*"]
    assert solver.scorer_versions() == {"includes": 1}


async def test_a_number_that_is_missing_is_unparsed():
    solver = TemplateSolver(None, MODEL, prompt="{q}", target="{a}", scorer="number")
    assert await solved(solver, {"q": "1 + 1?", "a": 2}, "It is 2.") == Score(value=1.0, answer="2")
    score = await solved(solver, {"q": "1 + 1?", "a": 2}, "Who knows?")
    assert (score.outcome, score.info) == (Outcome.UNPARSED, {"looked_at": "Who knows?"})


async def test_a_cut_reply_is_no_exact_answer():
    solver = TemplateSolver(None, MODEL, prompt="{q}", target="{a}")
    row = {"q": "?", "a": "Paris"}
    assert (await solved(solver, row, "Pari", "length")).outcome is Outcome.UNPARSED
    assert (await solved(solver, row, "Pari")) == Score(value=0.0, answer="Pari")
    assert (await solved(solver, row, "Paris", "length")).value == 1


def test_a_name_is_made_from_the_options_or_given():
    def name(**options: Any) -> str:
        return TemplateSolver(None, MODEL, **{"prompt": "{q}", "target": "{a}", **options}).evaluation_name()

    assert name().startswith("template_exact_")
    assert name() == name()
    assert (
        len({name(), name(prompt="{q}?"), name(system="s"), name(scorer="number"), name(few_shot='[{"q":1,"a":2}]')})
        == 5
    )
    assert name(name="capitals") == "capitals"


@pytest.mark.parametrize("rows", ["not json", "[1]", [1], {"q": 1}])
def test_examples_that_are_no_rows_are_an_error(rows):
    with pytest.raises(SolverError, match="few_shot is"):
        TemplateSolver(None, MODEL, prompt="{q}", target="{a}", few_shot=rows)


def test_an_unknown_scorer_is_an_error_before_anything_is_asked():
    with pytest.raises(SolverError, match="did you mean 'number'"):
        TemplateSolver(None, MODEL, prompt="{q}", target="{a}", scorer="numbr")


# --- all --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", [ThreeDigitAdditionSolver, GSM8KSolverStrategy, TemplateSolver])
def test_solvers_take_dataset_model_and_agent_first_and_solve_on_the_loop(solver):
    assert list(inspect.signature(solver).parameters)[:3] == ["dataset_ref", "model", "agent"]
    assert inspect.iscoroutinefunction(solver.solve)
