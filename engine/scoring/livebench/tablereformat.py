"""LiveBench `tablereformat`: a table in another format, its cells compared one by one.

Source: `livebench/process_results/data_analysis/tablereformat/utils.py`, and pandas for what a table's text means.
Differs: HTML is taken apart by the standard library, see `html_table`.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import warnings
from numbers import Number
from typing import Any

from engine.errors import SolverError
from engine.scoring.livebench.html_table import read_tables

SECOND_VERSION = "2025-04-25"
"""From this release on, questions name their formats in lines of their own."""
ASKED = re.compile(r"Please convert the Input Table from (?:.*?) format to (.*?) format", re.DOTALL)
TARGET = re.compile(r".*Target Format: (.*)")
SOLUTION = re.compile(r"<solution>(.*?)</solution>", re.DOTALL)
FENCED = (re.compile(r"```json\n(.*?)```", re.DOTALL), re.compile(r"```html\n(.*?)```", re.DOTALL))
FENCE = re.compile(r"^```.*\n")
OPENING = re.compile(r"^\s*(?:Here|Input)\b.*?\b(?:format|table)\s*[:)]\s*", re.IGNORECASE)
CLOSE = 1e-6
SEPARATORS = {"csv": ",", "tsv": "\t"}


def score(reply: str, truth: str, question: str, release: str) -> float:
    """1 where the reply's table has the reference's columns, in any order, its rows, in this order, and its cells.

    Raises:
        SolverError: the question names no format, or the reference cannot be read in it.
    """
    later = release >= SECOND_VERSION
    form = target_format(question, later=later)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = _read(form, truth, later=later)
        if wanted is None:
            raise SolverError(f"tablereformat: the reference is no {form}: {truth!r:.80}", hint="see ground_truth")
        text = table_text(reply)
        given = _read(form, text, later=later)
        if given is not None and _same_table(given, wanted):
            return 1.0
        within = _read_within(form, text, list(wanted.columns)) if given is None or form != "tsv" else None
        return float(within is not None and _same_table(within, wanted))


def target_format(question: str, *, later: bool) -> str:
    """`json`, `jsonl`, `html`, `csv`, `tsv` or `markdown`, as the question asks.

    Raises:
        SolverError: it names none.
    """
    named = TARGET.findall(question)[-1:] if later else ASKED.findall(question)[:1]
    if not named:
        raise SolverError(f"tablereformat: the question names no format: {question!r:.80}", hint="see turns")
    return str(named[0]).strip().lower()


def table_text(reply: str) -> str:
    """The part of the reply that is read: its solution, its last fenced block, else all; without an opening phrase."""
    found = SOLUTION.findall(reply)
    while found:
        reply = found[-1].strip()
        found = SOLUTION.findall(reply)
    for fence in FENCED:
        if blocks := fence.findall(reply):
            reply = blocks[-1].strip()
            break
    else:
        reply = FENCE.sub("", reply).replace("&amp;", "&").replace("```", "").strip()
    return OPENING.sub("", reply).strip()


def _read(form: str, text: str, *, later: bool) -> Any:
    """The table as a data frame; None where pandas cannot read it."""
    import pandas as pd  # type: ignore[import-untyped]

    ways: list[dict[str, Any]] = [{"orient": "table"}, {"orient": "index"}, {"orient": "records"}]
    if not later:
        ways = [{"orient": "index"}, ways[2], {"orient": "records", "lines": True}, ways[0], {"orient": "values"}]
    if form != "json":
        ways = [{}]
    for way in ways:
        try:
            if form == "json":
                return pd.read_json(io.StringIO(text), **way)
            if form == "jsonl":
                return pd.read_json(io.StringIO(text), orient="records", lines=True)
            if form == "html":
                return _read_html(text)
            if form == "markdown":
                return _read_markdown(text, later=later)
            return pd.read_csv(io.StringIO(text), sep=SEPARATORS[form])
        except Exception:  # noqa: BLE001, S112 - pandas raises anything on what it cannot read
            continue
    return None


def _read_html(text: str) -> Any:
    import pandas as pd

    frames = []
    for header, body in read_tables(text):
        stream = io.StringIO()
        csv.writer(stream).writerows([header, *body] if header else body)
        stream.seek(0)
        frames.append(pd.read_csv(stream, header=0 if header else None, thousands=",", skip_blank_lines=False))
    return pd.concat(frames, axis=0)


def _read_markdown(text: str, *, later: bool) -> Any:
    import pandas as pd

    if not later:
        return pd.read_table(io.StringIO(text), sep="|", header=0, index_col=1, skipinitialspace=True)
    lines = text.strip().split("\n")
    rows = io.StringIO("\n".join([lines[0], *lines[2:]]))
    return pd.read_table(rows, sep="|", header=0, skipinitialspace=True).iloc[:, 1:-1]


def _read_within(form: str, text: str, columns: list[Any]) -> Any:
    """The table from the line that is its header on, less lines at the end that are not of it; None without one."""
    import pandas as pd

    if form == "jsonl":
        return _read_lines(text, columns)
    if form not in SEPARATORS:
        return None
    header = SEPARATORS[form].join(map(str, columns)).strip()
    lines = text.strip().split("\n")
    begin = next((at for at, line in enumerate(lines) if line.strip() == header), None)
    if begin is None:
        return None
    for end in range(len(lines), begin, -1):
        try:
            return pd.read_csv(io.StringIO("\n".join(lines[begin:end])), sep=SEPARATORS[form])
        except Exception:  # noqa: BLE001, S112 - one line less may be a table
            continue
    return None


def _read_lines(text: str, columns: list[Any]) -> Any:
    """The lines that are objects and name every column."""
    import pandas as pd

    rows = []
    for line in text.strip().split("\n"):
        if line.startswith("{") and line.endswith("}") and all(str(column) in line for column in columns):
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue
    return pd.DataFrame(rows) if rows else None


def _same_table(given: Any, wanted: Any) -> bool:
    try:
        left, right = _columns(given), _columns(wanted)
        if len(given) != len(wanted) or sorted(left) != sorted(right):
            return False
        return all(_same_cell(a, b) for name in left for a, b in zip(left[name], right[name], strict=True))
    except Exception:  # noqa: BLE001 - columns that are no texts, cells that cannot be compared: another table
        return False


def _columns(frame: Any) -> dict[str, list[Any]]:
    """Cells by the stripped name of their column; a column `index` is not looked at.

    Raises:
        ValueError: two columns have one name.
    """
    names = [name for name in frame.columns if name.strip() != "index"]
    if len({name.strip() for name in names}) < len(names):
        raise ValueError(names)
    return {name.strip(): frame[name].tolist() for name in names}


def _same_cell(given: Any, wanted: Any) -> bool:
    if isinstance(given, Number) and isinstance(wanted, Number):
        one, other = float(given), float(wanted)  # type: ignore[arg-type]
        return (math.isnan(one) and math.isnan(other)) or abs(one - other) < CLOSE
    one_text = given.strip() if isinstance(given, str) else given
    other_text = wanted.strip() if isinstance(wanted, str) else wanted
    return bool(one_text == other_text)
