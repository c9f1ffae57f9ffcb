"""LiveBench `spatial`: a number or a shape, in bold or in a box.

Source: `livebench/process_results/reasoning/spatial/utils.py`.
"""

from __future__ import annotations

import re

from engine.scoring.livebench.extraction import last_boxed

EMPHASISED = re.compile(r"\*\*([^\*]+)\*\*")
STYLE = re.compile(r"\\(?:textbf|mathbf|text)\{|\}")
LAST = 3
NUMBERS = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty
    """.split()  # noqa: SIM905 - a paragraph of words reads better than a hundred strings
SHAPES = ("tetrahedra", "tetrahedron", "triangle", "square")


def score(reply: str, truth: str) -> float:
    """1 where the reply is the answer, or one of its last three pieces in bold is, or its box.

    In bold, numbers may be words and shapes may have an adjective.
    """
    if reply == truth:
        return 1.0
    wanted = truth.strip().lower()
    words = [piece.strip().lower() for piece in EMPHASISED.findall(reply)[-LAST:]]
    if any(_same(word, wanted) for word in words):
        return 1.0
    boxed = last_boxed(reply.replace("\\\\fbox{", "\\\\boxed{"))
    return float(boxed is not None and STYLE.sub("", boxed) == truth)


def _same(word: str, wanted: str) -> bool:
    if word == wanted or (word in NUMBERS and str(NUMBERS.index(word)) == wanted):
        return True
    return wanted in SHAPES and wanted in word and len(word) < 2 * len(wanted) + 5
