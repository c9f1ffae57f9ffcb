"""Pairwise: which of two answers a judge prefers, asked in both orders so that neither gains by its place.

Source: Zheng et al. 2023, "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena", arXiv 2306.05685; the judge's
    prompt is `pair-v2` of github.com/lm-sys/FastChat (Apache 2.0), word for word; a win counts only where it is one in
    both orders (section 3.4).
Differs: the last verdict in a judge's reply counts, where upstream takes whichever of the three it finds first;
    a reply without one is unparsed; several judges vote.
"""

from __future__ import annotations

from typing import Any

from engine.errors import SolverError
from engine.records import Outcome, Score
from engine.scoring.judge import pair_verdict, read_verdict, vote
from engine.scoring.thoughts import spoken
from solvers.rows import text_of
from solvers.strategy import SolverStrategy
from solvers.template import Template

SYSTEM = (
    "Please act as an impartial judge and evaluate the quality of the responses provided by two AI assistants to the "
    "user question displayed below. You should choose the assistant that follows the user's instructions and answers "
    "the user's question better. Your evaluation should consider factors such as the helpfulness, relevance, accuracy, "
    "depth, creativity, and level of detail of their responses. Begin your evaluation by comparing the two responses "
    "and provide a short explanation. Avoid any position biases and ensure that the order in which the responses "
    "were presented does not influence your decision. Do not allow the length of the responses to influence your "
    "evaluation. Do not favor certain names of the assistants. Be as objective as possible. After providing your "
    'explanation, output your final verdict by strictly following this format: "[[A]]" if assistant A is better, '
    '"[[B]]" if assistant B is better, and "[[C]]" for a tie.'
)
ASKED = (
    "[User Question]\n{question}\n\n[The Start of Assistant A's Answer]\n{first}\n[The End of Assistant A's Answer]\n\n"
    "[The Start of Assistant B's Answer]\n{second}\n[The End of Assistant B's Answer]"
)
MENU = {"[[A]]": "first", "[[B]]": "second", "[[C]]": "tie"}
VALUES = {"a": 1.0, "b": 0.0, "tie": 0.5}
LONGEST = 20_000
"""Characters of an answer that a judge is shown; the rest is cut, and the info says so."""


class PairwiseSolver(SolverStrategy):
    """Asks for an answer, and a judge whether it is better than another one: 1 where it is, 0.5 for a tie.

    Args:
        dataset_ref: any dataset.
        model: the model's name.
        agent: the agent's folder.
        judge: the model that compares, as `provider::model`; several, separated by commas, vote.
        against: the model whose answer is the other one, as `provider::model`.
        reference: the field that holds the other answer, in place of `against`.
        prompt: template of what is asked, over the row's fields.
    """

    def __init__(
        self,
        dataset_ref: Any,
        model: str = "",
        agent: str = "",
        *,
        judge: str = "",
        against: str = "",
        reference: str = "",
        prompt: str = "{question}",
    ) -> None:
        super().__init__(model, agent)
        self.dataset_ref = dataset_ref
        self.judges = [name.strip() for name in judge.split(",") if name.strip()]
        if not self.judges:
            raise SolverError(
                f"solver {self.name!r}: no judge is named", hint="pass --judge provider::model; none is chosen for you"
            )
        if bool(against) == bool(reference):
            raise SolverError(
                f"solver {self.name!r}: it is not said what to compare with",
                hint="pass --against provider::model, or --reference FIELD for answers that the rows hold",
            )
        self.against = against
        self.reference = reference
        self.prompt = Template(prompt, what="prompt")

    def evaluation_name(self) -> str:
        """As `pairwise_against_provider::model_judged_by_provider::judge`."""
        return f"pairwise_against_{self.against or self.reference}_judged_by_{'+'.join(self.judges)}"

    def compatible_datasets(self) -> list[str]:
        """Any."""
        return ["*"]

    def other_models(self) -> list[str]:
        """The judges, and the model that is compared with."""
        return list(dict.fromkeys([*self.judges, *([self.against] if self.against else [])]))

    async def solve(self, datum: dict[str, Any]) -> Score:
        """1 where the judges prefer the model's answer in both orders, 0 the other one, 0.5 where neither.

        The metrics `win`, `tie` and `loss` are shares of compared tasks; `same_in_both_orders` is the share of judges
        who said the same whichever answer came first. Unparsed where no judge gave a verdict, or none wins the vote.

        Raises:
            SolverError: the row lacks a field.
        """
        question = self.prompt.render(datum)
        own = spoken(await self.start_inference_session(question[:60]).run_task(question))
        if not own.strip():
            return Score(value=0.0, outcome=Outcome.UNPARSED)
        other = await self._other(datum, question)
        pairs = [
            (await self._ask(judge, question, own, other), await self._ask(judge, question, other, own))
            for judge in self.judges
        ]
        verdicts = [pair_verdict(first, swapped) for first, swapped in pairs]
        preferred = vote(verdicts)
        info = {
            "judges": dict(zip(self.judges, verdicts, strict=True)),
            "in_each_order": [list(pair) for pair in pairs],
            "other": other[:200],
            "cut": max(len(own), len(other)) > LONGEST,
        }
        if preferred is None:
            return Score(value=0.0, outcome=Outcome.UNPARSED, answer=own[:200], info=info)
        metrics = {
            name: float(VALUES[preferred] == value) for name, value in (("win", 1.0), ("tie", 0.5), ("loss", 0.0))
        }
        agreed = [first != swapped or first == "tie" for first, swapped in pairs if first and swapped]
        return Score(
            value=VALUES[preferred],
            answer=own[:200],
            metrics={**metrics, "same_in_both_orders": sum(agreed) / len(agreed)},
            info=info,
        )

    async def _other(self, datum: dict[str, Any], question: str) -> str:
        if self.reference:
            return text_of(datum, self.reference, solver=self.name)
        return spoken(await self.start_inference_session("other", model=self.against).run_task(question))

    async def _ask(self, judge: str, question: str, first: str, second: str) -> str | None:
        session = self.start_inference_session("judge", model=judge)
        session.add_system_message(SYSTEM)
        asked = ASKED.format(question=question, first=first[:LONGEST], second=second[:LONGEST])
        return read_verdict(spoken(await session.run_task(asked)), MENU)
