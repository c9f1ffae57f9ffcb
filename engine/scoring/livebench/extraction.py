r"""What the scorers have in common: the answer in a box, in tags, in bold."""

from __future__ import annotations

import re
from collections.abc import Sequence

CLOSING = "</solution>"
SOLUTION = re.compile(r"<solution>(.*?)</solution>")
MISOPENED = re.compile(r"</solution>(.*?)</solution>")
BOLD = re.compile(r"\*\*(.*?)\*\*")


def solutions(reply: str) -> list[str]:
    """What stands in `<solution>` tags on one line, in order; a first tag that closes in place of opening is read."""
    return tagged(reply) or (MISOPENED.findall(reply) if CLOSING in reply else [])


def tagged(reply: str) -> list[str]:
    """What stands in `<solution>` tags on one line; without a closing tag nothing is looked for, however many open."""
    return SOLUTION.findall(reply) if CLOSING in reply else []


def last_boxed(reply: str) -> str | None:
    r"""What stands in the last `\boxed{...}`, or else `\fbox{...}`, dollar signs removed; None where none is closed.

    Where `\boxed ` is written with a space anywhere, it is what follows the last of these, up to a dollar sign.
    """
    if "\\boxed " in reply:
        return reply.rsplit("\\boxed ", 1)[1].split("$", 1)[0]
    at = reply.rfind("\\boxed")
    begin = at if at >= 0 else reply.rfind("\\fbox")
    if begin < 0:
        return None
    depth = 0
    for end in range(begin, len(reply)):
        depth += {"{": 1, "}": -1}.get(reply[end], 0)
        if reply[end] == "}" and depth == 0:
            boxed = reply[begin : end + 1].replace("$", "").replace("fbox", "boxed")
            return boxed.removeprefix("\\boxed{")[:-1] if boxed.startswith("\\boxed{") else None
    return None


def boxed_words(reply: str) -> str | None:
    r"""The last box as plain words: `\text{`, closing braces and backslashes removed."""
    inner = last_boxed(reply)
    return None if inner is None else inner.replace("\\text{", "").replace("}", "").replace("\\", "")


def edits(given: Sequence[object], wanted: Sequence[object]) -> int:
    """The edit distance of two lists (Levenshtein): insertions, deletions, replacements."""
    row = list(range(len(wanted) + 1))
    for i, left in enumerate(given, start=1):
        previous, row[0] = row[0], i
        for j, right in enumerate(wanted, start=1):
            previous, row[j] = row[j], previous if left == right else 1 + min(row[j], row[j - 1], previous)
    return row[-1]
