"""Which format a data file is in, which split it holds, and which files of a folder are data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.data.content import open_content
from engine.data.delimited import Delimited
from engine.data.documents import Document
from engine.data.json_text import BrokenJsonError, decode
from engine.data.lines import BLANK, Lines
from engine.data.parquet import Parquet
from engine.data.rows import Form
from engine.errors import DatasetError

FORMS: dict[str, Callable[[], Form]] = {
    ".jsonl": Lines,
    ".ndjson": Lines,
    ".json": Document,
    ".csv": lambda: Delimited("csv", ","),
    ".tsv": lambda: Delimited("tsv", "\t"),
    ".parquet": Parquet,
}
BESIDE_DATA = frozenset({"metadata.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})
"""Files that describe a dataset; never splits of their own."""


def form_of(path: Path) -> Form:
    """How to read the file: by its name, less `.gz`; by how it begins where the name does not tell.

    A `.json` whose first line is a whole object with more below it is read as JSON Lines.

    Raises:
        DatasetError: neither name nor content tells.
    """
    ending = _ending(path)
    if ending in FORMS and ending != ".json":
        return FORMS[ending]()
    with open_content(path) as stream:
        if stream.read(4) == b"PAR1":
            return Parquet()
        stream.seek(0)
        first = next((body for raw in stream if (body := raw.strip(BLANK))), b"")
        more = any(raw.strip(BLANK) for raw in stream) if first.startswith(b"{") else False
    if more and _is_object(first):
        return Lines()
    if ending == ".json" or first[:1] in (b"[", b"{"):
        return Document()
    raise DatasetError(
        f"{path}: is in no known format", hint=f"name it by its format: {', '.join(FORMS)}, each also with .gz"
    )


def split_name(path: Path) -> str:
    """The name of the split that a file holds: its name less the endings."""
    name = _unpacked(path)
    return name[: -len(_ending(path))] if _ending(path) in FORMS else name


def data_files(folder: Path) -> list[Path]:
    """The files of the folder that are data by their names, sorted by name."""
    return sorted(
        path
        for path in folder.iterdir()
        if _ending(path) in FORMS and path.name not in BESIDE_DATA and not path.name.startswith(".") and path.is_file()
    )


def _ending(path: Path) -> str:
    return Path(_unpacked(path)).suffix.lower()


def _unpacked(path: Path) -> str:
    return path.name[:-3] if path.name.lower().endswith(".gz") else path.name


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(decode(body.decode()), dict)
    except (BrokenJsonError, UnicodeDecodeError):
        return False
