"""IFEval: prompts with instructions that a program can check, as "no commas" or "at least 300 words".

Source: Zhou et al. 2023, "Instruction-Following Evaluation for Large Language Models", arXiv 2311.07911; prompts and
    checks are google-research's `instruction_following_eval`. The prompt is the row's own, and nothing else.
Differs: see `engine.scoring.instructions.checks`; thoughts in `<think>` tags are not checked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.errors import SolverError
from engine.records import Score
from engine.scoring.apart import GivenUpError, apart
from engine.scoring.instructions.checks import Followed, judge_instructions
from engine.scoring.thoughts import spoken
from solvers.strategy import SolverScoringMethod, SolverStrategy

JUDGEMENT_S = 5
"""Processor time that checking one reply may take, two thousand times what it takes."""
FIELDS = ("prompt", "instruction_id_list", "kwargs")


class IFEvalSolverStrategy(SolverStrategy):
    """Gives the prompt as it is; passed where the reply follows all of its instructions strictly.

    Metrics are fractions: `prompt_strict` and `prompt_loose` of prompts all of whose instructions are followed,
    `instruction_strict` and `instruction_loose` of instructions, and those two for each group of instructions
    and each instruction, as `instruction_strict/keywords` and `instruction_strict/keywords:existence`.
    """

    scoring_method = SolverScoringMethod.Custom

    def __init__(self, dataset_ref: Any, model: str = "", agent: str = "") -> None:
        super().__init__(model, agent)
        if isinstance(dataset_ref, str):
            raise SolverError(
                f"solver 'IFEvalSolverStrategy': {dataset_ref!r} holds no rows", hint="give a file, as input_data.jsonl"
            )
        self.dataset_ref = dataset_ref

    def evaluation_name(self) -> str:
        """`ifeval`."""
        return "ifeval"

    def compatible_datasets(self) -> list[str]:
        """`ifeval`, `instruction_following_eval`."""
        return ["ifeval", "instruction_following_eval"]

    def get_custom_tasks(self) -> list[dict[str, Any]]:
        """The rows in their order, named by their `key`."""
        return [{"id": row.get("key", ""), **row} for row in self.dataset_ref]

    async def solve(self, datum: dict[str, Any]) -> Score:
        """Passed where all instructions are followed strictly; `info` has a verdict for each, strict and loose.

        Raises:
            SolverError: the row lacks a field, or an instruction is unknown or lacks an argument.
        """
        _check_row(datum)
        names = list(datum["instruction_id_list"])
        text = await self.start_inference_session(str(datum["prompt"])[:60]).run_task(str(datum["prompt"]))
        said = spoken(text)
        if not said.strip():
            return _score(names, Followed((False,) * len(names), (False,) * len(names)), answer=None)
        try:
            followed = await apart(judge_instructions, str(said), names, list(datum["kwargs"]), cpu_s=JUDGEMENT_S)
        except GivenUpError as error:
            none = (False,) * len(names)
            return _score(names, Followed(none, none), answer="", gave_up=str(error))
        return _score(names, followed, answer=f"follows {sum(followed.strict)} of {len(names)}")

    def get_evaluation_metrics(self, tasks_results: Sequence[tuple[bool, Any]]) -> dict[str, Any]:
        """The four published figures, and the shares of instructions followed by group and by kind."""
        infos = [info for _, info in tasks_results]
        metrics = {}
        for level in ("strict", "loose"):
            metrics[f"prompt_{level}"] = _mean(all(info[level]) for info in infos)
        for level in ("strict", "loose"):
            groups: dict[str, list[bool]] = defaultdict(list)
            for info in infos:
                for name, done in zip(info["instructions"], info[level], strict=True):
                    for group in ("", f"/{name.split(':')[0]}", f"/{name}"):
                        groups[group].append(done)
            metrics.update({f"instruction_{level}{group}": _mean(groups[group]) for group in sorted(groups)})
        return metrics


def _score(names: list[str], followed: Followed, *, answer: str | None, gave_up: str = "") -> Score:
    info = {"instructions": names, "strict": list(followed.strict), "loose": list(followed.loose)}
    return Score(
        value=float(all(followed.strict)),
        answer=answer,
        info={**info, "gave_up": gave_up} if gave_up else info,
    )


def _check_row(datum: Mapping[str, Any]) -> None:
    missing = [field for field in FIELDS if not datum.get(field)]
    if missing:
        raise SolverError(
            f"solver 'IFEvalSolverStrategy': the row has no field {missing[0]!r}",
            hint=f"it needs {', '.join(FIELDS)}, and has: {', '.join(map(str, datum)) or 'nothing'}",
        )


def _mean(values: Iterable[bool]) -> float:
    all_values = list(values)
    return sum(all_values) / len(all_values)
