"""The battery that every store must pass: what goes in comes out, and is counted as one counts by hand."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import StorageError
from engine.ports import Store
from engine.records import Completion, Outcome, Selection, Tally, TaskKey, Usage
from tests.contract.store_kit import (
    BACKENDS,
    attempt,
    completion,
    finished,
    opened,
    result,
    results,
    run,
)

HUGE = 10**30


@pytest.fixture(params=list(BACKENDS))
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a database can be, that is not there yet."""
    return BACKENDS[request.param](tmp_path)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with opened(url) as store:
        yield store


# --- runs -------------------------------------------------------------------------------------------------------


async def test_a_run_is_made_once_and_found_again(store: Store) -> None:
    assert await store.open_run(run()) == ("run_id", "new")
    assert await store.open_run(run(run_id="another")) == ("run_id", "open")
    await store.end_run("run_id")
    assert await store.open_run(run()) == ("run_id", "ended")
    assert await store.open_run(run(run_id="forced", generation=1)) == ("forced", "new")


async def test_a_run_comes_out_as_a_row_with_every_field(store: Store) -> None:
    record = run(tags=("a", "b"), created_at=5.0, environment='{"python": 3}')
    await store.open_run(record)
    [row] = await store.find_runs(benchmark="benchmark", model="model")
    assert {name: row[name] for name in ("run_id", "sampling", "planned", "parts", "environment")} == {
        "run_id": "run_id", "sampling": "sampling", "planned": 10, "parts": "parts", "environment": '{"python": 3}',
    }  # fmt: skip
    assert (row["tags"], row["created_at"], row["status"], row["ended_at"]) == ('["a","b"]', 5.0, "open", None)


async def test_a_larger_selection_raises_the_planned_tasks_and_a_smaller_one_does_not(store: Store) -> None:
    for planned in (10, 100, 20):
        await store.open_run(run(planned=planned))
    [row] = await store.find_runs()
    assert row["planned"] == 100


async def test_the_newest_run_of_a_scope_is_that_of_the_highest_generation(store: Store) -> None:
    await store.open_run(run(run_id="a", generation=1, created_at=1.0))
    await store.open_run(run(run_id="b", identity="other code", generation=1, created_at=2.0))
    await store.open_run(run(run_id="c", identity="older", generation=0, created_at=3.0))
    newest = await store.newest_run("scope")
    assert newest is not None
    assert newest["run_id"] == "b"
    assert await store.newest_run("another scope") is None


async def test_runs_are_found_newest_first_by_benchmark_and_model(store: Store) -> None:
    for n, (benchmark, model) in enumerate([("x", "m"), ("x", "k"), ("y", "m")]):
        await store.open_run(run(run_id=str(n), identity=str(n), benchmark=benchmark, model=model, created_at=n + 1.0))
    assert [row["run_id"] for row in await store.find_runs()] == ["2", "1", "0"]
    assert [row["run_id"] for row in await store.find_runs(benchmark="x")] == ["1", "0"]
    assert [row["run_id"] for row in await store.find_runs(model="m", limit=1)] == ["2"]


# --- what goes in comes out -------------------------------------------------------------------------------------

COMPLETIONS = [
    completion(),
    completion(choices=("The answer is 5. ü",), usage=Usage(1, 2, 3, 4), cost_usd=0.25, ttft_s=0.1, latency_s=0.5),
    completion(choices=("one", "two"), refusal="no", reasoning="because", tool_calls=({"id": "1", "n": [1]},)),
    completion(text="", finish_reason="length", attempts=3, queue_s=1.5, usage=Usage(0, 0)),
    completion(choices=("another",)),
]


@pytest.mark.parametrize("given", COMPLETIONS)
async def test_a_completion_comes_out_as_it_went_in(url: str, given: Completion) -> None:
    async with opened(url) as store:
        await store.finish_call(given, [attempt()])
        assert await store.lookup("key") == given
        assert await store.lookup("another key") is None
    async with opened(url) as store:
        assert await store.lookup("key") == given


async def test_a_task_comes_out_as_it_went_in(store: Store) -> None:
    given = result(
        3,
        1,
        Outcome.SCORED,
        score=0.25,
        datum_id="d3",
        answer="42",
        metrics={"f1": 0.5},
        tags=("easy",),
        info={"why": ["ü", None, 1.5]},
        error={"code": "call"},
        cut=True,
        calls=2,
        cached_calls=1,
        requests=4,
        input_tokens=10,
        output_tokens=20,
        cost_usd=None,
        uncached_cost_usd=0.5,
        duration_s=1.5,
        ended_at=9.0,
    )
    await store.finish_task(given)
    assert await results(store) == [given]
    assert await results(store, "another run") == []


async def test_text_that_no_database_takes_is_made_clean_and_its_neighbours_are_kept(store: Store) -> None:
    bad = "a\ud800b\0c\udfffé"
    many = [store.finish_call(completion(f"good {n}"), []) for n in range(20)]
    given = completion("bad", request=bad, response=bad, text=bad, choices=(bad,), refusal=bad, model=bad)
    message = attempt(message=bad, request_id=bad)
    await asyncio.gather(*many, store.finish_call(given, [message]), store.release_call(bad, [message]))
    clean = "a\ufffdb\ufffdc\ufffdé"
    assert await store.lookup("bad") == replace(
        given, request=clean, response=clean, text=clean, choices=(clean,), refusal=clean, model=clean
    )
    assert None not in await asyncio.gather(*(store.lookup(f"good {n}") for n in range(20)))
    await store.finish_task(result(answer=bad, info={bad: bad}, datum_id=bad, error={"message": bad}, tags=(bad,)))
    [found] = await results(store)
    assert (found.answer, found.datum_id, found.tags) == (clean, clean, (clean,))
    assert clean in repr(found.error)
    assert "\ud800" not in repr(found)


async def test_numbers_that_no_database_takes_become_unknown(store: Store) -> None:
    await store.finish_call(
        completion(usage=Usage(HUGE, -HUGE, 3, 2**63 - 1), cost_usd=math.nan, latency_s=math.inf, queue_s=math.nan), []
    )
    found = await store.lookup("key")
    assert found is not None
    assert found.usage == Usage(None, None, 3, 2**63 - 1)
    assert (found.cost_usd, found.latency_s, found.queue_s) == (None, 0.0, 0.0)
    await store.finish_task(
        result(score=math.nan, metrics={"x": math.inf, "y": 1.0}, info=[math.nan, HUGE, {1, 2}], cost_usd=math.inf)
    )
    [task] = await results(store)
    assert (task.score, task.metrics, task.info, task.cost_usd) == (None, {"y": 1.0}, [None, HUGE, [1, 2]], None)


async def test_info_that_json_cannot_hold_is_made_plain(store: Store) -> None:
    circle: list[Any] = []
    circle.append(circle)
    await store.finish_task(result(info={"path": Path("x"), 1: {"deep": circle}, "bytes": b"x", "n": 10**5000}))
    [task] = await results(store)
    assert (task.info["path"], task.info["bytes"], task.info["n"]) == ("x", "b'x'", None)


async def test_a_row_that_cannot_be_stored_fails_alone(store: Store) -> None:
    writes = [store.finish_task(result(n)) for n in range(30)]
    writes.insert(15, store.finish_task(result(HUGE)))
    ended = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(each) for each in ended if each is not None] == [StorageError]
    assert isinstance(ended[15], StorageError)
    assert [index for index, _, _ in await finished(store)] == list(range(30))


# --- tasks ------------------------------------------------------------------------------------------------------


async def test_finished_tasks_come_in_chunks_in_task_order(store: Store) -> None:
    keys = [(index, repeat) for index in range(700) for repeat in range(2)]
    await asyncio.gather(*(store.finish_task(result(*key)) for key in reversed(keys)))
    assert await finished(store) == [(*key, "passed") for key in keys]
    chunks = [chunk async for chunk in store.results("run")]
    assert max(len(chunk) for chunk in chunks) <= 1000
    assert [each.key[1:] for chunk in chunks for each in chunk] == keys


async def test_a_later_result_takes_the_place_of_the_earlier_one(store: Store) -> None:
    await store.finish_task(result(outcome=Outcome.ERRORED, error={"code": "call"}))
    await store.finish_task(result(answer="5"))
    assert await results(store) == [result(answer="5")]


async def test_claimed_and_finished_tasks_are_not_handed_out(url: str) -> None:
    keys = [TaskKey("run", n, 0) for n in range(6)]
    async with opened(url) as ours, opened(url) as theirs:
        assert await ours.claim_tasks(keys[:2]) == keys[:2]
        await theirs.finish_task(result(2, outcome=Outcome.ERRORED))
        await theirs.finish_task(result(3))
        assert await theirs.claim_tasks(keys) == keys[4:]
        assert await ours.claim_tasks(keys) == keys[:2], "whose claim it is gets it again"
        assert await ours.claim_tasks(keys, again=frozenset({"errored", "skipped"})) == keys[:3]
        await ours.release_tasks(keys[:1])
        await ours.release_tasks(keys[4:])
        assert await theirs.claim_tasks(keys) == [keys[0], *keys[4:]], "nobody gives back what others hold"
        await ours.finish_task(result(1))
        assert await theirs.claim_tasks(keys) == [keys[0], *keys[4:]]
        assert await ours.claim_tasks([]) == []


async def test_a_node_that_has_left_holds_nothing(url: str) -> None:
    keys = [TaskKey("run", n, 0) for n in range(3)]
    async with opened(url) as ours:
        async with opened(url) as theirs:
            await theirs.claim_tasks(keys)
            await theirs.claim_call("key")
        assert await ours.claim_tasks(keys) == keys
        assert await ours.claim_call("key") is True


async def test_pruning_takes_old_completions_with_their_attempts_and_nothing_else(store: Store) -> None:
    await store.open_run(run())
    await store.finish_task(result(0))
    for key, created_at, model, cost in (("old", 5, "m", 0.5), ("other", 6, "o", 0.25), ("new", 50, "m", 1.0)):
        kept = completion(key, created_at=created_at, model=model, cost_usd=cost)
        await store.finish_call(kept, [attempt(created_at)])
    await store.release_call("failed", [attempt(7, fault="server")])

    assert (await store.prunable(before=10))["completions"] == 2
    body = completion()
    size = len(body.request) + len(body.response) + len(body.text)
    found = await store.prunable(before=10, model="https://host/v1::m")
    assert found == {"completions": 1, "bytes": size, "cost_usd": 0.5}
    assert await store.prune(before=10, model="m") == 1
    assert [await store.lookup(key) is not None for key in ("old", "other", "new")] == [False, True, True]
    assert await store.prune(before=10) == 1
    assert await store.prune(before=10) == 0
    stats = await store.stats()
    assert {name: stats[name] for name in ("runs", "tasks", "completions", "attempts")} == {
        "runs": 1, "tasks": 1, "completions": 1, "attempts": 1,
    }  # fmt: skip
    assert await store.verify() == []
    assert await store.claim_call("old") is True
    await store.finish_call(completion("old", text="bought again"), [])
    assert (await store.lookup("old")).text == "bought again"  # type: ignore[union-attr]


TALLIED = [
    result(0, 0, cost_usd=0.5, uncached_cost_usd=1.0, calls=2, cached_calls=1, requests=3, input_tokens=7, cut=True),
    result(0, 1, Outcome.FAILED, metrics={"x": 1.0}),
    result(1, 0, Outcome.SCORED, score=0.5, output_tokens=2**62, tags=("t",)),
    result(1, 1, Outcome.ERRORED, input_tokens=2**62, output_tokens=2**62),
    result(2, 0, Outcome.UNPARSED, output_tokens=2**62),
    result(2, 1, Outcome.SKIPPED),
    result(3, 0, cost_usd=None),
    result(3, 2),
]


def counted_by_hand(selection: Selection) -> Tally:
    chosen = [each for each in TALLIED if each.key[1:] in selection]
    scores: dict[int, list[float]] = {}
    for each in chosen:
        if each.score is not None:
            scores.setdefault(each.key.datum_index, []).append(each.score)
    flat = [score for group in scores.values() for score in group]
    names = ("cut", "requests", "cached_calls", "calls")
    costs = {
        name: None if None in (values := [getattr(each, name) for each in chosen]) else sum(values)
        for name in ("input_tokens", "output_tokens", "cost_usd", "uncached_cost_usd")
    }
    return Tally(
        outcomes={o: n for o in Outcome if (n := sum(each.outcome is o for each in chosen))},
        values=sum(flat),
        squares=sum(score**2 for score in flat),
        fractional=sum(0 < score < 1 for score in flat),
        clusters=len(scores),
        cluster_square=sum(sum(group) ** 2 for group in scores.values()),
        cluster_cross=sum(sum(group) * len(group) for group in scores.values()),
        cluster_count_square=sum(len(group) ** 2 for group in scores.values()),
        detailed=sum(bool(each.metrics or each.tags) for each in chosen),
        **{name: sum(getattr(each, name) for each in chosen) for name in names},
        **costs,
    )


@pytest.mark.parametrize("picked", [None, frozenset({0, 2, 9}), frozenset({1}), frozenset(range(4))])
@pytest.mark.parametrize(("stop", "repeats"), [(4, 1), (4, 2), (4, 3), (2, 2), (0, 1)])
async def test_a_tally_counts_what_one_counts_by_hand(
    store: Store, stop: int, repeats: int, picked: frozenset[int] | None
) -> None:
    await asyncio.gather(*(store.finish_task(each) for each in TALLIED))
    selection = Selection(stop=stop, repeats=repeats, picked=picked)
    assert await store.tally("run", selection) == counted_by_hand(selection)


async def test_a_tally_of_nothing_is_empty(store: Store) -> None:
    assert await store.tally("run", Selection(stop=5, repeats=2)) == Tally()
