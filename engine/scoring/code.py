"""The program in a reply: fenced, bare among sentences, or as the completion of a given beginning."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

VERSION = 3
PYTHON = frozenset({"", "python", "py", "python3", "py3", "ipython", "python2", "pycon"})
LARGEST_PARSED = 50_000
"""Characters; a longer text is taken as it is fenced, or not at all: reading Python takes time and memory."""
CUTS = 12
"""How often the end of a text is cut off where it stops being Python."""
STARTS = 20
OPENING = re.compile(r"^(?P<indent>[ \t]*+)(?P<mark>`{3,}+|~{3,}+)[ \t]*+(?P<tongue>[\w+#.-]*+)[^`]*+$")
FIRST_LINE = re.compile(
    r"^(?:from\s+[\w.]+\s+import\b|import\s+\w|(?:async\s+)?def\s|class\s+\w|@\w|[A-Za-z_]\w*\s*=[^=])"
)
TAGS = ((re.compile(r"\[PYTHON\][ \t]*\n?"), "```python\n"), (re.compile(r"\n?\[/PYTHON\]"), "\n```\n"))
"""The fences of models that were trained on these in place of Markdown's."""
ENDED = re.compile(
    r"<\|(?:eot_id|eom_id|end_of_text|endoftext|end_of_turn|im_end|end|return)\|>|</s>|<end_of_turn>"
    "|<\N{FULLWIDTH VERTICAL LINE}end\u2581of\u2581sentence\N{FULLWIDTH VERTICAL LINE}>"
)
"""Marks by which models end what they say, and which some endpoints leave in a reply."""
DOES_SOMETHING = re.compile(r"\b(?:return|yield|raise|pass|assert)\b|=")


class Block(NamedTuple):
    """A fenced block: what its opening fence names, and what is in it."""

    tongue: str
    body: str


def extract_code(text: str, *, entry_point: str = "", prompt: str = "") -> str | None:
    """The program in a reply; None where there is none.

    Of several fenced blocks the last one counts that defines `entry_point` and is Python, then the last one
    that defines it, then the last one. Text without a fence counts from the first line that begins a program
    which defines it to the last line that is Python.

    Args:
        text: the reply.
        entry_point: the function or class that is asked for; empty for any.
        prompt: the beginning of a program. A reply that does not define the entry point is its continuation,
            and the program that is given begins with the prompt.
    """
    text = ENDED.split(text.removeprefix("\ufeff"), maxsplit=1)[0]
    for tag, fence in TAGS if "[PYTHON]" in text else ():
        text = tag.sub(fence, text)
    blocks = [block for block in fenced(text) if block.body.strip()]
    bodies = [block.body for block in blocks if block.tongue.lower() in PYTHON] or [block.body for block in blocks]
    defining = [body for body in bodies if defines(body, entry_point)]
    if defining:
        return next((body for body in reversed(defining) if parses(body)), defining[-1])
    if bodies:
        whole = completed(prompt, bodies[-1]) if prompt else None
        return whole or bodies[-1]
    if defines(text, entry_point):
        bare = _bare(text, entry_point)
        if bare is not None:
            return bare
    return completed(prompt, text) if prompt else _bare(text, "")


def fenced(text: str) -> Iterator[Block]:
    """The fenced blocks of a Markdown text in their order; the last one may lack its end."""
    opened: re.Match[str] | None = None
    lines: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        if opened is None:
            opened = OPENING.match(line)
            continue
        ends = line.rstrip().endswith(opened["mark"])
        if ends or _closes(line.lstrip(), opened["mark"]):
            last = line.rstrip().rstrip(opened["mark"][0]) if ends else ""
            lines += [last] if last.strip() else []
            yield _block(opened, lines)
            opened, lines = None, []
        else:
            lines.append(line)
    if opened is not None:
        yield _block(opened, lines)


def _closes(line: str, mark: str) -> bool:
    """Whether the line begins with the fence's end and goes on with what names no language, as "``` does that"."""
    rest = line.removeprefix(mark).lstrip(mark[0])
    return line.startswith(mark) and not (rest[:1].isalnum() or rest[:1] in "{_")


def _block(opened: re.Match[str], lines: list[str]) -> Block:
    indent = opened["indent"]
    body = "\n".join(line.removeprefix(indent) for line in lines)
    return Block(opened["tongue"], body + "\n" if body else "")


def defines(source: str, name: str) -> bool:
    """Whether a line of the source defines a global of that name; for an empty name, any function or class."""
    wanted = re.escape(name) if name else r"\w+"
    assigned = rf"|^{wanted}[ \t]*(?::[^=\n]+)?=(?!=)" if name else ""
    return (
        re.search(rf"^(?:async[ \t]+)?def[ \t]+{wanted}\b|^class[ \t]+{wanted}\b{assigned}", source, re.MULTILINE)
        is not None
    )


def parses(source: str) -> bool:
    """Whether the source is Python, as far as that can be told at little cost."""
    return len(source) <= LARGEST_PARSED and _mistake(source) is None


def completed(prompt: str, text: str) -> str | None:
    """The prompt with its continuation, whose first line, or all of it, may have lost its indent; else None."""
    continuation = text.strip("\r\n").rstrip()
    first = continuation.split("\n", 1)[0]
    if not continuation.strip() or len(continuation) > LARGEST_PARSED:
        return None
    tries = [continuation] if first[:1].isspace() else [f"    {continuation}", textwrap.indent(continuation, "    ")]
    begin = prompt if prompt.endswith("\n") else prompt + "\n"
    programs = [_python_part(begin + each) for each in tries]
    inside = [program for program in programs if program is not None and not _returns_outside(program)]
    whole = max(inside, key=lambda program: program.count("\n"), default="")
    return whole if DOES_SOMETHING.search(whole[len(begin) :]) else None


def _bare(text: str, entry_point: str) -> str | None:
    if len(text) > LARGEST_PARSED:
        return None
    lines = text.replace("\r\n", "\n").split("\n")
    starts = [number for number, line in enumerate(lines) if FIRST_LINE.match(line)]
    for start in [0, *starts[:STARTS]]:
        program = _python_part("\n".join(lines[start:]))
        if program is not None and defines(program, entry_point):
            return program
    return None


def _python_part(source: str) -> str | None:
    """The source up to where it stops being Python; None where nothing is left."""
    for _ in range(CUTS):
        line = _mistake(source)
        if line is None:
            return source if source.strip() else None
        if line <= 1:
            return None
        source = "\n".join(source.split("\n")[: line - 1]).rstrip() + "\n"
    return None


def _returns_outside(source: str) -> bool:
    """Whether the source returns outside of a function, which Python refuses only when it compiles."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Return, ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            waiting.extend(ast.iter_child_nodes(node))
    return False


def _mistake(source: str) -> int | None:
    """The line, from 1, where the source stops being Python; None where all of it is."""
    try:
        ast.parse(source)
    except SyntaxError as error:
        return error.lineno or 1
    except (ValueError, MemoryError, RecursionError):
        return 1
    return None
