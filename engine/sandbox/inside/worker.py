"""The process that a solution runs in: it knows no test and no expected value, and answers calls with data."""

from __future__ import annotations

import builtins
import copy
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import Any

from engine.sandbox.inside import packages, wire
from engine.sandbox.inside.wire import Node

LONGEST_MESSAGE = 500
"""Characters of an exception's text."""
MUTABLE = frozenset({"dict", "set", "bytearray", "deque"})


def work(descriptor: int, offered: Mapping[str, str]) -> None:
    """Take the solution's source, run it, and answer requests until the judge is gone.

    Args:
        descriptor: the line to the judge.
        offered: packages that the solution may import beside the standard library, by name, with their folders.
    """
    worker = Worker()
    packages.offer(offered)
    wire.send(descriptor, {"up": os.getpid()})
    source = wire.receive(descriptor)["solution"]
    wire.send(descriptor, worker.guarded(lambda: worker.run(source)))
    while True:
        try:
            request = wire.receive(descriptor)
        except (EOFError, OSError):
            return
        reply = worker.guarded(partial(worker.answer, request))
        try:
            wire.send(descriptor, reply, largest=wire.LARGEST)
        except wire.UnfitError as error:
            wire.send(descriptor, failure(error))


class Worker:
    """A solution's module, and the objects of it that the judge has a handle of."""

    def __init__(self) -> None:
        self.module = ModuleType("solution")
        self._kept: dict[int, Any] = {}
        self._numbers: dict[int, int] = {}
        self._operations: dict[str, Callable[[Any, list[Any]], Any]] = {
            "get": lambda target, rest: getattr(target, rest[0]),
            "set": lambda target, rest: setattr(target, rest[0], rest[1]),
            "iter": lambda target, _: _Kept(iter(target)),
            "next": lambda target, _: next(target),
            "len": lambda target, _: len(target),
            "bool": lambda target, _: bool(target),
            "item": lambda target, rest: target[rest[0]],
            "str": lambda target, _: str(target),
            "repr": lambda target, _: repr(target),
            "copy": lambda target, _: copy.deepcopy(target),
            "instance": lambda target, rest: isinstance(rest[0], target),
        }

    def run(self, source: str) -> Node:
        """Execute the source as a module called `solution`, which finds nothing of ours to import."""
        for name in [name for name in sys.modules if name.partition(".")[0] == "engine"]:
            del sys.modules[name]
        sys.modules["solution"] = self.module
        exec(compile(source, "<solution>", "exec", dont_inherit=True), self.module.__dict__)  # noqa: S102 - our purpose
        return {"ok": None}

    def guarded(self, action: Callable[[], Node]) -> Node:
        """What the action gives, or the exception it ended in."""
        try:
            return action()
        except BaseException as error:  # noqa: BLE001 - whatever a solution raises is its result
            return failure(error)

    def answer(self, request: Node) -> Node:
        """The reply to one request of the judge."""
        operation = request["op"]
        if operation == "name":
            value = getattr(self.module, request["name"], _MISSING)
            if value is _MISSING:
                raise NameError(f"the solution defines no {request['name']!r}")
            return {"ok": self._keep(value) if callable(value) else None}
        target = self._kept[request["on"]]
        arguments = [wire.decode(node, self._resolve) for node in request["args"]]
        if operation != "call":
            given = self._operations[operation](target, arguments)
            return {"ok": self._keep(given.value) if isinstance(given, _Kept) else wire.encode(given, self._keep)}
        named = {name: wire.decode(node, self._resolve) for name, node in request["named"].items()}
        given = wire.encode(target(*arguments, **named), self._keep)
        before = [*request["args"], *request["named"].values()]
        return {"ok": given, "changed": self._changed(before, [*arguments, *named.values()])}

    def _changed(self, before: list[Node], after: list[Any]) -> list[list[Any]]:
        """`[place, node]` of the arguments that were changed in place."""
        changed = []
        for place, (node, value) in enumerate(zip(before, after, strict=True)):
            if _may_change(node):
                now = wire.encode(value, self._keep)
                if now != node:
                    changed.append([place, now])
        return changed

    def _keep(self, value: Any) -> Node:
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._kept)
            self._kept[number] = value
        return {"t": "handle", "v": number, "name": type(value).__name__}

    def _resolve(self, node: Node) -> Any:
        return self._kept[node["v"]]


class _Kept:
    """A value that goes over as a handle, whatever it is."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


_MISSING = object()


def _may_change(node: Node) -> bool:
    """Whether the node is of something that a function can change in place."""
    if type(node) is list:
        return True
    if type(node) is not dict:
        return False
    return node["t"] in MUTABLE or (node["t"] == "tuple" and any(_may_change(each) for each in node["v"]))


def failure(error: BaseException) -> Node:
    """An exception by the names of its classes, with its arguments where they are data."""
    try:
        text = str(error)[:LONGEST_MESSAGE]
    except BaseException:  # noqa: BLE001 - a solution's own __str__
        text = ""
    try:
        arguments = wire.encode(list(error.args), _refuse)
        arguments = arguments if len(repr(arguments)) <= LONGEST_MESSAGE else None
    except BaseException:  # noqa: BLE001 - they are no data
        arguments = None
    names = [each.__name__ for each in type(error).__mro__ if getattr(builtins, each.__name__, None) is each]
    return {
        "error": names,
        "name": type(error).__name__,
        "text": text,
        "args": arguments,
        "errno": getattr(error, "errno", None) if isinstance(error, OSError) else None,
    }


def _refuse(value: Any) -> Node:
    raise wire.UnfitError(f"{type(value).__name__} is no data")
