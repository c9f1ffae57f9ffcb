"""LiveBench `house_traversal`: names in their order, in bold.

Source: `livebench/process_results/reasoning/house_traversal/utils.py`.
"""

from __future__ import annotations

import re
from itertools import pairwise

EMPHASISED = re.compile(r"(\*{2,})(.*?)\1")


def score(reply: str, truth: str) -> float:
    """1 where the last pieces in bold are the names in their order, or the last piece holds them in it."""
    pieces = [piece for _, piece in EMPHASISED.findall(reply.lower())]
    names = truth.lower().split(" ")
    if not pieces:
        return 0.0
    if pieces[-len(names) :] == names:
        return 1.0
    places = [pieces[-1].find(name) for name in names]
    return float(places[0] >= 0 and all(a < b for a, b in pairwise(places)))
