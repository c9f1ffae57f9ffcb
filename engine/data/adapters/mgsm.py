"""MGSM as it was published: a file without a header for each language, with a question and a number on each line.

Source: Shi et al. 2022, arXiv 2210.03057; `mgsm_<language>.tsv`.
Differs: rows get an `id` and the fields `question`, `answer` (the text of the number) and `language`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from engine.data.content import text_lines
from engine.data.filerows import FileRows
from engine.data.made import MadeForm
from engine.data.rows import Row, Rows, Seen
from engine.data.source import Source
from engine.errors import DatasetError

FILE = re.compile(r"mgsm_(?P<language>[a-z]{2,3})\.tsv(?:\.gz)?")


def open_adapted(path: Path, *, name: str, cache: Path | None) -> Source | None:
    """A split for each language; a folder without a chosen split is all of them, a file is its own language."""
    folder = path if path.is_dir() else path.parent
    if path.is_file() and not FILE.fullmatch(path.name):
        return None
    files = {match["language"]: each for each in sorted(folder.iterdir()) if (match := FILE.fullmatch(each.name))}
    if not files:
        return None
    opened = {language: partial(_open, each, [each], cache) for language, each in files.items()}
    splits: dict[str, Callable[[], Rows]] = dict(opened)
    whole = partial(_open, path, [path] if path.is_file() else list(files.values()), cache)
    return Source(name=name, path=path, splits=splits, rows=whole)


def _open(path: Path, files: Sequence[Path], cache: Path | None) -> Rows:
    form = MadeForm("mgsm", lambda: _rows(files))
    return FileRows(form, path, cache=cache, files=files)


def _rows(files: Sequence[Path]) -> Iterator[Row]:
    for path in files:
        match = FILE.fullmatch(path.name)
        language = match["language"] if match else ""
        for number, line in enumerate(text_lines(path, Seen()), 1):
            if not line.strip():
                continue
            question, tab, answer = line.rstrip("\r\n").rpartition("\t")
            if not tab or "\t" in question:
                raise DatasetError(f"{path}:{number}: {line.count(chr(9)) + 1} columns", hint="question, tab, number")
            identity = f"{language}/{number - 1}"
            yield {"id": identity, "question": question, "answer": answer.strip(), "language": language}
