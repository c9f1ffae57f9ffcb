"""An entry of the registry -> the evaluation that it holds; entries are foreign text, so each part is doubted alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from engine.evaluations.evaluation import FRACTION, Evaluation, Metric, evaluation_of

EVALUATION, METRICS, METADATA = "evaluation.json", "metrics.json", "metadata.json"
PLACE = Path(".engine", "store")
"""The file beside an entry's content that says in which database it was recorded; what is passed on leaves it out."""
ABOUT = "evaluated_entry_metadata"
LARGEST_BYTES = 64 * 2**20
"""A file that is larger holds no figures."""
MALFORMED = (OSError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError)
"""What reading an entry may raise, whatever is in it."""


def read_evaluation(folder: Path) -> tuple[Evaluation, list[str]]:
    """The evaluation in a folder of the registry, and what of it is left out.

    It is one of ours, or one with nothing but the seed's metrics.json; there, figures that are no numbers are
    left out, and the others stay.

    Raises:
        OSError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError: it is malformed.
    """
    name = "/".join(folder.parts[-3:])
    if (folder / EVALUATION).is_file():
        made = evaluation_of_ours(_object(folder / EVALUATION), name)
        return replace(made, place=_place(folder)), []
    flat = _object(folder / METRICS)
    about = flat.pop(ABOUT, None) or {}
    metrics, left_out = {}, []
    for key, value in flat.items():
        number = _number(value)
        if number is None:
            left_out.append(f"metric {key!r:.80} of {name} is left out: {value!r:.60} is no number")
        else:
            metrics[key] = _seed_metric(key, number)
    if not metrics:
        raise ValueError(f"{METRICS} holds no number")
    made = Evaluation(
        evaluation_id="e" + blake2b(name.encode(), digest_size=5).hexdigest(),
        name=name,
        about={str(key): whole_text(value) for key, value in about.items() if value},
        created_at=(folder / METRICS).stat().st_mtime,
        metrics=metrics,
    )
    return made, left_out


def keep_place(folder: Path, url: str) -> None:
    """Write beside an entry's content in which database it was recorded.

    Raises:
        OSError: it cannot be written.
    """
    (folder / PLACE).parent.mkdir(exist_ok=True)
    (folder / PLACE).write_text(url, encoding="utf-8")


def _place(folder: Path) -> str:
    try:
        return (folder / PLACE).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def is_shown(folder: Path) -> bool:
    """Whether the entry's own metadata lets it be seen.

    Raises:
        OSError, ValueError, ...: as for `read_evaluation`.
    """
    return _object(folder / METADATA).get("show_entry", True) is not False


def whole_text(value: Any) -> str:
    """The value as text that can be written anywhere: half of a surrogate pair is replaced."""
    return str(value).encode("utf-8", "replace").decode()


def _object(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    if size > LARGEST_BYTES:
        raise ValueError(f"{path.name} has {size:,} bytes")
    found = json.loads(path.read_bytes())
    if not isinstance(found, dict):
        raise TypeError(f"{path.name} holds no object")
    return found


def evaluation_of_ours(found: Mapping[str, Any], name: str) -> Evaluation:
    """The evaluation that `Evaluation.as_dict` was written from.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it was not.
    """
    row = {**found, "name": name, "options": json.dumps(found["options"])}
    metrics = [_our_metric(each) for each in found["metrics"]]
    return evaluation_of(row, {metric.name: metric for metric in metrics})


def _our_metric(found: Mapping[str, Any]) -> Metric:
    made = Metric(**{**found, "tags": tuple(found["tags"])})
    for value in (made.value, made.ci_low, made.ci_high, made.stderr, made.n):
        if value is not None and _number(value) is None:
            raise ValueError(f"{value!r:.60} in metric {made.name!r:.80} is no number")
    return made


def _number(value: Any) -> float | None:
    """The seed writes numbers, and its table strings of numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _seed_metric(name: str, number: float) -> Metric:
    """A figure of the seed, which is a percentage where it is one that a mean can be; its n is not known."""
    if 0 <= number <= 100:
        return Metric(name=name, value=number / 100, unit=FRACTION, higher_is_better=True)
    return Metric(name=name, value=number, higher_is_better=True)
