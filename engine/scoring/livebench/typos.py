"""LiveBench `typos`: a text with its misspellings put right and nothing else changed.

Source: `livebench/process_results/writing/typos/utils.py`.
"""

from __future__ import annotations

import re

from engine.scoring.livebench.extraction import tagged

BETWEEN = re.compile(r".* --- (.*?) --- .*")


def score(reply: str, truth: str) -> float:
    """1 where the reference stands in the reply's answer, line breaks as spaces."""
    lines = answer(reply).strip().split("\n")
    return float(truth in " ".join(line for line in lines if line))


def answer(reply: str) -> str:
    """The last `<solution>`; else what stands between ` --- `; else all of the reply."""
    if found := tagged(reply):
        return str(found[-1])
    bare = reply.replace("<solution>", "").replace("</solution>", "")
    match = BETWEEN.search(bare)
    return match[1] if match else bare
