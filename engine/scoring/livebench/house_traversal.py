"""LiveBench `house_traversal`: names in their order, in bold.

Source: `livebench/process_results/reasoning/house_traversal/utils.py`.
"""

from __future__ import annotations

import re
from itertools import pairwise

EMPHASISED = re.compile(r"(\*{2,})(.*?)\1")


def score(reply: str, truth: str) -> float:
    """1 where the last pieces in bold hold one name each, or the last piece all names in their order."""
    pieces = [piece for _, piece in EMPHASISED.findall(reply.lower())]
    names = truth.lower().split(" ")
    if not pieces:
        return 0.0
    last = pieces[-len(names) :]
    if len(last) == len(names) and all(name in piece for name, piece in zip(names, last, strict=True)):
        return 1.0
    places = [pieces[-1].find(name) for name in names]
    return float(places[0] >= 0 and all(a < b for a, b in pairwise(places)))
