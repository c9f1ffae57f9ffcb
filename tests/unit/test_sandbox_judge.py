"""The split judge: tests meet a solution's functions and objects as if they were their own, and learn nothing false."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import psutil
import pytest
import pytest_asyncio

from engine.errors import SolverError
from engine.sandbox import CodeVerdict, Level, Result, Sandbox

TREE = """
class Node:
    def __init__(self, value):
        self.value = value
        self.left = self.right = None
    def __len__(self): return 1 + sum(len(n) for n in (self.left, self.right) if n)
    def __str__(self): return f"<{self.value}>"
    def grow(self, value):
        self.left = Node(value)
        return self
def depth(node):
    return 0 if node is None else 1 + max(depth(node.left), depth(node.right))
def count(n):
    for each in range(n): yield each
def adder(n): return lambda m: n + m
def change(xs, d, s, *, rest):
    xs.sort(); xs.append([1]); d["new"] = d.pop("old"); s.discard(1); rest[0].append(2)
class Own(ValueError): pass
KINDS = {"value": ValueError("no", 3), "key": KeyError("k"), "own": Own("mine"), "stop": StopIteration()}
def fail(kind): raise KINDS[kind]
def kinds(*types): return [isinstance(1, each) for each in types]
def echo(x): return x
"""
NAMES = ("Node", "depth", "count", "adder", "change", "fail", "kinds", "echo")
HOLD = """
root = Node(1)
root.left, root.right = Node(2), Node(3)
assert depth(root) == 2 and root.left.value == 2 and len(root) == 3 and str(root) == '<1>' and root
assert isinstance(root, Node) and not isinstance(5, Node) and not isinstance(root, int)
assert root != Node(1) and root == root and depth(root.grow(7)) == 2
import copy
other = copy.deepcopy(root); other.value = 9
assert root.value == 1 and other.value == 9
--
assert list(count(3)) == [0, 1, 2] and sum(count(4)) == 6 and 2 in count(3) and 5 not in count(3)
g = count(2)
assert next(g) == 0 and next(g) == 1
try: next(g)
except StopIteration: pass
else: assert False
assert count(3) != [0, 1, 2]
--
assert adder(2)(3) == 5
--
inner = [5]
xs, d, s, kept = [3, 1, 2], {"old": 1, "same": inner}, {1, 2}, ([1],)
change(xs, d, s, rest=kept)
assert xs == [1, 2, 3, [1]] and d == {"new": 1, "same": [5]} and s == {2} and kept == ([1, 2],)
assert d["same"] is inner
--
for kind, expected in (("value", ValueError), ("key", KeyError), ("own", ValueError), ("stop", StopIteration)):
    try: fail(kind)
    except expected as error: pass
    else: assert False
try: fail("value")
except ValueError as error: assert error.args == ("no", 3)
try: fail("own")
except Exception as error: assert str(error) == "mine"
--
assert kinds(int, str, bool, list, object) == [True, False, False, False, True]
--
import math
odd = -0.0, 1 << 70, "\\ud800", b"x", 2j, range(3), float("inf"), None
for x in (*odd, 10 ** 5000, (1, [2]), {(1, 2): {3}}, frozenset([1])):
    assert echo(x) == x and type(echo(x)) is type(x)
assert math.isnan(echo(math.nan)) and echo(True) is True and echo(print_me := [1]) == print_me
"""


@pytest_asyncio.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(processes=1, idle_limit_s=1.0) as opened:
        yield opened


async def judged(
    sandbox: Sandbox, solution: str, *tests: str, names: tuple[str, ...] = ("f",), setup: str = ""
) -> CodeVerdict:
    return await sandbox.judge(solution=solution, tests=tests, entry_points=names, setup=setup, cpu_limit_s=2.0)


@pytest.mark.parametrize("tests", HOLD.split("--\n"), ids=lambda text: text.strip().splitlines()[0][:30])
async def test_objects_of_a_solution_behave_as_in_one_process(sandbox: Sandbox, tests: str) -> None:
    verdict = await judged(sandbox, TREE, tests, names=NAMES)
    assert verdict.passed, verdict


@pytest.mark.parametrize(
    ("solution", "result", "detail"),
    [
        ("def f(x): return x", Result.WRONG, "test 1: AssertionError"),
        ("def f(x): return", Result.WRONG, "AssertionError"),
        ("def f(x): raise ValueError('so')", Result.EXCEPTION, "test 1: ValueError: so (in a call)"),
        ("def f(x): assert False", Result.EXCEPTION, "AssertionError"),
        ("import os\ndef f(x): os.chmod('/', 0)", Result.FORBIDDEN, "PermissionError"),
        ("import os\nos.fork()", Result.FORBIDDEN, "PermissionError"),
        ("def f(x): return 'x' * (1 << 35)", Result.MEMORY, "MemoryError"),
        ("def f(x): return 'x' * 10_000_000", Result.EXCEPTION, "8000000 are allowed"),
        ("def f(x): return f(x)", Result.EXCEPTION, "RecursionError"),
        ("import os\ndef f(x): os._exit(3)", Result.DIED, "exit status 3"),
        ("import os\ndef f(x): os.kill(os.getpid(), 11)", Result.DIED, "signal 11"),
        ("import os\ndef f(x): os.kill(os.getpid(), 31)", Result.FORBIDDEN, "signal 31"),
        ("def f(x):\n  while True: pass", Result.CPU_LIMIT, ""),
        ("while True: pass", Result.CPU_LIMIT, ""),
        ("import time\ndef f(x): time.sleep(9)", Result.WALL_LIMIT, ""),
        ("input()", Result.EXCEPTION, "EOFError"),
        ("def g(x): return 1", Result.EXCEPTION, "the solution defines no 'f'"),
        ("f = 1", Result.EXCEPTION, "is no function"),
        ("def f(x) return 1", Result.EXCEPTION, "SyntaxError"),
        ("import scipy", Result.EXCEPTION, "ModuleNotFoundError"),
        ("import engine", Result.EXCEPTION, "ModuleNotFoundError"),
        ("raise SystemExit", Result.EXCEPTION, "SystemExit"),
        ("def f(x): return int(10) ** 6000", Result.WRONG, "AssertionError"),
    ],
)
async def test_results_are_told_apart(sandbox: Sandbox, solution: str, result: Result, detail: str) -> None:
    verdict = await judged(sandbox, solution, "assert f(1) == 2, f(1)")
    assert verdict.result is result, verdict
    assert detail in verdict.detail
    assert not verdict.result.ours


@pytest.mark.parametrize(
    ("tests", "detail"),
    [
        (["pass"], "never called"),
        (["assert 1 == 2"], "AssertionError"),
        (["assert f(1) =="], "SyntaxError"),
        (["f(1)", "assert undefined"], "NameError"),
        (["f(lambda: 1)"], "cannot be handed over"),
        (["import scipy"], "ModuleNotFoundError"),
        (["raise SystemExit"], "SystemExit"),
        ([], "never called"),
    ],
)
async def test_a_fault_of_the_tests_is_not_the_solutions(sandbox: Sandbox, tests: list[str], detail: str) -> None:
    verdict = await judged(sandbox, "def f(x): return x", *tests)
    assert verdict.result is Result.JUDGE_ERROR
    assert verdict.result.ours
    assert detail in verdict.detail


async def test_a_solution_that_is_gone_fails_also_where_the_tests_swallow_everything(sandbox: Sandbox) -> None:
    swallowing = "try:\n  f(1)\nexcept: pass"
    assert (await judged(sandbox, "import os\ndef f(x): os._exit(0)", swallowing, swallowing)).result is Result.DIED
    assert (await judged(sandbox, "def f(x): raise SystemExit", swallowing)).result is Result.EXCEPTION


async def test_helpers_of_the_setup_are_the_trusted_ones(sandbox: Sandbox) -> None:
    setup = "def twice(x): return 2 * x\ndef f(x): pass"
    tests = "assert f(twice(2)) == 5"
    assert (await judged(sandbox, "def twice(x): return 0\ndef f(x): return x + 1", tests, setup=setup)).passed
    assert not (
        await judged(sandbox, "def twice(x): return 4\ndef f(x): return 5 * (x == 9)", tests, setup=setup)
    ).passed


async def test_a_solution_sees_neither_tests_nor_what_ran_before(sandbox: Sandbox) -> None:
    secret = "'canary-" + "of-an-earlier-job'"
    seen = (
        "import gc, sys\n"
        "def f(x):\n"
        "    def texts():\n"
        "        for thing in gc.get_objects():\n"
        "            if isinstance(thing, dict): yield from map(repr, list(thing.values())[:50])\n"
        "    return any('canary-' + 'of-an' in text for text in texts()) or 'tests' in sys.modules"
    )
    assert (await judged(sandbox, f"def f(x): return {secret}", f"assert f(1) == {secret}")).passed
    assert (await judged(sandbox, seen, f"assert f(1) == False, {secret}")).passed


async def test_equal_programs_get_equal_verdicts_whatever_hashes_and_chance_say(sandbox: Sandbox) -> None:
    solution = "import random\ndef f(): return [list(set('abcdefghij')), random.random()]"
    found = []
    for _ in range(2):
        async with Sandbox(processes=1, bubblewrap=False) as fresh:
            found.append((await judged(fresh, solution, "assert False, f()")).detail)
    assert found[0] == found[1]


async def test_a_cancelled_job_is_ended_and_the_next_one_is_judged(sandbox: Sandbox) -> None:
    with anyio.move_on_after(0.3):
        await judged(sandbox, "def f(x):\n  while True: pass", "f(1)")
    assert (await judged(sandbox, "def f(x): return 1", "assert f(1) == 1")).passed


async def test_many_jobs_at_once_share_the_processes() -> None:
    async with Sandbox(processes=2) as sandbox:
        verdicts = await asyncio.gather(
            *(judged(sandbox, f"def f(x): return x + {n}", f"assert f(1) == {n + 1}") for n in range(30)),
            *(judged(sandbox, f"def f(x): return x + {n}", f"assert f(1) == {n}") for n in range(30)),
        )
    assert [verdict.passed for verdict in verdicts] == [True] * 30 + [False] * 30


async def test_without_landlock_code_is_refused_unless_told_otherwise() -> None:
    with pytest.raises(SolverError, match="no Landlock") as caught:
        await Sandbox(landlock_abi=0).open()
    assert "--unsafe_exec true" in caught.value.hint
    async with Sandbox(landlock_abi=0, unsafe_exec=True, processes=1) as sandbox:
        verdict = await judged(sandbox, "def f(x): return 1", "assert f(1) == 1")
    assert (verdict.passed, verdict.level) == (True, Level.UNSAFE)


async def test_code_that_may_run_unprotected_is_still_protected_where_that_is_possible(sandbox: Sandbox) -> None:
    async with Sandbox(unsafe_exec=True, processes=1) as other:
        assert other.level == sandbox.level != Level.UNSAFE


@pytest.mark.parametrize(
    "script", ["exit 1", 'for last; do :; done; while [ "$1" != -- ]; do shift; done; shift; exec "$@"']
)
async def test_a_bubblewrap_that_shuts_nothing_in_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert shutil.which("bwrap") == str(fake)
    async with Sandbox(processes=1) as sandbox:
        assert sandbox.level is Level.FAST


async def test_a_sandbox_that_nobody_holds_leaves_nothing() -> None:
    before = psutil.Process().children(recursive=True)
    sandbox = Sandbox(processes=1)
    await sandbox.open()
    started = [each for each in psutil.Process().children(recursive=True) if each not in before]
    assert started
    del sandbox
    gc.collect()
    assert psutil.wait_procs(started, timeout=5)[1] == []


async def test_a_zygote_that_hangs_is_replaced_and_nobody_fails_for_it(sandbox: Sandbox) -> None:
    import engine.sandbox.sandbox as module

    stopped = psutil.Process().children(recursive=True)
    for process in stopped:
        process.suspend()
    patience, module.BACKSTOP_S = module.BACKSTOP_S, -35.5  # half a second, with the limits that follow from 2 s
    try:
        verdict = await judged(sandbox, "def f(x): return 1", "assert f(1) == 1")
    finally:
        module.BACKSTOP_S = patience
    assert verdict.passed or verdict.result is Result.SANDBOX_UNAVAILABLE
    assert psutil.wait_procs(stopped, timeout=5)[1] == []
    assert (await judged(sandbox, "def f(x): return 1", "assert f(1) == 1")).passed
