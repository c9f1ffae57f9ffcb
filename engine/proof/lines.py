"""The file of a bundle: gzipped JSON lines that end in their own hash, read as the text of a stranger."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from engine.errors import ProofError, StorageError

FORMAT, VERSION = "engine-bundle", 1
BUNDLE, END = "bundle", "end"
LARGEST_LINE_BYTES = 256 * 2**20
LARGEST_BYTES = 16 * 2**30
"""Of all lines together, as they are when they are unpacked: what a small file may grow to."""
MAGIC = b"\x1f\x8b"


class BundleWriter:
    """Writes lines to a file that appears when it is whole; the same lines make the same bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._growing = path.with_name(f".{path.name}.{os.getpid()}")
        self._hash = sha256()
        self._lines = 0
        self.digest = ""
        """SHA-256 over the lines, when the file is whole."""

    def __enter__(self) -> Self:
        """Open it, and write what says which format it is.

        Raises:
            StorageError: the file cannot be made.
        """
        try:
            self._raw = self._growing.open("wb")
        except OSError as error:
            raise self._unwritable(error) from error
        self._packed = gzip.GzipFile(filename="", mode="wb", fileobj=self._raw, mtime=0)
        self.write(BUNDLE, format=FORMAT, version=VERSION, replay="engine verify FILE")
        return self

    def write(self, kind: str, /, **fields: Any) -> None:
        """Write a line of this kind.

        Raises:
            StorageError: the disk is full, or whatever keeps it from being written.
        """
        line = json.dumps({"kind": kind, **fields}, ensure_ascii=True, separators=(",", ":"), default=str).encode()
        self._hash.update(line + b"\n")
        self._lines += 1
        self._append(line)

    def _append(self, line: bytes) -> None:
        try:
            self._packed.write(line + b"\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the file in its place; after a failure nothing is left of it."""
        try:
            if error is None:
                self.digest = self._hash.hexdigest()
                end = {"kind": END, "lines": self._lines, "sha256": self.digest}
                self._append(json.dumps(end).encode())
                self._packed.close()
                self._raw.flush()
                os.fsync(self._raw.fileno())
                self._growing.replace(self._path)
        except OSError as failure:
            raise self._unwritable(failure) from failure
        finally:
            with suppress(OSError):
                self._raw.close()
            self._growing.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> StorageError:
        return StorageError(f"{self._path}: cannot be written, {error.strerror}", hint="choose another place")


class BundleLines:
    """The lines of a bundle between its first and its last, which are checked whenever it is read through."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.digest = ""
        """SHA-256 over the lines, when they were read through once."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The lines as objects.

        Raises:
            ProofError: it is no bundle, is cut short, or was changed; one sentence says what and where.
        """
        path, digest, total, number, ended = self._path, sha256(), 0, 0, False
        for line in _unpacked(path):
            number += 1
            total += len(line)
            if total > LARGEST_BYTES:
                raise _broken(path, f"it holds more than {LARGEST_BYTES // 2**30} GiB")
            if ended:
                raise _broken(path, f"something stands after its end, in line {number}")
            found = _parsed(path, number, line)
            if number == 1:
                _check_head(path, found)
            if found["kind"] == END:
                _check_end(path, found, number - 1, digest.hexdigest())
                ended = True
                continue
            digest.update(line)
            if number > 1:
                yield found
        if not ended:
            raise _broken(path, f"it is cut short after line {number}")
        self.digest = digest.hexdigest()


def _unpacked(path: Path) -> Iterator[bytes]:
    number = 0
    try:
        with path.open("rb") as raw:
            if raw.read(2) != MAGIC:
                raise _no_bundle(path)
            raw.seek(0)
            with gzip.GzipFile(fileobj=raw, mode="rb") as file:
                while line := file.readline(LARGEST_LINE_BYTES + 1):
                    number += 1
                    if len(line) > LARGEST_LINE_BYTES:
                        raise _broken(path, f"line {number} is longer than {LARGEST_LINE_BYTES // 2**20} MiB")
                    yield line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _broken(path, f"it is cut short or damaged after line {number}") from error
    except OSError as error:
        raise ProofError(f"{path}: cannot be read, {error.strerror or error}", hint="check the path") from error


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"line {number} is no JSON that can be read") from error
    if not isinstance(found, dict) or not isinstance(found.get("kind"), str):
        if number == 1:
            raise _no_bundle(path)
        raise _broken(path, f"line {number} is of no kind")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _check_head(path: Path, found: dict[str, Any]) -> None:
    if found["kind"] != BUNDLE or found.get("format") != FORMAT:
        raise _no_bundle(path)
    if found.get("version") != VERSION:
        raise ProofError(
            f"{path}: is a bundle of version {found.get('version')!r:.40}, this engine reads version {VERSION}",
            hint="verify it with the engine that made it, or a newer one",
        )


def _check_end(path: Path, found: dict[str, Any], lines: int, digest: str) -> None:
    if found.get("lines") != lines or found.get("sha256") != digest:
        raise ProofError(
            f"{path}: its content is not what its own hash says, it was changed after it was made",
            hint="get it again from where it was published",
        )


def _broken(path: Path, what: str) -> ProofError:
    return ProofError(f"{path}: {what}", hint="get it again from where it was published")


def _no_bundle(path: Path) -> ProofError:
    return ProofError(f"{path}: is no bundle", hint="engine evaluation bundle ID makes one")
