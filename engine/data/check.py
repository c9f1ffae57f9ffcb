"""Reading all rows once before anything is sent, and remembering what was found until the file changes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path

from engine.data.ids import UniqueIds, text_id
from engine.data.rows import Form, Seen, Summary
from engine.errors import DatasetError

VERSION = 1
"""Raised whenever a check finds more, or a fingerprint is made otherwise, so that nothing old is believed."""

Stamp = list[list[str | int]]


def summarise(form: Form, path: Path, *, files: Sequence[Path], id_field: str | None, cache: Path | None) -> Summary:
    """What one pass over all rows finds; from `cache` where none of the files changed since the last pass.

    `files` are those that the rows come from: path, size and times of each are what tells a change.

    Raises:
        DatasetError: there are no rows, one is broken, or a declared id comes twice.
    """
    key = json.dumps([VERSION, form.name, str(path), id_field])
    return remember(key, path, files=files, cache=cache, make=lambda: _pass(form, path, id_field))


def remember(
    key: str, path: Path, *, files: Sequence[Path], cache: Path | None, make: Callable[[], Summary]
) -> Summary:
    """What `make` finds, or what it found under this key when the files were as they are now.

    Raises:
        DatasetError: a file is not there, or changed while it was being read.
    """
    stamp = stamp_of(files)
    kept = cache / f"{blake2b(key.encode(), digest_size=16).hexdigest()}.json" if cache is not None else None
    if kept is not None and (known := _recall(kept, stamp)):
        return known
    summary = make()
    if stamp_of(files) != stamp:
        raise DatasetError(f"{path}: changed while it was being read", hint="start again when it is complete")
    if kept is not None:
        _keep(kept, stamp, summary)
    return summary


def stamp_of(files: Iterable[Path]) -> Stamp:
    """Path, size and times of change of each file.

    Raises:
        DatasetError: one of them is not there.
    """
    stamp: Stamp = []
    for path in files:
        try:
            status = path.stat()
        except OSError as error:
            raise DatasetError(f"{path}: cannot be read, {error.strerror}", hint="check the path") from error
        # The time of change tells an edit that keeps size and time of modification, as `cp -p` and rsync do.
        stamp.append([str(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns])
    return stamp


def _pass(form: Form, path: Path, id_field: str | None) -> Summary:
    seen = Seen()
    seen.digest.update(form.name.encode() + b"\0")
    ids = UniqueIds(id_field, where=lambda place: form.where(path, place))
    columns: dict[str, None] = {}
    count = 0
    for place, row in form.scan(path, seen):
        count += 1
        if not row.keys() <= columns.keys():
            columns.update(dict.fromkeys(row))
        ids.add(row, place)
    if not count:
        raise DatasetError(f"{path}: holds no rows", hint="check that the file was written whole")
    if ids.repeated:
        _name_both(form, path, ids.field, *ids.repeated)
    return Summary(count, seen.digest.hexdigest(), tuple(columns), tuple(seen.marks))


def _name_both(form: Form, path: Path, field: str, value: str, second: int) -> None:
    first = next(place for place, row in form.scan(path, Seen()) if text_id(row, field) == value)
    if first == second:  # two ids with one hash: nothing is wrong
        return
    raise DatasetError(
        f"{form.where(path, second)}: the {field} {value!r} is also that of {form.where(path, first)}",
        hint='make it unique; where it is no id, write {"details": {"id_field": ""}} into metadata.json beside it',
    )


def _recall(kept: Path, stamp: Stamp) -> Summary | None:
    try:
        found = json.loads(kept.read_bytes())
        if found["stamp"] != stamp:
            return None
        known = found["summary"]
        return Summary(known["rows"], known["fingerprint"], tuple(known["columns"]), tuple(known["marks"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(kept: Path, stamp: Stamp, summary: Summary) -> None:
    """Written whole or not at all; a cache that cannot be written costs time at the next start and no more."""
    part = kept.with_suffix(f".{os.getpid()}.part")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({"stamp": stamp, "summary": asdict(summary)}), encoding="utf-8")
        part.replace(kept)
    except OSError:
        with suppress(OSError):
            part.unlink()
