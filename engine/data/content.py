"""The bytes of a data file less its compression, and its lines as text."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from engine.data.rows import Seen
from engine.errors import DatasetError

GZIP_MAGIC = b"\x1f\x8b"
BOM = b"\xef\xbb\xbf"
CHUNK_BYTES = 1 << 20


@contextmanager
def open_content(path: Path) -> Iterator[BinaryIO]:
    """The content of a file, decompressed where it begins as gzip does, whatever it is called.

    Raises:
        DatasetError: the file cannot be read, or is damaged; also while the content is being read.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == GZIP_MAGIC
            file.seek(0)
            if not packed:
                yield file
                return
            with gzip.open(file) as content:
                yield cast("BinaryIO", content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DatasetError(
            f"{path}: the compressed file is damaged, {error}", hint="fetch the file again, or unpack it with gunzip"
        ) from error
    except OSError as error:
        raise DatasetError(
            f"{path}: cannot be read, {error.strerror or error}", hint="check that the file is there and readable"
        ) from error


def read_content(path: Path, seen: Seen) -> bytes:
    """The whole content of a file, which also goes into `seen`."""
    with open_content(path) as stream:
        content = stream.read()
    seen.digest.update(content)
    return content


def hash_content(path: Path, seen: Seen) -> None:
    """Let the content of a file go into `seen`, a piece at a time."""
    with open_content(path) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            seen.digest.update(chunk)


def text_lines(path: Path, seen: Seen) -> Iterator[str]:
    """The lines of a file as text with their line ends, less a byte order mark.

    Raises:
        DatasetError: a line is not UTF-8; it says which.
    """
    with open_content(path) as stream:
        for number, raw in enumerate(stream, 1):
            seen.digest.update(raw)
            body = raw.removeprefix(BOM) if number == 1 else raw
            try:
                yield body.decode()
            except UnicodeDecodeError as error:
                raise not_utf8(f"{path}:{number}", error) from None


def not_utf8(where: str, error: UnicodeDecodeError) -> DatasetError:
    """What to say about text in another encoding."""
    return DatasetError(
        f"{where}: is not UTF-8, byte {error.start + 1} is {error.object[error.start]:#04x}",
        hint="save the file as UTF-8: iconv -f FROM -t UTF-8",
    )
