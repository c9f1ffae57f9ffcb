"""LiveBench `cta`: the class of a column, one of a list.

Source: `livebench/process_results/data_analysis/cta/utils.py`.
"""

from __future__ import annotations

import re

from engine.scoring.livebench.extraction import boxed_words

MARKS = re.compile(r"[^\w]")


def score(reply: str, truth: str) -> float:
    """1 where the reply, or its box, ends with the class; case, white space and marks aside."""
    boxed = boxed_words(reply) if "\\boxed{" in reply else None
    return float(_bare(reply if boxed is None else boxed).endswith(_bare(truth)))


def _bare(text: str) -> str:
    return MARKS.sub("", text.lower())
