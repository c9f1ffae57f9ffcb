"""MMLU as it was published: an archive, or a folder, of CSV files without a header, one for each subject and split.

Source: Hendrycks et al. 2021, arXiv 2009.03300; `data/{dev,val,test}/<subject>_<split>.csv` with question, four
    choices and a letter.
Differs: rows get the fields of the set on the hub, `question`, `subject`, `choices` and `answer` (0 to 3), and an `id`.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from engine.data.filerows import FileRows
from engine.data.made import MadeForm
from engine.data.rows import Row, Rows
from engine.data.source import Source
from engine.errors import DatasetError

FILE = re.compile(r"(?:^|.*/)(?P<split>dev|val|test)/(?P<subject>\w+)_(?P=split)\.csv")
LETTERS = "ABCD"
Reader = Callable[[], bytes]


def open_adapted(path: Path, *, name: str, cache: Path | None) -> Source | None:
    """The splits of an MMLU archive, of a folder with one in it, or of an unpacked archive."""
    if path.is_dir() and not (path / "test").is_dir() and not (path / "data" / "test").is_dir():
        archives = sorted(path.glob("*.zip"))
        if len(archives) != 1:
            return None
        path = archives[0]
    files = _packed(path) if path.is_file() else _unpacked(path)
    if not files:
        return None
    splits: dict[str, Callable[[], Rows]] = {}
    for split in dict.fromkeys(split for split, _ in sorted(files)):
        readers = {subject: read for (of, subject), read in sorted(files.items()) if of == split}
        splits[split] = partial(_open, path, split, readers, cache)
    return Source(name=name, path=path, splits=splits)


def _packed(path: Path) -> dict[tuple[str, str], Reader]:
    if path.suffix.lower() != ".zip" or not zipfile.is_zipfile(path):
        return {}
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    found = {each: match for each in names if (match := FILE.fullmatch(each))}
    return {(match["split"], match["subject"]): partial(_unzip, path, each) for each, match in found.items()}


def _unpacked(folder: Path) -> dict[tuple[str, str], Reader]:
    base = folder / "data" if (folder / "data").is_dir() else folder
    found = {each: FILE.fullmatch(f"/{each.parent.name}/{each.name}") for each in base.glob("*/*.csv")}
    return {(match["split"], match["subject"]): each.read_bytes for each, match in found.items() if match}


def _unzip(path: Path, member: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(member)
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise DatasetError(f"{path}: {member} cannot be read, {error}", hint="fetch the archive again") from error


def _open(path: Path, split: str, readers: Mapping[str, Reader], cache: Path | None) -> Rows:
    files = [path] if path.is_file() else sorted(_files(path, split))
    form = MadeForm(f"mmlu {split}", lambda: _rows(path, split, readers))
    return FileRows(form, path, cache=cache, files=files)


def _files(folder: Path, split: str) -> Iterator[Path]:
    base = folder / "data" if (folder / "data").is_dir() else folder
    return (base / split).glob("*.csv")


def _rows(path: Path, split: str, readers: Mapping[str, Reader]) -> Iterator[Row]:
    for subject, read in readers.items():
        where = f"{path}: {split}/{subject}_{split}.csv"
        try:
            text = read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DatasetError(f"{where}: is not UTF-8, byte {error.start + 1}", hint="fetch the set again") from error
        reader = csv.reader(io.StringIO(text, newline=""))
        for index, record in enumerate(record for record in reader if record):
            yield {"id": f"{subject}/{index}", **_row(record, subject, f"{where}:{reader.line_num}")}


def _row(record: list[str], subject: str, where: str) -> Row:
    if len(record) != 6 or record[5].strip() not in tuple(LETTERS):
        raise DatasetError(
            f"{where}: {len(record)} columns, the last {record[-1]!r:.40}",
            hint="a row is a question, four choices and a letter from A to D",
        )
    answer = LETTERS.index(record[5].strip())
    return {"question": record[0], "subject": subject, "choices": record[1:5], "answer": answer}
