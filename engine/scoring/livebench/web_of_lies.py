"""LiveBench `web_of_lies_v2` and `_v3`: three times yes, no or unknown.

Source: `livebench/process_results/reasoning/web_of_lies_v2/utils.py` and `web_of_lies_v3/utils.py`.
"""

from __future__ import annotations

from itertools import product

from engine.scoring.livebench.extraction import BOLD, last_boxed, solutions, tagged

ANSWERS = ("yes", "no", "unknown")


def score(reply: str, truth: str) -> float:
    """1 where the reply's answer is the reference, or holds it and no fourth answer."""
    given, wanted = answer(reply), truth.lower()
    if not given:
        return 0.0
    three = sum(given.count(word) for word in ANSWERS) == len(ANSWERS)
    return float(given == wanted or (three and wanted in given))


def score_list(reply: str, truth: str) -> float:
    """For `web_of_lies_v3`: the mean of the share of right answers and of whether all are right."""
    found = tagged(reply)
    given = _in_box_or_text(reply, found[-1] if found else None)
    wanted = truth.split(",")
    right = sum(have == want for have, want in zip((given or "").split(","), wanted, strict=False))
    return ((right == len(wanted)) + right / len(wanted)) / 2


def answer(reply: str) -> str | None:
    """The last `<solution>`; else the last three answers in bold; else the box; else the last triple in plain text."""
    found = solutions(reply)
    return _in_box_or_text(reply, found[-1] if found else _in_bold(reply))


def _in_box_or_text(reply: str, given: str | None) -> str | None:
    """What is given already; the box in place of a blank; the last triple in the text in place of nothing."""
    if given is None or not given.strip():
        boxed = last_boxed(
            reply.replace("\\\\boxed{\\\\textbf{", "\\\\boxed{")
            .replace("\\\\fbox{", "\\\\boxed{")
            .replace("\\textbf{", "\\boxed{")
        )
        given = given if boxed is None else boxed
    return _in_plain_text(reply) if given is None else given


def _in_bold(reply: str) -> str | None:
    words = [word for piece in BOLD.findall(reply) for word in piece.split()]
    bare = [word.lower().strip().replace(",", "").replace(".", "") for word in words]
    return ", ".join([word for word in bare if word in ANSWERS][-3:]) or None


def _in_plain_text(reply: str) -> str | None:
    lowered = reply.lower()
    triples = [", ".join(triple) for triple in product(ANSWERS, repeat=3)]
    first = {triple: lowered.find(triple) for triple in triples}
    last = max(triples, key=lambda triple: first[triple])
    return last if first[last] >= 0 else None
