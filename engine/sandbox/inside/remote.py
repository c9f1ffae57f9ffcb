"""The judge's side of a solution: handles that look like its functions and objects, and hold nothing of them."""

from __future__ import annotations

import builtins
from collections import deque
from typing import Any

from engine.sandbox.inside import wire
from engine.sandbox.inside.wire import Node

FORBIDDEN = frozenset({1, 13})
"""EPERM and EACCES."""


class EndedError(BaseException):
    """The solution is over: nothing that the tests could catch."""

    def __init__(self, result: str, detail: str) -> None:
        super().__init__(detail)
        self.result = result
        self.detail = detail


class NotHandedOverError(BaseException):
    """The tests gave the solution something that is no data: the tests' fault."""


class Handle:
    """An object of the solution's; equal to itself alone, whatever its class says about equality."""

    __slots__ = ("_remote", "_remote_name", "_remote_number")

    def __init__(self, remote: Remote, number: int, name: str) -> None:
        for slot, value in (("_remote", remote), ("_remote_number", number), ("_remote_name", name)):
            object.__setattr__(self, slot, value)

    def __call__(self, *args: Any, **named: Any) -> Any:
        """What the solution's function returns."""
        return self._remote.call(self._remote_number, args, named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self._remote.ask("get", self._remote_number, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._remote.ask("set", self._remote_number, name, value)

    def __iter__(self) -> Any:
        return self._remote.ask("iter", self._remote_number)

    def __next__(self) -> Any:
        return self._remote.ask("next", self._remote_number)

    def __len__(self) -> int:
        return int(self._remote.ask("len", self._remote_number))

    def __bool__(self) -> bool:
        return self._remote.ask("bool", self._remote_number) is True

    def __getitem__(self, key: Any) -> Any:
        return self._remote.ask("item", self._remote_number, key)

    def __contains__(self, item: Any) -> bool:
        return item in list(self)  # to its end: an iterator without one must not find everything

    def __instancecheck__(self, instance: Any) -> bool:
        return isinstance(instance, Handle) and self._remote.ask("instance", self._remote_number, instance) is True

    def __deepcopy__(self, _: Any) -> Any:
        return self._remote.ask("copy", self._remote_number)

    def __str__(self) -> str:
        return self._text("str")

    def __repr__(self) -> str:
        return self._text("repr")

    def _text(self, operation: str) -> str:
        given = self._remote.ask(operation, self._remote_number)
        return given if isinstance(given, str) else f"<{self._remote_name}>"


class Remote:
    """The conversation with the worker.

    Attributes:
        calls: how often the solution was called.
        raised: the last exception that came from it.
        ended: why it is over, also where the tests swallowed that.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._handles: dict[int, Handle] = {}
        self.calls = 0
        self.raised: BaseException | None = None
        self.ended: EndedError | None = None

    def start(self, source: str) -> None:
        """Have the solution's source run.

        Raises:
            EndedError: it raised, or its process is gone; `sandbox` where that was before it could run.
        """
        try:
            up = wire.receive(self._descriptor, largest=wire.LARGEST)
            wire.send(self._descriptor, {"solution": source})
        except (EOFError, OSError, wire.MalformedError) as error:
            raise self._end("sandbox", f"the solution's process did not start: {error}") from error
        if set(up) != {"up"}:
            raise self._end("sandbox", "the solution's process did not start")
        reply = self._receive()
        if "error" in reply:
            raise self._end(*_class_of(reply, "while the solution was loaded"))

    def name(self, name: str) -> Handle:
        """The solution's function or class of that name.

        Raises:
            EndedError: there is none.
        """
        reply = self._request({"op": "name", "name": name})
        if "error" in reply:
            raise self._end(*_class_of(reply, ""))
        value = self._value(reply)
        if not isinstance(value, Handle):
            raise self._end("exception", f"the solution's {name!r} is no function")
        return value

    def call(self, number: int, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """What the solution's function returns; arguments that it changed in place are changed here too."""
        self.calls += 1
        nodes = [self._encode(each) for each in args]
        reply = self._request(
            {
                "op": "call",
                "on": number,
                "args": nodes,
                "named": {key: self._encode(each) for key, each in named.items()},
            }
        )
        if "error" in reply:
            raise self._exception(reply)
        given = [*args, *named.values()]
        for place, node in reply.get("changed") or ():
            restore(given[place], self._decode(node))
        return self._value(reply)

    def ask(self, operation: str, number: int, *args: Any) -> Any:
        """The result of one operation on a kept object."""
        reply = self._request({"op": operation, "on": number, "args": [self._encode(each) for each in args]})
        if "error" in reply:
            raise self._exception(reply)
        return self._value(reply)

    def _end(self, result: str, detail: str) -> EndedError:
        self.ended = EndedError(result, detail)
        return self.ended

    def _request(self, message: Node) -> dict[str, Any]:
        if self.ended is not None:
            raise self.ended
        try:
            wire.send(self._descriptor, message)
        except OSError as error:
            raise self._end("lost", "the solution's process is gone") from error
        return self._receive()

    def _receive(self) -> dict[str, Any]:
        try:
            reply = wire.receive(self._descriptor, largest=wire.LARGEST)
        except (EOFError, OSError) as error:
            raise self._end("lost", "the solution's process is gone") from error
        except wire.MalformedError as error:
            raise self._end("died", f"the solution's process sent garbage: {error}") from error
        if type(reply) is not dict or ("ok" in reply) == ("error" in reply):
            raise self._end("died", "the solution's process sent garbage")
        return reply

    def _value(self, reply: dict[str, Any]) -> Any:
        return self._decode(reply["ok"])

    def _decode(self, node: Node) -> Any:
        try:
            return wire.decode(node, self._resolve)
        except wire.MalformedError as error:
            raise self._end("died", f"the solution's process sent garbage: {error}") from error

    def _encode(self, value: Any) -> Node:
        try:
            return wire.encode(value, self._refuse)
        except wire.UnfitError as error:
            raise NotHandedOverError(str(error)) from error

    def _refuse(self, value: Any) -> Node:
        if isinstance(value, Handle):
            return {"t": "handle", "v": value._remote_number}
        raise NotHandedOverError(f"an argument of type {type(value).__name__} cannot be handed over")

    def _resolve(self, node: Node) -> Handle:
        number = node["v"]
        if type(number) is not int:
            raise wire.MalformedError("a handle without a number")
        if number not in self._handles:
            self._handles[number] = Handle(self, number, str(node.get("name"))[:100])
        return self._handles[number]

    def _exception(self, reply: dict[str, Any]) -> BaseException:
        """The builtin exception nearest to the one that was raised there.

        Raises:
            EndedError: it was none that tests may catch, as SystemExit.
        """
        names = [name for name in _names(reply) if isinstance(getattr(builtins, name, None), type)]
        classes = [each for each in (getattr(builtins, name) for name in names) if issubclass(each, BaseException)]
        if not any(each is Exception for each in classes):
            raise self._end(*_class_of(reply, "in a call"))
        arguments = self._decode(reply["args"]) if isinstance(reply.get("args"), list) else [str(reply.get("text"))]
        for each in classes:
            try:
                self.raised = each(*arguments)
            except Exception:  # noqa: BLE001, S112 - a class that wants other arguments; its base may not
                continue
            break
        else:
            self.raised = Exception(str(reply.get("text")))
        self.raised.__dict__["sandbox_result"] = _class_of(reply, "in a call")
        return self.raised


def _names(reply: dict[str, Any]) -> list[str]:
    given = reply["error"]
    return [name for name in given if isinstance(name, str)] if isinstance(given, list) else []


def _class_of(reply: dict[str, Any], where: str) -> tuple[str, str]:
    """The class of result, and what to tell people."""
    names = _names(reply)
    text = f"{reply.get('name')}: {reply.get('text')}"[:500]
    detail = f"{text} ({where})" if where else text
    if "MemoryError" in names:
        return "memory", detail
    if "OSError" in names and reply.get("errno") in FORBIDDEN:
        return "forbidden", detail
    return "exception", detail


def restore(old: Any, new: Any) -> None:
    """Make the argument equal to what the solution made of its copy, keeping containers within containers."""
    if isinstance(old, list) and isinstance(new, list):
        old[:] = [_merged(old[at], each) if at < len(old) else each for at, each in enumerate(new)]
    elif isinstance(old, dict) and isinstance(new, dict):
        merged = {key: _merged(old.get(key), each) for key, each in new.items()}
        old.clear()
        old.update(merged)
    elif isinstance(old, set) and isinstance(new, (set, frozenset)):
        old.clear()
        old.update(new)
    elif isinstance(old, bytearray) and isinstance(new, (bytes, bytearray)):
        old[:] = new
    elif isinstance(old, deque) and isinstance(new, deque):
        old.clear()
        old.extend(new)
    elif isinstance(old, tuple) and isinstance(new, tuple):
        for before, after in zip(old, new, strict=False):
            restore(before, after)


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, (list, dict, set, bytearray, deque)) and type(old) is type(new):
        restore(old, new)
        return old
    return new
