"""ARC, the AI2 Reasoning Challenge: science questions for children, easy and hard ones, with three to five choices.

Source: Clark et al. 2018, arXiv 1803.05457. The mode `cot` is the prompt of OpenAI's simple-evals.
Differs: the paper has no prompt for language models; the direct one is that of MMLU (Hendrycks et al. 2021).
    Choices that upstream names 1 to 5 get letters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from solvers.multiple_choice import LETTERS, MultipleChoice, Question, lettered, position_of
from solvers.rows import Row, text_of, texts_of, value_of, wrong

HEAD = "The following are multiple choice questions (with answers) about science.\n\n"


class ARCSolverStrategy(MultipleChoice):
    """Asks each question once; examples come from the split `train`, where it is there and they are asked for."""

    NAME = "arc"
    SHOT_SPLITS = ("train",)

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
        super().__init__(dataset_ref, model, agent, shots=shots, mode=mode, two_stage=two_stage, examples=examples)
        called = f"{getattr(dataset_ref, 'name', '')} {getattr(dataset_ref, 'subset', '')}".lower()
        self.part = next((part for part in ("challenge", "easy") if part in called.rpartition("/")[2]), "")

    def evaluation_name(self) -> str:
        """As `arc_challenge_0shots`; without the part where the dataset's name does not tell it."""
        whole = super().evaluation_name()
        return f"arc_{self.part}{whole.removeprefix('arc')}" if self.part else whole

    def compatible_datasets(self) -> list[str]:
        """Names with `arc` as a word of its own, as files and the hub have it."""
        return ["arc/", "arc_", "arc-", "/arc", "_arc"]

    def read(self, datum: Row) -> Question:
        """The question of a row as on the hub (`choices` with `text` and `label`, `answerKey`), or with `gold`."""
        held = value_of(datum, "choices", solver=self.name)
        if isinstance(held, Mapping):
            choices = texts_of(held, "text", solver=self.name)
            names = texts_of(held, "label", solver=self.name)
            answer = position_of(str(value_of(datum, "answerKey", "gold", solver=self.name)).strip(), names)
        else:
            choices = texts_of(datum, "choices", solver=self.name)
            answer = position_of(value_of(datum, "gold", "answerKey", solver=self.name), LETTERS[: len(choices)])
        if answer is None:
            raise wrong(datum, "gold", "answerKey", solver=self.name, wanted="the position of a choice, or its name")
        return Question(text_of(datum, "question", solver=self.name), choices, answer)

    def prompt(self, question: Question) -> str:
        """The head, the examples, and the question."""
        examples = "".join(f"{_asked(each)} {each.letter}\n\n" for each in self.shown(question))
        return HEAD + examples + _asked(question)


def _asked(question: Question) -> str:
    return f"{question.text}\n{lettered(question.choices)}\nAnswer:"
