"""Bundles for tests of proofs: made by a process, read as lines, and rewritten by a hand that means harm."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.support import command, environment

Line = dict[str, Any]


def told(folder: Path, *words: str, code: int = 0) -> str:
    """What a process says that was started in this folder, whose home is `folder / "home"`."""
    done = subprocess.run(
        command(*words), cwd=folder, env=environment(folder / "home"), capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


def bundled(folder: Path, *words: str) -> Path:
    told(folder, "evaluation", "bundle", "latest", "--output", "proof.bundle", *words)
    return folder / "proof.bundle"


def lines_of(path: Path) -> list[Line]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def rewritten(path: Path, change: Callable[[list[Line]], Any]) -> Path:
    """The bundle with other lines, and a hash that fits them."""
    lines = lines_of(path)[:-1]
    change(lines)
    text = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    end = {"kind": "end", "lines": len(lines), "sha256": sha256(text).hexdigest()}
    path.write_bytes(gzip.compress(text + json.dumps(end).encode() + b"\n"))
    return path


def first(lines: list[Line], kind: str, **wanted: Any) -> Line:
    return next(
        line for line in lines if line["kind"] == kind and all(line[name] == each for name, each in wanted.items())
    )


def set_of(kind: str, **fields: Any) -> Callable[[list[Line]], Any]:
    return lambda lines: first(lines, kind).update(fields)
