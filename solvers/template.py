"""Any dataset without code: a prompt and a target as templates over the row's fields, and a scorer by name.

    engine run qa.jsonl TemplateSolver --prompt '{question}' --target '{answer}' --scorer includes

A template holds `{field}`, `{field.sub}` and `{choices[0]}`; `{{` and `}}` are braces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from hashlib import blake2b
from string import Formatter
from typing import Any

from engine.errors import SolverError
from engine.records import Outcome, Score
from engine.scoring.apart import GivenUpError, apart, check_not_apart
from engine.scoring.judges import is_heavy, judge_named, judge_version
from engine.scoring.thoughts import spoken

from .strategy import SolverStrategy

STEP = re.compile(r"\.([^.\[\]]+)|\[([^\[\]]+)\]")
PATH = re.compile(rf"([^.\[\]]+)((?:{STEP.pattern})*)")
LOOKED_AT = 200
"""Characters at the end of a reply without an answer which are kept with the task."""
Steps = tuple[str, ...]


class TemplateSolver(SolverStrategy):
    """Puts each row to the model by a template, and judges the reply by a scorer's name.

    Args:
        dataset_ref: any dataset.
        model: the model's name.
        agent: the agent's folder.
        prompt: template of the user's turn.
        target: template of what is wanted, as the scorer understands it.
        system: a system message, as it is.
        scorer: `exact`, `includes`, `number`, `choice`, `pattern`, or any other file of `engine/scoring`.
        few_shot: rows (or their JSON) that are shown before, as turns with their targets for replies; one
            whose prompt is the datum's own is left out.
        name: what results are recorded under, in place of a name made from the options.
    """

    def __init__(  # noqa: PLR0913 - a solver's options are its constructor
        self,
        dataset_ref: Any,
        model: str = "",
        agent: str = "",
        *,
        prompt: str,
        target: str,
        system: str = "",
        scorer: str = "exact",
        few_shot: Sequence[Mapping[str, Any]] | str | None = None,
        name: str = "",
    ) -> None:
        super().__init__(model, agent)
        self.dataset_ref = dataset_ref
        self.prompt = Template(prompt, what="prompt")
        self.target = Template(target, what="target")
        for template in (self.prompt, self.target):
            template.check(getattr(dataset_ref, "column_names", ()))
        self.system = system
        self.scorer = scorer
        self.judge = judge_named(scorer)
        self.heavy = is_heavy(scorer)
        if self.heavy:
            check_not_apart()
        rows = _rows(few_shot)
        self.shots = [(self.prompt.render(row), self.target.render(row)) for row in rows]
        self._name = name or _name(scorer, [prompt, target, system, self.shots])

    def evaluation_name(self) -> str:
        """The `name` option, else `template_<scorer>_<mark of prompt, target, system and examples>`."""
        return self._name

    def compatible_datasets(self) -> list[str]:
        """Any."""
        return ["*"]

    def scorer_versions(self) -> dict[str, int]:
        """The scorer that was asked for by name, with its version."""
        return {self.scorer: judge_version(self.scorer)}

    async def solve(self, datum: dict[str, Any]) -> Score:
        """The scorer's verdict on the reply.

        Where the answer is all of the reply and the reply was cut, there is no answer.

        Raises:
            SolverError: the row lacks a field that a template names, or its target does not fit the scorer.
        """
        prompt, target = self.prompt.render(datum), self.target.render(datum)
        session = self.start_inference_session(prompt[:60])
        if self.system:
            session.add_system_message(self.system)
        for asked, answered in self.shots:
            if asked != prompt:
                session.messages.append({"role": "user", "content": asked})
                session.messages.append({"role": "assistant", "content": answered})
        text = await session.run_task(prompt)
        said = spoken(text)
        try:
            verdict = await apart(self.judge, said, target) if self.heavy else self.judge(said, target)
        except GivenUpError as error:
            return Score(value=0.0, answer=str(text[-LOOKED_AT:]), info={"gave_up": str(error)})
        cut = not verdict.value and text.finish_reason == "length" and verdict.answer == said.strip()
        if cut or verdict.outcome is Outcome.UNPARSED:
            return Score(value=0.0, outcome=Outcome.UNPARSED, info={"looked_at": str(text[-LOOKED_AT:])})
        return Score(value=verdict.value, outcome=verdict.outcome, answer=verdict.answer)


class Template:
    """A text with fields in braces, taken apart once and filled in for each row.

    Raises:
        SolverError: braces do not match, or a field is not `name`, `name.sub` or `name[0]`.

    Source: the syntax of `str.format`.
    Differs: keys and positions only, never attributes; no conversion and no format; a field without a value
        is an error.
    """

    __slots__ = ("_parts", "what")

    def __init__(self, text: str, *, what: str) -> None:
        self.what = what
        try:
            parsed = list(Formatter().parse(text))
        except ValueError as error:
            raise self._wrong(f"{text!r:.120}: {error}") from error
        self._parts: list[tuple[str, str, Steps]] = []
        for literal, field, spec, conversion in parsed:
            if spec or conversion:
                raise self._wrong(f"{field!r} is followed by {(conversion or spec)!r}")
            self._parts.append((literal, field or "", self._steps(field) if field is not None else ()))

    def check(self, columns: Sequence[str]) -> None:
        """Whether every field is one of a dataset's, where the dataset says which it has.

        Raises:
            SolverError: no row has one of them.
        """
        for _, field, steps in self._parts if columns else ():
            if steps and not {field, steps[0]} & {*columns}:
                near = get_close_matches(steps[0], columns, n=1)
                guess = f"did you mean {{{near[0]}}}? " if near else ""
                raise SolverError(
                    f"solver 'TemplateSolver': the {self.what} names {field!r}, which no row has",
                    hint=f"{guess}the rows' fields: {', '.join(columns)}",
                )

    def render(self, row: Mapping[str, Any]) -> str:
        """The text with the row's values: strings as they are, numbers as digits, lists and objects as JSON.

        Raises:
            SolverError: the row lacks a field, or its value is null.
        """
        pieces = []
        for literal, field, steps in self._parts:
            pieces.append(literal)
            if steps:
                pieces.append(self._text(row, field, steps))
        return "".join(pieces)

    def _text(self, row: Mapping[str, Any], field: str, steps: Steps) -> str:
        value: Any = row
        for step in (field,) if field in row else steps:
            value = _step(value, step)
        if value is None:
            raise SolverError(
                f"the {self.what} names {field!r}, which the row has not or holds as null",
                hint=f"the row's fields: {', '.join(map(str, row)) or 'none'}",
            )
        return value if isinstance(value, str) else _json(value)

    def _steps(self, field: str) -> Steps:
        path = PATH.fullmatch(field)
        if path is None:
            raise self._wrong(f"{field!r} is no field")
        return (path[1], *(step[1] or step[2] for step in STEP.finditer(path[2])))

    def _wrong(self, why: str) -> SolverError:
        return SolverError(
            f"solver 'TemplateSolver': the {self.what} cannot be read: {why}",
            hint="fields are {name}, {name.sub} and {name[0]}; write {{ and }} for braces",
        )


def _step(value: Any, step: str) -> Any:
    """One step into a value; None where there is nothing of that name or position."""
    if isinstance(value, Mapping):
        return value.get(step)
    if isinstance(value, (list, tuple)) and step.removeprefix("-").isdecimal():
        return value[int(step)] if -len(value) <= int(step) < len(value) else None
    return None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _rows(few_shot: Sequence[Mapping[str, Any]] | str | None) -> Sequence[Mapping[str, Any]]:
    rows: Any = few_shot or ()
    if isinstance(rows, str):
        try:
            rows = json.loads(rows)
        except ValueError:
            rows = None
    if not isinstance(rows, (list, tuple)) or not all(isinstance(row, Mapping) for row in rows):
        raise SolverError(
            f"solver 'TemplateSolver': few_shot is {few_shot!r:.80}", hint="it is a list of rows, each a dict"
        )
    return rows


def _name(scorer: str, options: list[Any]) -> str:
    return f"template_{scorer}_{blake2b(_json(options).encode(), digest_size=4).hexdigest()}"
