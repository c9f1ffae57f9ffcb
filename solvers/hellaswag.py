r"""HellaSwag: which of four endings continues a text.

Source: Zellers et al. 2019, arXiv 1905.07830; texts are cleaned as by EleutherAI's lm-evaluation-harness
    (`tasks/hellaswag/utils.py`). The mode `cot` is the prompt of OpenAI's simple-evals.
Differs: upstream compares the log-likelihoods of the endings and has no prompt; here the endings have letters and
    the model writes one. nearai's `HellaswagSolverStrategy` showed blank choices, took its examples from the rows it
    evaluated, and asked twice.
"""

from __future__ import annotations

import re
from typing import Any

from solvers.multiple_choice import MultipleChoice, Question, lettered, position_of
from solvers.rows import Row, text_of, texts_of, value_of, wrong

HEAD = "The following are texts, each with four possible endings. Choose the most plausible ending.\n\n"
BRACKETS = re.compile(r"\[[^\]]*\]")


class HellaswagSolverStrategy(MultipleChoice):
    """Asks for the ending's letter once, after examples from the split `train`, where it is there."""

    NAME = "hellaswag"
    SHOT_SPLITS = ("train",)

    def __init__(
        self,
        dataset_ref: Any,
        model: str = "",
        agent: str = "",
        *,
        shots: int = 8,
        mode: str = "direct",
        two_stage: bool = False,
        examples: str = "",
    ) -> None:
        super().__init__(dataset_ref, model, agent, shots=shots, mode=mode, two_stage=two_stage, examples=examples)

    def compatible_datasets(self) -> list[str]:
        """`hellaswag`."""
        return ["hellaswag"]

    def read(self, datum: Row) -> Question:
        """The text of a row with `ctx_a`, `ctx_b`, `endings`, `label`; or cleaned with `query`, `choices`, `gold`."""
        choices = texts_of(datum, "choices", "endings", solver=self.name)
        answer = position_of(value_of(datum, "gold", "label", solver=self.name), "0123456789"[: len(choices)])
        if answer is None:
            raise wrong(datum, "gold", "label", solver=self.name, wanted="the position of an ending from 0")
        if "query" in datum:
            return Question(text_of(datum, "query", solver=self.name), choices, answer)
        if "ctx_a" in datum:
            begun = f"{datum['ctx_a']} {str(datum.get('ctx_b') or '').capitalize()}"
        else:
            begun = text_of(datum, "ctx", solver=self.name)
        activity = text_of(datum, "activity_label", solver=self.name)
        return Question(_clean(f"{activity}: {begun}"), [_clean(each) for each in choices], answer)

    def prompt(self, question: Question) -> str:
        """The head, the examples, and the text with its endings."""
        examples = "".join(f"{_asked(each)} {each.letter}\n\n" for each in self.shown(question))
        return HEAD + examples + _asked(question)


def _asked(question: Question) -> str:
    return f"{question.text}\n{lettered(question.choices)}\nAnswer:"


def _clean(text: str) -> str:
    return BRACKETS.sub("", text.strip().replace(" [title]", ". ")).replace("  ", " ")
