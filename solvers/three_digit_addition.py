"""Adds two numbers of one to three digits: the smallest complete solver, and the one to start from.

Source: the tutorial "Implementing the 3 digit addition benchmark" of nearai; prompt and judgement are its own.
Differs: `solve` is async.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from .strategy import SolverStrategy


class ThreeDigitAdditionDatum(BaseModel):
    """A row: `input` as `12 + 345`, `output` as `357`."""

    input: str
    output: str


class ThreeDigitAdditionSolver(SolverStrategy):
    """Asks for the sum, and wants it alone in the reply, white space around it aside."""

    def __init__(self, dataset_ref: Any, model: str = "", agent: str = "") -> None:
        super().__init__(model, agent)
        self.dataset_ref = dataset_ref

    def evaluation_name(self) -> str:
        """`3_digit_addition`."""
        return "3_digit_addition"

    def compatible_datasets(self) -> list[str]:
        """`3_digit_addition`, however it is stored or generated."""
        return ["3_digit_addition"]

    async def solve(self, datum: dict[str, Any]) -> bool:
        """Whether the reply is the sum and nothing else.

        Raises:
            ValidationError: the row lacks `input` or `output`.
        """
        row = ThreeDigitAdditionDatum(**datum)
        session = self.start_inference_session(row.input.replace(" + ", "+"))
        goal = f"Please add the following numbers together: {row.input}\n\nOutput the result only."
        result = (await session.run_task(goal)).strip()
        return bool(result == row.output)
