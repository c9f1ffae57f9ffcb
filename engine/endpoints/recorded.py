"""Recorded answers behind a real loopback server: the answer whose question stands last in the request.

A recording is JSON lines, plain or gzipped, with a row per question: `match`, text that stands verbatim in any
request that asks it, and `content`, what the model answered; `finish_reason` and `usage` where they are known;
`options` of a multiple-choice question, by which it is told from a question that is a word of the choices.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from engine.config import Provider
from engine.endpoints.loopback import LoopbackEndpoint
from engine.endpoints.server import Answer, ChatRequest
from engine.environment import Secret
from engine.errors import DatasetError

_TAIL = 24
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One recorded answer; `match` is stripped."""

    match: str
    content: str
    finish_reason: str = "stop"
    usage: dict[str, Any] | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The rows of a recording in file order; `identity` is a hash of the file's bytes."""

    rows: Sequence[Row]
    identity: str
    name: str = "recorded"


def load_recording(path: Path) -> Recording:
    """The recording in a `.jsonl` or `.jsonl.gz` file.

    Raises:
        DatasetError: it cannot be read, or a line is not a row; the message names file and line.
    """
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if raw.startswith(_GZIP) else raw).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DatasetError(
            f"recording {str(path)!r} cannot be read: {reason}",
            hint="give a .jsonl or .jsonl.gz file with a match and a content on each line",
        ) from error
    rows = [
        _row(line, f"{path}:{number}") for number, line in enumerate(text.split("\n"), start=1) if line.strip() != ""
    ]
    if not rows:
        raise DatasetError(f"recording {str(path)!r} has no rows", hint="each line holds a match and a content")
    identity = f"recorded:{blake2b(raw, digest_size=12).hexdigest()}"
    return Recording(rows=rows, identity=identity, name=path.name.partition(".")[0])


class Matcher:
    """Finds which of many texts ends last in a request, and the longest of those that end there.

    Positions are tried from the end of the request, where the question mostly stands; the last characters of a
    text are its key, so a position costs one look-up and not one comparison for each text.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._by_tail: dict[str, list[str]] = {}
        for text in sorted(set(texts), key=len, reverse=True):
            self._by_tail.setdefault(text[-_TAIL:], []).append(text)
        self._lengths = sorted({len(tail) for tail in self._by_tail}, reverse=True)

    def find(self, request: str, fits: Callable[[str], bool] | None = None) -> str | None:
        """The text that ends last in the request, the longest of equals; None where none stands in it.

        Where `fits` is given, it must hold for the text too.
        """
        by_tail, lengths = self._by_tail, self._lengths
        for end in range(len(request), 0, -1):
            # Longest tails first: what has a longer tail is longer than what has a shorter one.
            for length in lengths:
                texts = by_tail.get(request[end - length : end]) if length <= end else None
                for text in texts or ():
                    if request.endswith(text, 0, end) and (fits is None or fits(text)):
                        return text
        return None


class Recorded:
    """Serves a recording.

    The k-th request for a match gets its k-th row, and after the last row the first again; a request with `n`
    takes n rows. What stands nowhere in the recording is answered by 422 `no_recording`. The recorded text is
    served whole, whatever limits the request sets.
    """

    def __init__(self, recording: Recording, *, latency_s: float = 0.0) -> None:
        self.identity = recording.identity
        self.model = recording.name
        self._latency_s = latency_s
        self._rows: dict[str, list[Row]] = {}
        for row in recording.rows:
            self._rows.setdefault(row.match, []).append(row)
        self._matcher = Matcher(self._rows)
        self._served: dict[str, int] = {}

    def respond(self, request: ChatRequest) -> Answer:
        """The next recorded answer to the question that stands last in the request."""
        text = "\n".join(text for _, text in request.texts)
        match = self._matcher.find(text, lambda found: self._fits(found, text)) or self._matcher.find(text)
        if match is None:
            said = f"no recorded question stands in this request, which ends {text[-80:]!r}"
            return Answer(status=422, code="no_recording", message=said)
        rows, served = self._rows[match], self._served.get(match, 0)
        wanted = request.body.get("n")
        wanted = wanted if isinstance(wanted, int) and 1 <= wanted <= 128 else 1
        self._served[match] = served + wanted
        chosen = [rows[(served + index) % len(rows)] for index in range(wanted)]
        return Answer(
            texts=[row.content for row in chosen],
            finish_reasons=[row.finish_reason for row in chosen],
            usage=chosen[0].usage if wanted == 1 else None,
            delay_s=self._latency_s,
        )

    def _fits(self, match: str, request: str) -> bool:
        """A question may be a word of another's choices; its own choices tell that it is really asked."""
        return any(all(option in request for option in row.options) for row in self._rows[match])


class RecordedEndpoint(LoopbackEndpoint):
    """A recording as an endpoint."""

    def __init__(self, path: Path, *, latency_s: float = 0.0, stream: bool = False) -> None:
        super().__init__(Recorded(load_recording(path), latency_s=latency_s), stream=stream)


def _row(line: str, where: str) -> Row:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{where}: not a line of JSON: {line[:60]!r}", hint="one object a line") from error
    if not isinstance(document, dict):
        raise DatasetError(f"{where}: an object was expected: {line[:60]!r}", hint="one object a line")
    match, content = _text(document, "match", where), _text(document, "content", where)
    reason = _text({"finish_reason": "stop"} | document, "finish_reason", where)
    usage = document.get("usage")
    if not match.strip():
        raise DatasetError(f"{where}: match is {match!r:.60}", hint="match must hold the text of the question")
    if usage is not None and not isinstance(usage, dict):
        raise DatasetError(f"{where}: usage is {usage!r:.60}", hint="usage must be an object, as in a reply")
    options = document.get("options")
    held = tuple(str(option).strip() for option in options) if isinstance(options, list) else ()
    return Row(match=match.strip(), content=content, finish_reason=reason, usage=usage, options=held)


def _text(document: dict[str, Any], name: str, where: str) -> str:
    value = document.get(name)
    if isinstance(value, str):
        return value
    said = f"is {value!r:.60}" if name in document else "is missing"
    raise DatasetError(f"{where}: {name} {said}", hint=f"{name} must be text")


def make(provider: Provider, *, key: Secret | None, folder: Path, max_concurrent: int) -> RecordedEndpoint:
    """The endpoint that a provider of bench.toml with `kind = "recorded"` describes."""
    del key, max_concurrent
    return RecordedEndpoint(folder / Path(provider.file).expanduser(), stream=provider.stream)
