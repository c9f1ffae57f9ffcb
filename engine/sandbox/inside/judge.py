"""The process that the tests run in: trusted code that a solution never touches; it alone says what passed."""

from __future__ import annotations

from typing import Any

from engine.sandbox.inside import wire
from engine.sandbox.inside.remote import NotHandedOverError, Remote

LONGEST_DETAIL = 600


def judge(channel: int, descriptor: int) -> None:
    """Read the job from `channel`, try the solution behind `descriptor`, and write the verdict to `channel`."""
    job = wire.receive(channel)
    remote = Remote(descriptor)
    result, detail = verdict(job, remote)
    wire.send(channel, {"result": result, "detail": detail[:LONGEST_DETAIL], "calls": remote.calls})


def verdict(job: dict[str, Any], remote: Remote) -> tuple[str, str]:
    """The class of result, and what to tell people.

    A pass needs all tests to come to their end, and at least one call of the solution.
    """
    at = "setup"
    try:
        namespace: dict[str, Any] = {"__name__": "tests"}
        exec(compile(job["setup"], "<setup>", "exec", dont_inherit=True), namespace)  # noqa: S102 - the dataset's own
        codes = [compile(text, f"<test {n}>", "exec", dont_inherit=True) for n, text in enumerate(job["tests"], 1)]
        remote.start(job["solution"])
        for name in job["entry_points"]:
            namespace[name] = remote.name(name)
        for code in codes:
            at = code.co_filename.strip("<>")
            exec(code, namespace)  # noqa: S102 - the dataset's own
    except NotHandedOverError as error:
        return "judge_error", f"{at}: {error}"
    except BaseException as error:  # noqa: BLE001 - tests may raise anything
        return _raised(error, at, remote)
    if remote.ended is not None:  # the tests swallowed it
        return remote.ended.result, remote.ended.detail
    if not remote.calls:
        return "judge_error", "the tests never called the solution"
    return "pass", ""


def _raised(error: BaseException, at: str, remote: Remote) -> tuple[str, str]:
    """What an exception that ended the tests says; before the first call it is the tests' own."""
    if remote.ended is not None:
        return remote.ended.result, remote.ended.detail
    text = _shown(error)
    if error is remote.raised:
        result, detail = error.__dict__["sandbox_result"]
        return str(result), f"{at}: {detail}"
    if isinstance(error, (NameError, SystemExit)) or not remote.calls:
        return "judge_error", f"{at}: {text}"
    if isinstance(error, AssertionError):
        return "wrong", f"{at}: {text}"
    return ("memory" if isinstance(error, MemoryError) else "exception"), f"{at}: {text}"


def _shown(error: BaseException) -> str:
    """The error for people; its message may hold what the solution gave, which may not want to be shown."""
    name = type(error).__name__
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - too many digits, or a solution's own text that ends it
        return name
    return f"{name}: {text}" if text else name
