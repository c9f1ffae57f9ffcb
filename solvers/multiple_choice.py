"""What benchmarks with lettered choices have in common: one call, a letter, and a second call only where asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.errors import SolverError
from engine.records import Score
from engine.scoring.choice import extract_choice, extract_first, extract_stated
from engine.scoring.thoughts import spoken
from solvers.rows import Row, example_rows, fingerprint, unread
from solvers.strategy import SolverStrategy

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MODES = ("direct", "cot")
SECOND = "Which choice is your final answer? Reply with its letter only, one of {letters}."
STEPWISE = (
    "Answer the following multiple choice question. The last line of your response should be of the following "
    "format: 'Answer: $LETTER' (without quotes) where LETTER is one of {letters}. Think step by step before "
    "answering.\n\n{question}\n\n{choices}"
)
"""Source: `QUERY_TEMPLATE_MULTICHOICE` of OpenAI's simple-evals (MIT)."""


class Question(NamedTuple):
    """A question with its choices, the position of the right one, and the groups it counts for."""

    text: str
    choices: Sequence[str]
    answer: int
    group: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    """What a reader of the verdict has to know about the reference."""

    @property
    def letters(self) -> str:
        """The letters of its choices."""
        return LETTERS[: len(self.choices)]

    @property
    def letter(self) -> str:
        """The letter of the right choice."""
        return LETTERS[self.answer]


class MultipleChoice(SolverStrategy):
    """Asks each question once, and compares the letter that the reply chooses.

    Args:
        dataset_ref: the dataset.
        model: the model's name.
        agent: the agent's folder.
        shots: how many examples are shown, at most; fewer where there are fewer.
        mode: `direct` asks for the letter, `cot` for reasoning first, without examples.
        two_stage: ask a second time, for the letter alone, where the first reply holds none.
        examples: the split, or the JSONL file, that examples come from, in place of the one that the paper uses.
    """

    NAME = ""
    SHOT_SPLITS: tuple[str, ...] = ()

    def __init__(
        self,
        dataset_ref: Any,
        model: str = "",
        agent: str = "",
        *,
        shots: int = 0,
        mode: str = "direct",
        two_stage: bool = False,
        examples: str = "",
    ) -> None:
        super().__init__(model, agent)
        if mode not in MODES:
            raise SolverError(f"solver {self.name!r}: mode is {mode!r}", hint=f"it is one of {', '.join(MODES)}")
        if shots < 0:
            raise SolverError(f"solver {self.name!r}: shots is {shots!r}", hint="it is 0 or more")
        self.dataset_ref = dataset_ref
        self.mode = mode
        self.two_stage = two_stage
        wanted = shots > 0 and self.examples_wanted
        rows = example_rows(dataset_ref, *self.SHOT_SPLITS, given=examples, solver=self.name) if wanted else []
        self.examples = self.grouped([self.read(row) for row in rows], shots)

    @property
    def examples_wanted(self) -> bool:
        """Whether this mode shows examples."""
        return self.mode == "direct"

    @property
    def shots(self) -> int:
        """How many examples are really shown."""
        return max(map(len, self.examples.values()), default=0)

    def evaluation_name(self) -> str:
        """As `mmlu_5shots` or `mmlu_cot`, with the number of examples that are really shown."""
        kind = f"{self.shots}shots" if self.mode == "direct" else self.mode
        return f"{self.NAME}_{kind}{'_two_stage' if self.two_stage else ''}"

    def scorer_versions(self) -> dict[str, int]:
        """The examples, which are in no other part of a run's identity."""
        return {"examples": fingerprint(self.examples.items())} if self.examples else {}

    @abstractmethod
    def read(self, datum: Row) -> Question:
        """The row's question.

        Raises:
            SolverError: the row lacks a field, or one cannot be used.
        """

    @abstractmethod
    def prompt(self, question: Question) -> str:
        """The user's turn, in the direct mode."""

    def grouped(self, questions: Sequence[Question], shots: int) -> dict[str, list[Question]]:
        """The first examples of each group of questions."""
        groups: dict[str, list[Question]] = {}
        for question in questions:
            group = groups.setdefault(question.group, [])
            if len(group) < shots:
                group.append(question)
        return groups

    def shown(self, question: Question) -> list[Question]:
        """The examples for a question: those of its group, less one that is the question itself."""
        return [each for each in self.examples.get(question.group, []) if each.text.strip() != question.text.strip()]

    def extract(self, text: str, letters: str, *, cut: bool) -> str | None:
        """The letter that the reply chooses; of a reply that was cut, only one that is stated."""
        if self.mode == "direct":
            return extract_first(text, letters)
        return (extract_stated if cut else extract_choice)(text, letters)

    async def solve(self, datum: dict[str, Any]) -> Score:
        """Passed where the reply chooses the right letter; unparsed where it chooses none.

        Raises:
            SolverError: the row lacks a field, or one cannot be used.
        """
        question = self.read(datum)
        session = self.start_inference_session(question.text[:60])
        asked = self.prompt(question) if self.mode == "direct" else stepwise(question)
        text = await session.run_task(asked)
        letter = self.extract(spoken(text), question.letters, cut=text.finish_reason == "length")
        if letter is None and self.two_stage:
            text = await session.run_task(SECOND.format(letters=", ".join(question.letters)))
            letter = extract_first(spoken(text), question.letters)
        if letter is None:
            return unread(text, tags=question.tags)
        info = {"expected": question.letter, **({"note": question.note} if question.note else {})}
        return Score(value=float(letter == question.letter), answer=letter, tags=question.tags, info=info)


def lettered(choices: Sequence[str], *, mark: str = ".") -> str:
    """The choices, a line each, as `A. ...`."""
    return "\n".join(f"{letter}{mark} {choice}" for letter, choice in zip(LETTERS, choices, strict=False))


def stepwise(question: Question) -> str:
    """The prompt of the mode `cot`."""
    choices = lettered(question.choices, mark=")")
    return STEPWISE.format(letters=question.letters, question=question.text, choices=choices)


def position_of(value: Any, names: Sequence[str]) -> int | None:
    """Which choice a reference answer means, a position or one of the names; None where it is neither."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 <= value < len(names) else None
    text = str(value).strip()
    if text in list(names):
        return list(names).index(text)
    return position_of(int(text), names) if text.isascii() and text.isdigit() else None
