r"""LiveBench `AMPS_Hard`: a formula in a box, compared by computer algebra.

Source: `livebench/process_results/math/AMPS_Hard/utils.py`, which has the marks to remove from `lm_eval`'s
    `minerva_math`, that is from Lewkowycz et al. 2022, arXiv 2206.14858, appendix D.
Differs: a comparison has eight seconds of processor time upstream; here the caller sets a limit.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

from engine.errors import SolverError
from engine.scoring.livebench.extraction import last_boxed

CONSTANTS = ("+C", "+ C", "+ c", "+c")
REMOVED = ("\\left", "\\right", "\\bigl", "\\bigr", "\\Bigl", "\\Bigr", "\\,", "\\;", "\n")
REPLACED = (("\\\\fbox{", "\\\\boxed{"), ("\\dfrac", "\\frac"), ("\\tfrac", "\\frac"))
EITHER = "\\quad \\text{or} \\quad"
DOLLARS = re.compile(r"(.*?)(\$)(.*?)(\$)(.*)")
WRAPPED = (
    re.compile(r"\\text\{(.*?)\}"),
    re.compile(r"\\textbf\{(.*?)\}"),
    re.compile(r"\\overline\{(.*?)\}"),
    re.compile(r"\\boxed\{(.*)\}"),
)
FRACTION = re.compile(r"frac([^{])(.)")
ROOT = re.compile(r"sqrt([^{\[])")
CLOSE = 0.001
"""A difference below which two numbers are the same."""


def score(reply: str, truth: str | list[str]) -> float:
    """1 where the formula of the reply equals the reference; without a formula, where the reply ends with it."""
    wanted = truth[-1] if isinstance(truth, list) else truth
    for mark in ("\\left", "\\right"):
        wanted = wanted.replace(mark, "")
    wanted = wanted.replace(" ^", "^").replace("\\ ", "*")
    cleaned = clean(reply)
    given = answer(cleaned)
    if given is None:
        return float(cleaned.removesuffix(".").endswith(wanted))
    return float(same_formula(wanted, given))


def clean(reply: str) -> str:
    """The reply without line breaks, spacing, sizes of brackets and constants of integration."""
    for mark in CONSTANTS:
        reply = reply.replace(mark, "")
    for mark, instead in REPLACED:
        reply = reply.replace(mark, instead)
    for mark in REMOVED:
        reply = reply.replace(mark, "")
    return reply.replace("\\cdot", "*")


def answer(cleaned: str) -> str | None:
    """What stands in the last box, else between the last dollar signs behind an equals sign; None without either."""
    boxed = last_boxed(cleaned)
    if boxed is not None:
        return normal(boxed)
    if cleaned.count("$") < 2:
        return None
    close = cleaned.rfind("$")
    close -= cleaned[close - 1] == "$"
    formula = cleaned[cleaned.rfind("$", 0, close) + 1 : close]
    mark = "=" if "=" in formula else EITHER
    return normal(formula.rsplit(mark, 1)[-1].strip() if mark in formula else formula)


def normal(formula: str) -> str:
    r"""The right side of the formula without words around it, `\frac12` and `\sqrt2` with braces, 1,000 as 1000."""
    formula = DOLLARS.sub(r"$\3$", formula.rsplit("=", 1)[-1])
    for pattern in WRAPPED:
        formula = pattern.sub(r"\1", formula)
    formula = ROOT.sub(r"sqrt{\1}", FRACTION.sub(r"frac{\1}{\2}", formula)).replace("$", "")
    digits = formula.replace(",", "")
    return digits if digits.isdigit() else formula


def same_formula(one: str, other: str) -> bool:
    """Whether a reading of one less a reading of the other is 0, or nearly; may take long for hostile input.

    Raises:
        SolverError: the library that reads what sympy's own grammar cannot is missing or of another version.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ones = _readings(one)
        others = _readings(other) if ones else []
        return any(_same(left, right) for left in ones for right in others)


def _same(left: Any, right: Any) -> bool:
    import sympy  # type: ignore[import-untyped]

    try:
        rest = sympy.simplify(left - right)
        return bool(rest == 0 or sympy.Abs(rest) < CLOSE)
    except Exception:  # noqa: BLE001 - sympy raises anything on what it cannot compare; then they are not the same
        return False


def _readings(formula: str) -> list[Any]:
    """What the formula may mean: the lark grammar gives every reading of an ambiguous one."""
    import lark
    from sympy.parsing.latex import parse_latex  # type: ignore[import-untyped]

    for text, backend in ((formula, "lark"), (formula.replace("\\\\", "\\"), "lark"), (formula, "antlr")):
        try:
            found = parse_latex(text, backend=backend)
        except ImportError as error:
            raise SolverError(
                f"AMPS_Hard: sympy cannot read LaTeX: {error}", hint="pip install lark 'antlr4-python3-runtime==4.11.*'"
            ) from error
        except Exception:  # noqa: BLE001, S112 - grammars raise anything on what they cannot read
            continue
        return list(found.children) if isinstance(found, lark.Tree) else [found]
    return []
