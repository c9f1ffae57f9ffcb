"""Two folders change places, in one step where the system can: a kill finds each of them whole, and in a place."""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

AT_FDCWD, RENAME_EXCHANGE = -100, 2
NOT_POSSIBLE = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP})
"""What a system says that has no such step, or a file system on which it does not work."""


def exchange(one: Path, other: Path) -> None:
    """Let two folders of one file system change places.

    Raises:
        OSError: one of them is not there, or cannot be moved; both are as they were.
    """
    if not _at_once(one, other):
        _by_steps(one, other)


def _at_once(one: Path, other: Path) -> bool:
    """Whether the system did it; renameat2(2) of Linux, which Python has no name for."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    if rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in NOT_POSSIBLE:
        return False
    raise OSError(number, os.strerror(number), str(one))


def _by_steps(one: Path, other: Path) -> None:
    """Three renames; what a kill leaves between them has a hidden name."""
    aside = other.with_name(f".aside-{secrets.token_hex(4)}")
    other.rename(aside)
    try:
        one.rename(other)
    except BaseException:
        with suppress(OSError):  # somebody else's folder is there by now
            aside.rename(other)
        raise
    aside.rename(one)
