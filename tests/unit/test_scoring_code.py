"""Which program a reply holds."""

from __future__ import annotations

import time

import pytest

from engine.scoring.code import completed, defines, extract_code, fenced

PROMPT = 'from typing import List\n\n\ndef total(xs: List[int]) -> int:\n    """The sum."""\n'
BODY = "    result = 0\n    for x in xs:\n        result += x\n    return result"
WHOLE = "def total(xs):\n    return sum(xs)"


@pytest.mark.parametrize(
    "reply",
    [
        f"```python\n{WHOLE}\n```",
        f"Here it is:\n\n```Python\n{WHOLE}\n```\nIt adds up.",
        f"```\n{WHOLE}\n```",
        f"~~~py\n{WHOLE}\n~~~",
        f"````python\n{WHOLE}\n````",
        f"``` python title=x\n{WHOLE}\n```",
        f"```python\r\n{WHOLE.replace(chr(10), chr(13) + chr(10))}\r\n```\r\n",
        f"```python\n{WHOLE}```",
        f"```python\n{WHOLE}",
        f"```sh\npip install total\n```\n```python\n{WHOLE}\n```",
        f"```python\n{WHOLE}\n```\nFor example:\n```python\nprint(total([1, 2]))\n```",
        f"1. Like this:\n   ```python\n   {WHOLE.replace(chr(10), chr(10) + '   ')}\n   ```",
        f"First:\n```python\ndef total(xs):\n    return 0\n```\nBetter:\n```python\n{WHOLE}\n```",
        f"```python\n{WHOLE}\n```\nBroken:\n```python\ndef total(xs) return\n```",
        f"[PYTHON]\n{WHOLE}\n[/PYTHON]\n[TESTS]\nassert total([1]) == 1\n[/TESTS]",
        f"```python\n{WHOLE}\n``` and that is all.",
        f"```python\n{WHOLE}\n```<|im_end|>",
        f"{WHOLE}<|eot_id|><|start_header_id|>user",
        f"{WHOLE}</s>",
        f"\ufeff{WHOLE}",
        WHOLE,
        f"Here it is.\n\n{WHOLE}\n\nThis adds the numbers, doesn't it?",
        f"{WHOLE}\n\nExplanation: it's (the sum",
    ],
)
def test_the_program_is_found(reply: str) -> None:
    assert (extract_code(reply, entry_point="total") or "").strip() == WHOLE


@pytest.mark.parametrize(
    "reply",
    [
        BODY,
        f"\n{BODY}\n",
        BODY.lstrip(),
        BODY.replace("\n    ", "\n").lstrip(),
        f"```python\n{BODY}\n```",
        f"{BODY}\n\nThis is the sum, isn't it?",
        f"{BODY}<|endoftext|>\ndef other():\n    pass",
    ],
)
def test_a_continuation_of_the_prompt_is_put_behind_it(reply: str) -> None:
    program = extract_code(reply, entry_point="total", prompt=PROMPT)
    assert program is not None
    assert program.startswith(PROMPT)
    names: dict[str, object] = {}
    exec(program, names)
    assert names["total"]([1, 2]) == 3  # type: ignore[operator]


@pytest.mark.parametrize("reply", ["", "I cannot help with that.", "Sorry!", "```\n```", "42", "return", "   \n", "\0"])
def test_a_reply_without_a_program_has_none(reply: str) -> None:
    assert extract_code(reply, entry_point="total") is None
    if reply != "return":
        assert extract_code(reply, entry_point="total", prompt=PROMPT) is None


def test_a_program_that_is_no_python_is_still_what_was_answered() -> None:
    assert extract_code("```python\ndef total(xs) return\n```", entry_point="total") == "def total(xs) return\n"


def test_a_function_of_another_name_is_an_answer() -> None:
    assert extract_code("def sum_up(xs):\n    return sum(xs)", entry_point="total") is not None


def test_fences_of_another_kind_or_length_do_not_end_a_block() -> None:
    (block,) = fenced("````python\n'''\n```\n~~~\n'''\n````\n")
    assert block == ("python", "'''\n```\n~~~\n'''\n")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("async def f(): ...", True),
        ("class f:", True),
        ("f = 1", True),
        ("f: int = 1", True),
        ("f == 1", False),
        ("def ff(): ...", False),
        ("    def f(): ...", False),
        ("# def f", False),
    ],
)
def test_a_name_is_defined_at_the_top_only(source: str, found: bool) -> None:
    assert defines(source, "f") is found


@pytest.mark.parametrize(
    "reply",
    [
        "```" + "a" * 10_000_000 + "`",
        "`" * 10_000_000 + "a`",
        "```python\n" * 1_000_000,
        "total" + " " * 10_000_000 + "\ndef x",
        "def total\n" * 1_000_000,
        "(" * 10_000_000,
        "def total(x):\n    return " + "(" * 40_000,
        "def total(x):\n    return " + "-" * 40_000 + "1",
        "def total(x):\n" + "'" * 40_000,
        "def total(x):\n    x.\n" * 1000,
        "import a\nx x\n" * 4000,
    ],
    ids=range(11),
)
def test_a_hostile_reply_is_read_in_little_time(reply: str) -> None:
    began = time.process_time()
    extract_code(reply, entry_point="total", prompt=PROMPT)
    assert time.process_time() - began < 5


def test_a_prompt_without_its_last_line_end_is_completed_too() -> None:
    assert completed("def f():", "return 1") == "def f():\n    return 1"


def test_bare_constants_belong_to_the_program_that_uses_them() -> None:
    program = "LIMIT = 3\n\ndef total(xs):\n    return sum(xs[:LIMIT])"
    assert extract_code(f"Here it is:\n\n{program}\n\nDone.", entry_point="total").strip() == program


def test_a_body_without_its_indent_is_a_continuation_whole_and_not_up_to_where_it_returns() -> None:
    body = "def twice(x):\n    return 2 * x\nfor x in xs:\n    if x:\n        return twice(x)\nreturn 0"
    program = extract_code(f"```python\n{body}\n```", entry_point="total", prompt=PROMPT)
    space: dict[str, object] = {}
    exec(compile(program, "program", "exec"), space)  # type: ignore[arg-type]
    assert (space["total"]([0, 4]), space["total"]([])) == (8, 0)  # type: ignore[operator]
