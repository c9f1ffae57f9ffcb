"""Puts the reply of a streamed chat completion together from its server-sent events."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Any

from engine.endpoints.faults import fault_of_error, incomplete, malformed
from engine.endpoints.replies import build_reply, joined_parts, read_reply
from engine.errors import AttemptError
from engine.records import Fault, Reply

GRACE_S = 0.1
"""How long the end of a transfer is waited for once `[DONE]` has come, so that the connection can be used again."""


def asking_for_stream(body: bytes) -> bytes:
    """The body of a request, asking for a stream and its usage; as it is where it says itself whether to stream."""
    if b'"stream":' in body or not body.endswith(b"}"):
        return body
    comma = b"" if body.endswith(b"{}") else b","
    return body[:-1] + comma + b'"stream":true,"stream_options":{"include_usage":true}}'


class StreamReader:
    """Takes the bytes of a stream as they come, in pieces of any size, and gives the reply they hold.

    A body without any event is read as a plain reply: some servers ignore `stream: true`. A stream is an answer
    only if every choice in it got a finish reason; usage is that of the last chunk that reports it.
    """

    def __init__(self, *, status: int, headers: Mapping[str, str]) -> None:
        self.done = False
        """Whether `[DONE]` has come: nothing that follows can change the reply."""
        self._status = status
        self._headers = headers
        self._plain: list[bytes] | None = []
        self._rest = b""
        self._event = ""
        self._data: list[bytes] = []
        self._head: dict[str, Any] = {}
        self._usage: Any = None
        self._choices: dict[int, _Choice] = {}
        self._ttft_s: float | None = None

    def feed(self, piece: bytes, *, at_s: float) -> None:
        """Take a piece of the body that came `at_s` seconds after sending.

        Raises:
            AttemptError: an event is an error, or no chunk of a chat completion.
        """
        if self._plain is not None:
            self._plain.append(piece)
        if b"\n" not in piece and b"\r" not in piece:
            self._rest += piece
            return
        data = self._rest + piece
        if self._plain is not None:
            data = data.removeprefix(BOM_UTF8)  # it would hide the first event
        lines = data.splitlines(keepends=True)
        # A carriage return at the end may be half of a line end, so it waits for what follows.
        self._rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
        for line in lines:
            self._line(line.rstrip(b"\r\n"), at_s)

    def reply(self, *, latency_s: float) -> Reply:
        """The reply, after the last byte.

        Raises:
            AttemptError: the stream ended early (`incomplete`), holds an error, or is no chat completion.
        """
        self._end(latency_s)
        if self._plain is not None:
            body = b"".join(self._plain)
            return read_reply(body, status=self._status, headers=self._headers, latency_s=latency_s)
        if not self._choices:
            raise incomplete("it has no choice", status=self._status, headers=self._headers)
        if not all(choice.finish_reason for choice in self._choices.values()):
            raise incomplete("it has no finish_reason", status=self._status, headers=self._headers)
        document = {
            **self._head,
            "object": "chat.completion",
            "choices": [choice.document(index) for index, choice in sorted(self._choices.items())],
            "usage": self._usage,
        }
        return build_reply(
            document,
            json.dumps(document),
            status=self._status,
            headers=self._headers,
            latency_s=latency_s,
            ttft_s=self._ttft_s,
        )

    def _end(self, at_s: float) -> None:
        rest, self._rest = self._rest.rstrip(b"\r\n"), b""
        try:
            for line in (rest, b""):
                self._line(line, at_s)
        except AttemptError as error:
            if error.fault is not Fault.MALFORMED:
                raise
            raise incomplete("it ends within an event", status=self._status, headers=self._headers) from error

    def _line(self, line: bytes, at_s: float) -> None:
        if not line:
            if self._data:
                data, event = b"\n".join(self._data), self._event
                self._data.clear()
                self._take(data, event, at_s)
            self._event = ""
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._plain = None
            self._data.append(value)
        elif field == b"event":
            self._event = value.decode("utf-8", "replace")

    def _take(self, data: bytes, event: str, at_s: float) -> None:
        if data.strip() == b"[DONE]":
            self.done = True
        if self.done:
            return
        try:
            chunk = json.loads(data.decode())
        except (ValueError, RecursionError) as error:
            detail = f"an event holds {type(error).__name__}, it begins {data[:60]!r}"
            raise malformed(detail, status=self._status, headers=self._headers) from error
        if type(chunk) is not dict:
            raise self._wrong("an event is no object")
        if event == "error" or chunk.get("error"):
            raise fault_of_error(chunk.get("error") or chunk, status=self._status, headers=self._headers)
        if type(chunk.get("usage")) is dict:
            self._usage = chunk["usage"]
        if not self._head:
            self._head = {key: chunk[key] for key in ("id", "created", "model") if key in chunk}
        choices = chunk.get("choices")
        if choices is not None and type(choices) is not list:
            raise self._wrong("choices of an event is no list")
        for choice in choices or ():
            self._add(choice, at_s)

    def _add(self, choice: Any, at_s: float) -> None:
        if type(choice) is not dict:
            raise self._wrong("a choice of an event is no object")
        if choice.get("error"):
            raise fault_of_error(choice["error"], status=self._status, headers=self._headers)
        index, delta = choice.get("index", 0), choice.get("delta") or {}
        if type(index) is not int or type(delta) is not dict:
            raise self._wrong("a choice of an event has no index or no delta")
        into = self._choices.setdefault(index, _Choice())
        if type(choice.get("finish_reason")) is str:
            into.finish_reason = choice["finish_reason"]
        try:
            spoke = into.add(delta)
        except TypeError as error:
            raise self._wrong(str(error)) from error
        if spoke and self._ttft_s is None:
            self._ttft_s = at_s

    def _wrong(self, detail: str) -> Exception:
        return malformed(detail, status=self._status, headers=self._headers)


class _Choice:
    """What has come of one choice."""

    __slots__ = ("calls", "finish_reason", "parts")

    def __init__(self) -> None:
        self.finish_reason = ""
        self.parts: dict[str, list[str]] = {}
        self.calls: dict[int, dict[str, Any]] = {}

    def add(self, delta: Mapping[str, Any]) -> bool:
        """Take a delta; whether it held a piece of text.

        Raises:
            TypeError: a piece is not text.
        """
        spoke = False
        for name in ("content", "refusal", "reasoning_content", "reasoning"):
            piece = delta.get(name)
            if piece is None:
                continue
            if type(piece) is list and name == "content":
                piece, thoughts = joined_parts(piece)
                self.parts.setdefault("reasoning", []).append(thoughts)
                spoke = spoke or thoughts != ""
            if type(piece) is not str:
                raise TypeError(f"{name} of an event must be text, not {type(piece).__name__}")
            self.parts.setdefault(name, []).append(piece)
            spoke = spoke or piece != ""
        calls = delta.get("tool_calls")
        for call in calls if type(calls) is list else ():
            if type(call) is dict:
                self._add_call(call)
        return spoke

    def document(self, index: int) -> dict[str, Any]:
        """The choice as in a reply that was not streamed."""
        message: dict[str, Any] = {"role": "assistant", "content": None}
        message |= {name: "".join(pieces) for name, pieces in self.parts.items()}
        if self.calls:
            message["tool_calls"] = [call for _, call in sorted(self.calls.items())]
        return {"index": index, "message": message, "finish_reason": self.finish_reason}

    def _add_call(self, call: Mapping[str, Any]) -> None:
        index = call.get("index")
        into = self.calls.setdefault(index if type(index) is int else len(self.calls), {"type": "function"})
        into |= {key: call[key] for key in ("id", "type") if call.get(key)}
        function = call.get("function")
        if type(function) is not dict:
            return
        known = into.setdefault("function", {"name": "", "arguments": ""})
        for key in ("name", "arguments"):
            if type(function.get(key)) is str:
                known[key] += function[key]
