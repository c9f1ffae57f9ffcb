"""MMLU: questions of 57 subjects with four choices, after five examples of the same subject.

Source: Hendrycks et al. 2021, arXiv 2009.03300; prompt of `evaluate.py` in github.com/hendrycks/test, whose blank
    after "about" is kept; categories of its `categories.py`. The mode `cot` is the prompt of OpenAI's simple-evals.
Differs: upstream compares the log-likelihoods of the four letters; here the model writes its answer and the letter
    is read from it. nearai's `MMLUSolverStrategy` showed examples of other subjects and asked twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from solvers.multiple_choice import LETTERS, MultipleChoice, Question, lettered, position_of
from solvers.rows import Row, text_of, texts_of, value_of, wrong

HEAD = "The following are multiple choice questions (with answers) about {subject}.\n\n"
CATEGORIES = {
    "stem": "abstract_algebra astronomy college_biology college_chemistry college_computer_science "
    "college_mathematics college_physics computer_security conceptual_physics electrical_engineering "
    "elementary_mathematics high_school_biology high_school_chemistry high_school_computer_science "
    "high_school_mathematics high_school_physics high_school_statistics machine_learning",
    "humanities": "formal_logic high_school_european_history high_school_us_history high_school_world_history "
    "international_law jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy prehistory "
    "professional_law world_religions",
    "social_sciences": "econometrics high_school_geography high_school_government_and_politics "
    "high_school_macroeconomics high_school_microeconomics high_school_psychology human_sexuality "
    "professional_psychology public_relations security_studies sociology us_foreign_policy",
    "other": "anatomy business_ethics clinical_knowledge college_medicine global_facts human_aging management "
    "marketing medical_genetics miscellaneous nutrition professional_accounting professional_medicine virology",
}
CATEGORY = {subject: category for category, subjects in CATEGORIES.items() for subject in subjects.split()}


class MMLUSolverStrategy(MultipleChoice):
    """Asks each question once, after examples from the split `dev`; metrics per subject and per category."""

    NAME = "mmlu"
    SHOT_SPLITS = ("dev",)

    def __init__(
        self,
        dataset_ref: Any,
        model: str = "",
        agent: str = "",
        *,
        shots: int = 5,
        mode: str = "direct",
        two_stage: bool = False,
        examples: str = "",
    ) -> None:
        super().__init__(dataset_ref, model, agent, shots=shots, mode=mode, two_stage=two_stage, examples=examples)

    def compatible_datasets(self) -> list[str]:
        """`mmlu`."""
        return ["mmlu"]

    def read(self, datum: Row) -> Question:
        """The question of a row with `question`, `choices`, `answer` (0 to 3, or a letter) and `subject`."""
        choices = texts_of(datum, "choices", solver=self.name)
        answer = position_of(value_of(datum, "answer", solver=self.name), LETTERS[: len(choices)])
        if answer is None:
            raise wrong(datum, "answer", solver=self.name, wanted="the position of a choice from 0, or its letter")
        subject = text_of(datum, "subject", solver=self.name).strip().replace(" ", "_")
        tags = (f"subject/{subject}", *((f"category/{CATEGORY[subject]}",) if subject in CATEGORY else ()))
        return Question(text_of(datum, "question", solver=self.name), choices, answer, subject, tags)

    def prompt(self, question: Question) -> str:
        """The head, the examples, and the question, as upstream has them."""
        subject = "".join(f" {word}" for word in question.group.split("_"))
        examples = "".join(f"{_asked(each)} {each.letter}\n\n" for each in self.shown(question))
        return HEAD.format(subject=subject) + examples + _asked(question)

    def further_metrics(self, means: Mapping[str, float]) -> dict[str, float]:
        """`mean_over_subjects`: each subject counts the same, where the score counts each question."""
        subjects = [value for name, value in means.items() if name.startswith("subject/")]
        return {"mean_over_subjects": sum(subjects) / len(subjects)} if subjects else {}


def _asked(question: Question) -> str:
    return f"{question.text}\n{lettered(question.choices)}\nAnswer:"
