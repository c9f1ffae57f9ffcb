"""Where a result comes from: the state of the git repository that one stands in."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

PATIENCE_S = 5.0


def git_state() -> dict[str, Any]:
    """`commit` and `dirty` of the repository around the current folder; empty where there is none."""
    git = shutil.which("git")
    if git is None:
        return {}
    try:
        commit = _ask(git, "rev-parse", "HEAD")
        changed = _ask(git, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": commit, "dirty": bool(changed)}


def _ask(git: str, *words: str) -> str:
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}  # no keys for what git starts
    found = subprocess.run(  # noqa: S603
        [git, *words], capture_output=True, text=True, check=True, timeout=PATIENCE_S, env=known
    )
    return found.stdout.strip()
