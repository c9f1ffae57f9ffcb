"""Writing into the registry so that what is listed is whole: copies grow aside, and appear by one rename."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from engine.errors import StorageError, UsageError
from engine.registry.manifest import METADATA

INCOMING = ".incoming-"
LOCK = ".lock"
STALE_S = 86_400.0


@contextmanager
def disk_errors(where: Path) -> Iterator[None]:
    """Errors of the file system as ours.

    Raises:
        StorageError: the disk is full, or may not be written.
    """
    try:
        yield
    except OSError as error:
        what = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
        raise StorageError(f"{where}: cannot be written, {what}", hint="check space and permissions") from error


@contextmanager
def incoming(root: Path, *, key: str = "") -> Iterator[Path]:
    """A folder for a copy that is being made, never listed; it is gone afterwards, unless it was placed.

    With a `key` it is always the same folder, and stays after an error, so that the copy can go on later.

    Raises:
        UsageError: another process is at work under this key.
    """
    root.mkdir(parents=True, exist_ok=True)
    sweep(root)
    if key:
        folder = root / f"{INCOMING}{key}"
        folder.mkdir(mode=0o700, exist_ok=True)
    else:
        folder = Path(tempfile.mkdtemp(prefix=INCOMING, dir=root))
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{folder}: another process is making this copy", hint="wait until it has ended") from None
        yield folder
    finally:
        os.close(handle)
        if not key:
            shutil.rmtree(folder, ignore_errors=True)


def sweep(root: Path) -> None:
    """Take away what a process that was killed had not finished, a day later."""
    for left in root.glob(f"{INCOMING}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime < STALE_S:
                continue
            handle = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink()
            finally:
                os.close(handle)


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """The registry for oneself, for the moment in which something appears or changes in it."""
    handle = os.open(root / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def place(folder: Path, target: Path, metadata: Mapping[str, Any]) -> None:
    """Let a finished copy appear with this metadata, whole or not at all; what it replaces is taken away."""
    write(folder / METADATA, metadata)
    for each, _, _ in os.walk(folder):
        Path(each).chmod(0o755)
        _sync(Path(each))
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        gone = Path(tempfile.mkdtemp(prefix=INCOMING, dir=folder.parent))
        target.rename(gone / target.name)
        folder.rename(target)
        shutil.rmtree(gone, ignore_errors=True)
    else:
        folder.rename(target)
    _sync(target.parent)


def rewrite(root: Path, target: Path, metadata: Mapping[str, Any]) -> None:
    """Put new metadata in the place of the old, whole or not at all."""
    handle, name = tempfile.mkstemp(prefix=INCOMING, dir=root)
    os.close(handle)
    try:
        write(Path(name), metadata)
        Path(name).chmod(0o644)
        Path(name).replace(target)
        _sync(target.parent)
    finally:
        Path(name).unlink(missing_ok=True)


def write(target: Path, metadata: Mapping[str, Any]) -> None:
    """Write an object as JSON, and wait until it is on disk."""
    text = json.dumps(metadata, indent=2, ensure_ascii=False) + "\n"
    with target.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
