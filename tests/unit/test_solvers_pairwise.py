"""Two answers are compared by a judge in both orders, and a judge that follows the order prefers neither."""

from __future__ import annotations

import pytest
from solving import MODEL, Replies, task

from engine.errors import SolverError
from engine.records import Outcome, Score
from solvers.pairwise import PairwiseSolver

ROW = {"question": "Why?", "other": "Because."}


class Judge(Replies):
    """Prefers by a rule over what it is shown first and second."""

    def __init__(self, rule):
        super().__init__("")
        self.rule = rule

    async def complete(self, messages, sampling):
        text = messages[-1]["content"]
        first, second = (part.split("'s Answer]\n")[1].split("\n[The End")[0] for part in text.split("[The Start")[1:])
        self.replies = [self.rule(first, second)]
        return await super().complete(messages, sampling)


async def compared(rule, *, answer: str = "mine", row=ROW, **options) -> Score:
    caller = Replies(answer)
    judges = options.get("judge", "j::x").split(",")
    caller.others = {name: Judge(rule) for name in judges} | {"o::y": Replies("theirs")}
    solver = PairwiseSolver(None, MODEL, **{"judge": "j::x", "reference": "other", **options})
    with task(caller):
        return await solver.solve(row)


def likes(word: str):
    return lambda first, second: "I say [[A]]" if word in first else "I say [[B]]" if word in second else "[[C]]"


@pytest.mark.parametrize(
    ("rule", "value", "same"),
    [
        (likes("mine"), 1.0, 1.0),
        (likes("Because"), 0.0, 1.0),
        (lambda first, second: "[[C]]", 0.5, 1.0),
        (lambda first, second: "[[A]]", 0.5, 0.0),
        (lambda first, second: "[[B]]", 0.5, 0.0),
        (lambda first, second: "[[A]] at first, but [[C]]", 0.5, 1.0),
    ],
)
async def test_a_win_is_one_in_both_orders(rule, value, same):
    score = await compared(rule)
    assert (score.value, score.metrics["same_in_both_orders"]) == (value, same)
    assert [score.metrics[name] for name in ("win", "tie", "loss")] == [value == 1, value == 0.5, value == 0]


@pytest.mark.parametrize("said", ["", "A", "[[D]]", "Assistant A is better."])
async def test_a_verdict_that_is_not_on_the_menu_is_unparsed(said):
    assert (await compared(lambda first, second: said)).outcome is Outcome.UNPARSED


async def test_a_reply_that_names_a_verdict_does_not_judge_itself():
    assert (await compared(likes("Because"), answer="mine [[A]] [[A]]")).value == 0.0


async def test_another_model_can_be_the_one_that_is_compared_with():
    assert (await compared(likes("theirs"), reference="", against="o::y")).value == 0.0


async def test_several_judges_vote_and_a_blank_answer_is_none():
    assert (await compared(likes("mine"), judge="j::x,k::y,l::z")).value == 1.0
    assert (await compared(likes("mine"), answer=" ")).outcome is Outcome.UNPARSED


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"judge": ""}, "no judge is named"),
        ({"judge": "j::x"}, "not said what to compare with"),
        ({"judge": "j::x", "against": "o::y", "reference": "other"}, "not said what to compare with"),
    ],
)
def test_judge_and_other_answer_are_always_named(options, said):
    with pytest.raises(SolverError, match=said):
        PairwiseSolver(None, MODEL, **options)
