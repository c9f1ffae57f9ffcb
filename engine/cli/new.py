"""`engine new solver NAME`: a first solver of one's own, which runs at once and is changed from there."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from engine.errors import UsageError

TEMPLATE = '''"""__CLASS__: say in a sentence what it measures.

Source: the paper or project that the questions, the prompt and the scorer come from.
Differs: what is done in another way here, and why.
"""

from __future__ import annotations

from typing import Any

from engine import Outcome, Score, SolverStrategy
from engine.scoring.number import extract_number, parse_number, same_number, show_number

PROMPT = "Please add the following numbers together: {question}\\n\\nOutput the result only."


class __CLASS__(SolverStrategy):
    """Asks each row once, and compares the number in the reply with the row's."""

    def __init__(self, dataset_ref: Any, model: str = "", agent: str = "", *, question: str = "input") -> None:
        super().__init__(model, agent)
        self.dataset_ref = dataset_ref
        self.question = question  # an option: engine run ... --question FIELD

    def evaluation_name(self) -> str:
        return "__NAME__"

    def compatible_datasets(self) -> list[str]:
        return ["*"]  # names that are part of the dataset's name or path; "*" is any

    async def solve(self, datum: dict[str, Any]) -> Score:
        session = self.start_inference_session(str(datum[self.question]))
        text = await session.run_task(PROMPT.format(question=datum[self.question]))
        given, wanted = extract_number(text), parse_number(str(datum["output"]))
        if given is None:  # no answer is another thing than a wrong one
            return Score(value=0.0, outcome=Outcome.UNPARSED, info={"looked_at": text[-200:]})
        return Score(value=float(same_number(given, wanted)), answer=show_number(given))
'''


def solver(name: str, /, *, folder: Path = Path()) -> int:
    """Write NAME.py with a solver that runs at once, and say how; a file that is there is left alone.

    Args:
        name: as `my_sums` or `MySums`.
        folder: where the file is written.
    """
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+|[A-Z]", name)
    stem = "_".join(word.lower() for word in words).removesuffix("_strategy").removesuffix("_solver")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or not stem or keyword.iskeyword(stem):
        raise UsageError(f"{name!r} is no name for a solver", hint="use letters, digits and _, as my_sums or MySums")
    class_name = "".join(word[:1].upper() + word[1:] for word in stem.split("_")) + "Solver"
    path = folder.expanduser() / f"{stem}.py"
    text = TEMPLATE.replace("__CLASS__", class_name).replace("__NAME__", stem)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise UsageError(
            f"{str(path)!r} is there already", hint="choose another name, or take the file away"
        ) from error
    except OSError as error:
        raise UsageError(
            f"{str(path)!r} cannot be written: {error.strerror}", hint="choose another --folder"
        ) from error
    print(f"wrote {path}; now change it, and run it on a dataset of your own:")
    print(f"  engine run generated:3_digit_addition {path}:{class_name} --model simulated::calculator")
    return 0
