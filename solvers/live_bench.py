"""LiveBench: questions of many tasks and releases, each scored by its task's official rule.

Source: White et al. 2024, "LiveBench: A Challenging, Contamination-Free LLM Benchmark", arXiv 2406.19314, and the
    repository LiveBench/LiveBench. Prompts are the questions' own turns, said in one session.
Differs: nearai ran the whole benchmark as one task and scored it in a container; here each question is a task. Tasks
    that need such a container (coding) are not scored.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from engine.errors import SolverError
from engine.records import Score
from engine.scoring.apart import GivenUpError, apart
from engine.scoring.livebench.scorers import has_scorer, score_question
from solvers.strategy import SolverScoringMethod, SolverStrategy

FILES = ("question.jsonl", "question.jsonl.gz")
ALL = "all"
RELEASE = "2024-11-25"
JUDGEMENT_S = 8
"""Processor time that scoring one reply may take, as upstream gives a comparison of formulas."""


class LiveBenchSolverStrategy(SolverStrategy):
    """Asks a question's turns in one session, and scores the last reply.

    Metrics are fractions: `average` of the categories, `group/<category>` of the category's tasks, `task/<task>`
    of the task's questions. Those that are plain means of questions have n and interval.

    Args:
        dataset_ref: a folder with `question.jsonl` or `question.jsonl.gz` somewhere below, or rows.
        model: the model's name.
        agent: the agent's name.
        category: only these categories, by name with commas between.
        task: only these tasks, by name with commas between.
        release: questions that were in this release, as `2024-11-25`; `all` for every question that is there.
        only_scored: leave out questions of tasks that cannot be scored, in place of an error before the run.
    """

    scoring_method = SolverScoringMethod.Custom

    def __init__(
        self,
        dataset_ref: Any,
        model: str = "",
        agent: str = "",
        *,
        category: str = "",
        task: str = "",
        release: str = RELEASE,
        only_scored: bool = False,
    ) -> None:
        super().__init__(model, agent)
        self.dataset_ref = dataset_ref
        self.categories = _names(category)
        self.tasks = _names(task)
        self.release = release
        self.only_scored = only_scored

    def evaluation_name(self) -> str:
        """`live_bench`, and what was chosen of it: `live_bench_2024-06-24_math`."""
        chosen = [*sorted(self.categories), *sorted(self.tasks)]
        release = [] if self.release == RELEASE else [self.release]
        return "_".join(["live_bench", *release, *chosen, *(["scored"] if self.only_scored else [])])

    def compatible_datasets(self) -> list[str]:
        """`live_bench`, `livebench`."""
        return ["live_bench", "livebench"]

    def get_custom_tasks(self) -> list[dict[str, Any]]:
        """The chosen questions: files in the order of their paths, questions in the order of their file.

        Raises:
            SolverError: a file cannot be read, nothing is chosen, a question comes twice or cannot be scored.
        """
        chosen = [question for question in _read(self.dataset_ref) if self._is_chosen(question)]
        if not chosen:
            raise SolverError(
                f"no LiveBench question is of category {sorted(self.categories) or 'any'}, task "
                f"{sorted(self.tasks) or 'any'} and release {self.release!r}",
                hint="pass others, or --release all",
            )
        unscored = Counter(str(question.get("task")) for question in chosen if not has_scorer(question))
        if unscored and not self.only_scored:
            listing = ", ".join(f"{task} ({count})" for task, count in sorted(unscored.items()))
            raise SolverError(f"tasks that cannot be scored here: {listing}", hint="pass --only_scored true")
        _check_ids(chosen)
        return [question for question in chosen if has_scorer(question)]

    async def solve(self, datum: dict[str, Any]) -> Score:
        """The official score of the last reply.

        Raises:
            SolverError: the question has no turns, or is not as its task needs it.
        """
        turns = datum.get("turns")
        if not turns or not isinstance(turns, (list, tuple)):
            raise SolverError(f"LiveBench question {datum.get('question_id')!r} has no turns", hint="mend the question")
        session = self.start_inference_session(str(datum.get("question_id", ""))[:12])
        for turn in turns:
            text = await session.run_task(str(turn))
        info = {"category": datum.get("category"), "task": datum.get("task")}
        tags = (f"group/{info['category']}", f"task/{info['task']}")
        if not text.strip():
            return Score(value=0.0, tags=tags, info=info)
        try:
            value = await apart(score_question, str(text), datum, cpu_s=JUDGEMENT_S)
        except GivenUpError as error:
            return Score(value=0.0, tags=tags, info={**info, "gave_up": str(error)})
        return Score(value=value, tags=tags, info=info)

    def get_evaluation_metrics(self, tasks_results: Sequence[tuple[bool, Any]]) -> dict[str, Any]:
        """`average`, `group/<category>` and `task/<task>`.

        Source: `livebench/show_livebench_result.py`: the mean of category means of task means.
        """
        scores: dict[tuple[str, str], list[float]] = defaultdict(list)
        for result in tasks_results:
            _, info = result
            scores[str(info["category"]), str(info["task"])].append(getattr(result, "score", None) or 0.0)
        groups: dict[str, list[float]] = defaultdict(list)
        for (category, _), values in sorted(scores.items()):
            groups[category].append(fmean(values))
        means = {f"group/{category}": fmean(values) for category, values in sorted(groups.items())}
        tasks = {f"task/{task}": fmean(values) for (_, task), values in sorted(scores.items())}
        return {"average": fmean(means.values()), **means, **tasks}

    def _is_chosen(self, question: Mapping[str, Any]) -> bool:
        """Source: `livebench/common.py`: released by then, and not removed by then."""
        if self.categories and question.get("category") not in self.categories:
            return False
        if self.tasks and question.get("task") not in self.tasks:
            return False
        removed = _day(question, "livebench_removal_date")
        released = _day(question, "livebench_release_date") <= self.release
        return self.release == ALL or (released and (not removed or removed > self.release))


def _read(dataset: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(dataset, str):
        yield from ({"id": row.get("question_id", ""), **row} for row in dataset)
        return
    files = sorted(path for path in Path(dataset).rglob("question.jsonl*") if path.name in FILES)
    if not files:
        raise SolverError(f"{dataset}: has no {FILES[0]} below it", hint="folders are <category>/<task>/question.jsonl")
    for path in files:
        yield from _read_file(path)


def _read_file(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            lines = stream.read().split(b"\n")
    except (OSError, EOFError) as error:
        raise SolverError(f"{path}: cannot be read: {error}", hint="mend the file") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _question(line, f"{path}:{number}")


def _question(line: bytes, where: str) -> dict[str, Any]:
    """A question with its `question_id` as `id`, which is what tasks are named by."""
    try:
        question = json.loads(line)
    except ValueError as error:
        raise SolverError(f"{where}: is no JSON: {error}", hint="mend the file") from error
    if not isinstance(question, dict):
        raise SolverError(f"{where}: is no object", hint="a line is a question")
    return {"id": question.get("question_id", ""), **question}


def _check_ids(questions: Iterable[Mapping[str, Any]]) -> None:
    ids = Counter(str(question.get("question_id")) for question in questions)
    twice = [name for name, count in ids.items() if count > 1]
    if twice:
        raise SolverError(f"LiveBench question {twice[0]!r} comes twice", hint="take one of them away")


def _day(question: Mapping[str, Any], field: str) -> str:
    """A date as text, `2024-11-25`; empty where there is none."""
    return str(question.get(field) or "")[:10]


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())
