"""MMLU-Pro: questions with up to ten choices, answered with reasoning.

Source: Wang et al. 2024, arXiv 2406.01574; prompt and extraction of `evaluate_from_local.py` and
    `cot_prompt_lib/initial_prompt.txt` in github.com/TIGER-AI-Lab/MMLU-Pro.
Differs: where no letter is found upstream guesses at random, here the outcome is unparsed; a prompt that is too long
    is not shortened; of a reply that was cut only a stated answer counts. Of one question the answer in the current
    file is false and the one that the published figures were scored by is right: that one counts, and the task's info
    says so; `--errata false` takes every answer from the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.scoring.choice import extract_mmlu_pro, extract_stated
from solvers.multiple_choice import LETTERS, MultipleChoice, Question, lettered, position_of
from solvers.rows import Row, text_of, texts_of, value_of, wrong

HEAD = (
    "The following are multiple choice questions (with answers) about {category}. Think step by step and then finish "
    'your answer with "the answer is (X)" where X is the correct letter choice.\n\n\n\n'
)
STEPS = "A: Let's think step by step."


class Erratum(NamedTuple):
    """An answer of the file that is false: its letter, and the choice that is right."""

    held: str
    choice: str


ERRATA = {"143": Erratum("C", "64.6%")}
"""By question id. 143: "What percent of .65% is .42%?" is 64.6%, I, as in earlier releases; C is 646%."""


class MMLUProSolverStrategy(MultipleChoice):
    """Asks each question once, after worked examples of its category from the split `validation`, where it is there.

    Args:
        dataset_ref: the dataset.
        model: the model's name.
        agent: the agent's folder.
        shots: how many examples are shown, at most.
        two_stage: ask a second time, for the letter alone, where the first reply holds none.
        examples: the split, or the JSONL file, that worked examples come from, in place of `validation`.
        errata: score by the right answer where the one in the file is known to be false, see `ERRATA`.
    """

    NAME = "mmlu_pro"
    SHOT_SPLITS = ("validation", "val")

    def __init__(
        self,
        dataset_ref: Any,
        model: str = "",
        agent: str = "",
        *,
        shots: int = 5,
        two_stage: bool = False,
        errata: bool = True,
        examples: str = "",
    ) -> None:
        self.errata = errata
        self._worked: dict[str, str] = {}
        super().__init__(dataset_ref, model, agent, shots=shots, two_stage=two_stage, examples=examples)

    def evaluation_name(self) -> str:
        """As `mmlu_pro_5shots`; marked where the file's answers are taken as they are."""
        return f"{super().evaluation_name()}{'' if self.errata else '_as_filed'}"

    def compatible_datasets(self) -> list[str]:
        """`mmlu_pro`, `mmlu-pro`."""
        return ["mmlu_pro", "mmlu-pro"]

    def read(self, datum: Row) -> Question:
        """The question of a row with `question`, `options`, `answer` (a letter) and `category`."""
        options = [each for each in texts_of(datum, "options", solver=self.name) if each != "N/A"]
        letters = LETTERS[: len(options)]
        answer = position_of(value_of(datum, "answer", "answer_index", solver=self.name), letters)
        if answer is None:
            raise wrong(datum, "answer", "answer_index", solver=self.name, wanted=f"one of {letters}")
        category = text_of(datum, "category", solver=self.name)
        question = text_of(datum, "question", solver=self.name)
        if datum.get("cot_content"):
            self._worked[question] = str(datum["cot_content"]).replace(STEPS, f"Answer{STEPS[1:]}")
        erratum = ERRATA.get(str(datum.get("question_id"))) if self.errata else None
        tags = (f"category/{category}",)
        if erratum and letters[answer] == erratum.held and erratum.choice in options:
            note = f"the file's answer {erratum.held} is false, {erratum.choice} is right"
            return Question(question, options, options.index(erratum.choice), category, tags, note)
        return Question(question, options, answer, category, tags)

    def prompt(self, question: Question) -> str:
        """The head, the worked examples and the question, as upstream has them."""
        examples = "".join(f"{_asked(each)}{self._worked.get(each.text, '')}\n\n" for each in self.shown(question))
        return f"{HEAD.format(category=question.group)}{examples}{_asked(question)}Answer{STEPS[1:]}"

    def grouped(self, questions: Any, shots: int) -> dict[str, list[Question]]:
        """The first worked examples of each category."""
        return super().grouped([each for each in questions if each.text in self._worked], shots)

    def extract(self, text: str, letters: str, *, cut: bool) -> str | None:
        """The letter by the published rule."""
        return extract_stated(text, letters) if cut else extract_mmlu_pro(text)

    def further_metrics(self, means: Mapping[str, float]) -> dict[str, float]:
        """`mean_over_categories`: each category counts the same, where the score counts each question."""
        values = [value for name, value in means.items() if name.startswith("category/")]
        return {"mean_over_categories": sum(values) / len(values)} if values else {}


def _asked(question: Question) -> str:
    return f"Question:\n{question.text}\nOptions:\n{lettered(question.choices)}\n"
