"""Folders written by `Dataset.save_to_disk`, read with pyarrow alone where plain values are all they hold.

Importing pyarrow takes a tenth of a second, importing `datasets` more than one. What needs the library to
be decoded (images, audio, dates, index files, a format that was set) is left to `datasets.load_from_disk`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.data.content import hash_content
from engine.data.filerows import FileRows
from engine.data.rows import Row, Seen, Summary, Wanted, pick
from engine.errors import DatasetError

PLAIN = frozenset(
    ["string", "large_string", "bool", "null", "float32", "float64"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)
PIECE_ROWS = 256


class SavedArrow:
    """Plain values: the Arrow streams are mapped into memory and decoded a piece at a time.

    The fingerprint covers the rows and not the files, so that the same rows in other shards are the same.
    """

    name = "rows"

    def __init__(self, shards: list[Path]) -> None:
        self._shards = shards

    def scan(self, path: Path, seen: Seen) -> Iterator[tuple[int, Row]]:
        """`(index, row)` for all rows."""
        del path
        for start, rows in self._pieces():
            for index, row in enumerate(rows, start):
                hash_row(row, seen)
                yield index, row

    def read(self, path: Path, wanted: Wanted, summary: Summary) -> Iterator[tuple[int, Row]]:
        """The wanted rows."""
        del path, summary
        return pick(self._pieces(wanted), wanted)

    def where(self, path: Path, place: int) -> str:
        """`path row INDEX`."""
        return f"{path} row {place}"

    def _pieces(self, wanted: Wanted | None = None) -> Iterator[tuple[int, list[Row]]]:
        start = 0
        for shard in self._shards:
            for batch in _batches(shard):
                for offset in range(0, batch.num_rows, PIECE_ROWS):
                    piece = batch.slice(offset, PIECE_ROWS)
                    if wanted is None or (wanted.head is not None and wanted.head < start + piece.num_rows):
                        yield start, piece.to_pylist()
                    start += piece.num_rows


class SavedOther:
    """Everything else: rows as `datasets` decodes them; the fingerprint covers the files as they are."""

    name = "saved"

    def __init__(self, files: list[Path]) -> None:
        self._files = files
        self._held: Any = None

    def scan(self, path: Path, seen: Seen) -> Iterator[tuple[int, Row]]:
        """`(index, row)` for all rows."""
        for file in self._files:
            hash_content(file, seen)
        yield from enumerate(self._dataset(path))

    def read(self, path: Path, wanted: Wanted, summary: Summary) -> Iterator[tuple[int, Row]]:
        """The wanted rows."""
        del summary
        held = self._dataset(path)
        while wanted.head is not None:
            yield wanted.head, held[wanted.head]
            wanted.advance()

    def where(self, path: Path, place: int) -> str:
        """`path row INDEX`."""
        return f"{path} row {place}"

    def _dataset(self, path: Path) -> Any:
        if self._held is None:
            self._held = _load(path)
        return self._held


def is_saved(folder: Path) -> bool:
    """Whether the folder is one dataset that was saved."""
    return (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()


def saved_splits(folder: Path) -> list[str]:
    """The splits of a saved `DatasetDict`, in its order; none where the folder is no such thing.

    Raises:
        DatasetError: `dataset_dict.json` is broken.
    """
    listing = folder / "dataset_dict.json"
    if not listing.is_file():
        return []
    splits = _read_json(listing).get("splits")
    if not isinstance(splits, list) or not all(isinstance(name, str) and Path(name).name == name for name in splits):
        raise DatasetError(f"{listing}: has no list of splits: {splits!r}", hint="save the dataset again")
    return splits


def saved_split_name(folder: Path) -> str:
    """The split that a saved dataset says it is; empty where it does not."""
    return str(_read_json(folder / "state.json").get("_split") or "")


def open_saved(folder: Path, *, cache: Path | None, id_field: str | None) -> FileRows:
    """The rows of one saved dataset.

    Raises:
        DatasetError: it is damaged, or holds no rows.
    """
    state, info = _read_json(folder / "state.json"), _read_json(folder / "dataset_info.json")
    try:
        shards = [folder / Path(part["filename"]).name for part in state["_data_files"]]
        indices = [folder / part["filename"] for part in state.get("_indices_data_files") or ()]
    except (KeyError, TypeError) as error:
        raise DatasetError(f"{folder / 'state.json'}: lacks {error}", hint="save the dataset again") from error
    described = [folder / "state.json", folder / "dataset_info.json"]
    features = info.get("features")
    formatted = state.get("_format_type") or state.get("_format_columns") or state.get("_format_kwargs")
    simple = bool(features) and not formatted and not any(name.startswith("_indices") and state[name] for name in state)
    form = SavedArrow(shards) if simple and _is_plain(features) else SavedOther([*described, *shards, *indices])
    return FileRows(
        form,
        folder,
        cache=cache,
        id_field=id_field,
        files=[*described, *shards, *indices],
        load_hf=lambda: _load(folder),
    )


def hash_row(row: Row, seen: Seen) -> None:
    """Let a row of plain values go into `seen`: one line of JSON, as in JSON Lines."""
    seen.digest.update(json.dumps(row, separators=(",", ":")).encode() + b"\n")


def _is_plain(spec: Any) -> bool:
    """Whether a feature is made of text, numbers, truth values, lists and structs alone."""
    if not isinstance(spec, dict):
        return False
    kind = spec.get("_type")
    if kind is None:
        return all(_is_plain(part) for part in spec.values())
    if kind == "Value":
        return spec.get("dtype") in PLAIN
    if kind in ("List", "LargeList", "Sequence"):
        part = spec.get("feature")
        # Older versions turned a Sequence of structs into a struct of lists.
        return _is_plain(part) and (kind != "Sequence" or "_type" in spec["feature"])
    return bool(kind == "ClassLabel")


def _batches(shard: Path) -> Iterator[Any]:
    import pyarrow as pa

    try:
        with pa.memory_map(str(shard)) as source, pa.ipc.open_stream(source) as reader:
            yield from reader
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(
            f"{shard}: is not a sound Arrow stream, {str(error).splitlines()[0]}", hint="save the dataset again"
        ) from error


def _load(folder: Path) -> Any:
    import datasets

    try:
        return datasets.load_from_disk(str(folder))
    except Exception as error:
        raise DatasetError(
            f"{folder}: datasets cannot load it, {str(error).splitlines()[0] if str(error) else error!r}",
            hint="save the dataset again with the installed version of datasets",
        ) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read, {error}", hint="save the dataset again") from error
    if not isinstance(value, dict):
        raise DatasetError(f"{path}: is not an object", hint="save the dataset again")
    return value
