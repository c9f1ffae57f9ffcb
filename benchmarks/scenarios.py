"""The scenarios: each measures one promise about cost, and gives its figures with their bars."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from benchmarks import servers
from benchmarks.contestants import Ground, bare_loop, engine, engine_runs, run_words
from benchmarks.paired import Middle, Rounds, costs, pair_of, play, ratios
from benchmarks.peers import Peer
from benchmarks.report import Figure, figure
from benchmarks.servers import Server

MOST_TO_BARE = 3.0
LEAST_BELOW_SDK = 4.0
FEW = 1_000
"""Tasks of the run whose cost is subtracted; somewhat more where more are in flight."""
SMALL_RUNS = 20
"""Small runs beside each large one: the standard error of their mean is about 10 % on a machine that is not calm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every scenario is given."""

    ground: Ground
    server: Server
    rounds: int
    tasks: int
    long: bool
    peers: Mapping[str, Peer]
    tell: Callable[[str], None]


def zero_latency(bench: Bench, in_flight: int) -> list[Figure]:
    """CPU a task beside the bare loops and the peers, against a server that answers at once."""
    url, few = bench.server.base_url, max(FEW, 4 * in_flight)
    many, fewer = few + bench.tasks, few + bench.tasks // 5
    contestants = [
        engine_runs(bench.ground, url, in_flight, few, many),
        bare_loop("aiohttp", bench.ground, url, in_flight, few, many),
        bare_loop("openai", bench.ground, url, in_flight, few, fewer),
        bare_loop("openai-aiohttp", bench.ground, url, in_flight, few, fewer),
        *(peer(bench.ground, url, in_flight, few, fewer) for peer in bench.peers.values()),
    ]
    rounds = play(contestants, bench.rounds, bench.tell)
    name = f"0 s, {in_flight} in flight, {bench.tasks:,} tasks"
    figures = [figure(name, f"{each.name}, CPU", costs(rounds, each.name), "ms/task") for each in contestants]
    engine_s = Middle.of([1000 / pair.wall_ms for pair in rounds["engine"]])
    peak_mb = Middle.of([pair.many.peak_mb for pair in rounds["engine"]])
    figures += [
        figure(name, "engine, tasks a second", engine_s),
        figure(name, "engine, largest resident", peak_mb, "MB"),
    ]
    return figures + _ratios(name, rounds, in_flight)


def _ratios(name: str, rounds: Rounds, in_flight: int) -> list[Figure]:
    bars = in_flight in (64, 512)  # the goals are said for these
    figures = [
        figure(
            name,
            "engine / bare aiohttp",
            ratios(rounds, "engine", "bare aiohttp"),
            "x",
            most=MOST_TO_BARE if bars else None,
        )
    ]
    for other in rounds:
        if other not in ("engine", "bare aiohttp"):
            least = LEAST_BELOW_SDK if bars and other == "bare openai" else None
            least = {"lm-eval": 1 / 0.35, "inspect": 1 / 0.05}.get(other, least)
            figures.append(figure(name, f"{other} / engine", ratios(rounds, other, "engine"), "x", least=least))
    return figures


def flat(bench: Bench) -> list[Figure]:
    """Whether a task costs the same in a small and in a large run, 64 in flight.

    The small run is over within two seconds: beside another program one costs half as much again as the next. So each
    round has many of them, half before and half after the large run, and the large one is compared with their mean.
    """
    large = 200_000 if bench.long else 10 * FEW
    runs = engine_runs(bench.ground, bench.server.base_url, 64, FEW // 2, FEW // 2 + 2 * FEW)
    larges, smalls, over = [], [], []
    for number in range(bench.rounds):
        before = [pair_of(runs) for _ in range(SMALL_RUNS // 2)]
        most = runs.start(FEW // 2 + large)
        pairs = [*before, *(pair_of(runs) for _ in range(SMALL_RUNS // 2))]
        few_s = mean([pair.few.cpu_s for pair in pairs])
        smalls.append(mean([pair.cpu_ms for pair in pairs]))
        larges.append(1000 * (most.cpu_s - few_s) / large)
        over.append(larges[-1] / smalls[-1])
        bench.tell(f"  flat, round {number + 1}/{bench.rounds}: {larges[-1]:.3f} over {smalls[-1]:.3f} ms a task")
    return [
        figure("flat", f"cost a task, {large:,} / {2 * FEW:,} tasks", Middle.of(over), "x", most=1.1),
        figure("flat", f"engine, CPU, {large:,} tasks", Middle.of(larges), "ms/task"),
        figure("flat", f"engine, CPU, {2 * FEW:,} tasks, mean of {SMALL_RUNS}", Middle.of(smalls), "ms/task"),
    ]


def with_latency(
    bench: Bench, latency_s: float, in_flight: int, most: float, *, most_to_bare: float = 0.0
) -> list[Figure]:
    """Wall time over the ideal, tasks x latency / in flight, start-up subtracted; and the strict ceiling.

    With `most_to_bare` the bar is that multiple of the bare loop's own figure where this is larger.
    """
    waves = max(2, round(bench.tasks / in_flight))
    few, many = in_flight, in_flight * (1 + waves)
    name = f"{latency_s:g} s, {in_flight} in flight, {many - few:,} tasks"
    with servers.ours(latency_s) as server, servers.ours(latency_s) as other:
        contestants = [
            engine_runs(bench.ground, server.base_url, in_flight, few, many),
            bare_loop("aiohttp", bench.ground, other.base_url, in_flight, few, many),
        ]
        rounds = play(contestants, bench.rounds, bench.tell)
        peak = server.stats()["peak"]
    ideal_ms = 1000 * latency_s / in_flight
    over = {each: Middle.of([pair.wall_ms / ideal_ms for pair in rounds[each]]) for each in rounds}
    bar = max(most, most_to_bare * over["bare aiohttp"].value)
    return [
        figure(name, "engine, wall / ideal", over["engine"], "x", most=bar),
        figure(name, "bare aiohttp, wall / ideal", over["bare aiohttp"], "x"),
        figure(name, "engine, CPU", costs(rounds, "engine"), "ms/task"),
        figure(name, "engine / bare aiohttp, CPU", ratios(rounds, "engine", "bare aiohttp"), "x"),
        figure(name, "engine, most requests in flight", Middle.of([peak]), "", most=in_flight),
    ]


def parts(bench: Bench, in_flight: int = 64) -> list[Figure]:
    """CPU a task of the loop, of HTTP alone in it, and of the store's threads; start-up subtracted."""
    seen: dict[str, list[float]] = {}
    for _ in range(bench.rounds):
        http, engine_parts = (_parts(bench, what, in_flight) for what in ("http", "engine"))
        found = {
            "HTTP: the endpoint alone": http["loop_s"],
            "the loop, all else": engine_parts["loop_s"] - http["loop_s"],
            "the threads of the store": engine_parts["others_s"],
        }
        for name, cost_s in {**found, "in all": sum(found.values())}.items():
            seen.setdefault(name, []).append(1e6 * cost_s / bench.tasks)
    where = f"parts of a task, 0 s, {in_flight} in flight, {bench.tasks:,} tasks"
    return [figure(where, name, Middle.of(values), "us/task") for name, values in seen.items()]


def _parts(bench: Bench, what: str, in_flight: int) -> dict[str, float]:
    """Seconds that `benchmarks.parts` printed, those of few tasks subtracted."""
    spent = []
    for tasks in (FEW, FEW + bench.tasks):
        place = bench.ground.place()
        words = (what, str(bench.ground.rows(tasks)), str(tasks), bench.server.base_url, str(in_flight))
        ran = engine(words, place=place, launcher=(sys.executable, "-m", "benchmarks.parts"))
        spent.append(json.loads(ran.printed.splitlines()[-1]))
        shutil.rmtree(place)
    return {name: spent[1][name] - spent[0][name] for name in spent[0]}


def memory(bench: Bench, in_flight: int, most_mb: float) -> list[Figure]:
    """The largest resident memory of a run."""
    tasks = 200_000 if bench.long else 2 * bench.tasks
    run = engine_runs(bench.ground, bench.server.base_url, in_flight, 0, 0)
    peak = Middle.of([run.start(tasks).peak_mb])
    return [figure(f"memory, {in_flight} in flight, {tasks:,} tasks", "largest resident", peak, "MB", most=most_mb)]


def lag(bench: Bench, in_flight: int = 512) -> list[Figure]:
    """How late the loop is at the 99th percentile, beside the bare loop: at once, and with latency.

    Of the wake-ups, and of the time: a loop that is held for 50 ms is late once, and for all of these.
    """
    figures = []
    with servers.ours(0.2) as late:
        for name, server in (("0 s", bench.server), ("0.2 s", late)):
            found = _lags(bench, server.base_url, in_flight)
            where = f"loop lag, {name}, {in_flight} in flight"
            for what, seen in found.items():
                most = 20.0 if what == "engine" else None
                by_time = Middle.of([1000 * each["always_p99_s"] for each in seen])
                by_count = Middle.of([1000 * each["p99_s"] for each in seen])
                figures.append(figure(where, f"{what}, p99 of wake-ups", by_count, "ms", most=most))
                figures.append(figure(where, f"{what}, p99 of the time", by_time, "ms"))
    return figures


def _lags(bench: Bench, base_url: str, in_flight: int) -> dict[str, list[dict[str, float]]]:
    """What `benchmarks.lag` printed for the engine and for the bare loop, round by round."""
    seen: dict[str, list[dict[str, float]]] = {"engine": [], "bare": []}
    for _ in range(bench.rounds):
        for what, values in seen.items():
            place = bench.ground.place()
            words = (what, str(bench.ground.rows(bench.tasks)), str(bench.tasks), base_url, str(in_flight))
            spent = engine(words, place=place, launcher=(sys.executable, "-m", "benchmarks.lag"))
            values.append(json.loads(spent.printed.splitlines()[-1]))
            shutil.rmtree(place)
    return seen


def cached(bench: Bench) -> list[Figure]:
    """Tasks per second where another run had made the same calls: a new run, its replies from the store."""
    few, many = FEW, FEW + bench.tasks
    rates = []
    for _ in range(bench.rounds):
        walls = []
        for tasks in (few, many):
            place = bench.ground.place()
            words = run_words(bench.ground.rows(tasks), bench.server.base_url, 64)
            engine(words, place=place)
            # Another prompt-less option makes another run of the same requests; nothing is sent.
            walls.append(engine([*words, "--name", "again", "--offline"], place=place).wall_s)
            shutil.rmtree(place)
        rates.append((many - few) / (walls[1] - walls[0]))
        bench.tell(f"  cached: {rates[-1]:,.0f} tasks/s")
    return [figure(f"cached rerun, {many - few:,} tasks", "tasks a second", Middle.of(rates), "", least=10_000)]


def resume(bench: Bench, tasks: int = 1_000_000) -> list[Figure]:
    """Seconds from the start of a process to its first request, where all tasks but one are finished."""
    place, name = bench.ground.place(), f"resume of {tasks:,} finished tasks"
    with servers.ours(0.0) as server:
        words = run_words(bench.ground.rows(tasks), server.base_url, 64)
        first = engine([*words, "--limit", "1"], place=place)
        finish_by_hand(place / "home" / "engine.db", tasks - 1)
        before = server.stats()["requests"]
        spent = engine(words, place=place)
        seen = server.stats()
    if seen["requests"] != before + 1:
        raise RuntimeError(f"{seen['requests'] - before} requests were sent in place of one: the rows were not taken")
    shutil.rmtree(place)
    ready_s = seen["last_at"] - (spent.ended_at - spent.wall_s)
    return [
        figure(name, "start to first request", Middle.of([ready_s]), "s", most=5.0),
        figure(name, "the whole process, CPU", Middle.of([spent.cpu_s]), "s"),
        figure(name, "the first start, file unknown", Middle.of([first.wall_s]), "s"),
        figure(name, "largest resident", Middle.of([spent.peak_mb]), "MB"),
    ]


def finish_by_hand(database: Path, until: int) -> None:
    """Finish the tasks up to this index, as copies of the first one of the only run there is, and of its call."""
    with closing(sqlite3.connect(database)) as connection, connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(tasks)")]
        values = ", ".join("n" if column == "datum_index" else column for column in columns)
        connection.execute(
            f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {until})"
            f" INSERT INTO tasks ({', '.join(columns)}) SELECT {values} FROM tasks, numbers WHERE datum_index = 0"
        )
        for table in ("calls", "bodies", "attempts"):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            new = {"id": "n + 1", "request_key": "lower(hex(randomblob(16)))"}
            values = ", ".join(new.get(column, column) for column in columns)
            connection.execute(
                f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {until})"
                f" INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM numbers, "
                f"(SELECT * FROM {table} LIMIT 1)"
            )
        connection.execute("UPDATE runs SET status = 'open', ended_at = NULL")


def start_up(bench: Bench) -> list[Figure]:
    """CPU seconds of short commands."""
    rounds: dict[str, list[float]] = {"--help": [], "20 samples": [], "evaluation table": []}
    for _ in range(max(3, bench.rounds)):
        place = bench.ground.place()
        rounds["--help"].append(engine(["--help"], place=place).cpu_s)
        words = run_words(bench.ground.rows(20), bench.server.base_url, 64, "--record")
        rounds["20 samples"].append(engine(words, place=place).cpu_s)
        shown = engine(["evaluation", "table"], place=place)
        if "100.00" not in shown.printed:
            raise RuntimeError(f"the table does not show what was recorded:\n{shown.printed}")
        rounds["evaluation table"].append(shown.cpu_s)
        shutil.rmtree(place)
    bars = {"--help": 0.25, "20 samples": 1.5, "evaluation table": 0.5}
    return [
        figure("start-up", f"{name}, CPU", Middle.of(found), "s", most=bars[name]) for name, found in rounds.items()
    ]


def first_request(bench: Bench) -> list[Figure]:
    """CPU seconds of a run of one task, which bounds what it takes to the first request."""
    rounds = []
    for _ in range(max(3, bench.rounds)):
        place = bench.ground.place()
        rounds.append(engine(run_words(bench.ground.rows(1), bench.server.base_url, 64), place=place).cpu_s)
        shutil.rmtree(place)
    return [figure("start-up", "one task from JSONL, CPU", Middle.of(rounds), "s", most=0.8)]


SCENARIOS: dict[str, Callable[[Bench], list[Figure]]] = {
    "zero-16": lambda bench: zero_latency(bench, 16),
    "zero-64": lambda bench: zero_latency(bench, 64),
    "zero-512": lambda bench: zero_latency(bench, 512),
    "zero-2000": lambda bench: zero_latency(bench, 2000),
    "parts": parts,
    "flat": flat,
    "latency-512": lambda bench: with_latency(bench, 0.2, 512, 1.15, most_to_bare=1.1),
    "latency-2000": lambda bench: with_latency(bench, 2.0, 2000, 1.05),
    "cached": cached,
    "resume": resume,
    "start-up": lambda bench: [*start_up(bench), *first_request(bench)],
    "memory-512": lambda bench: memory(bench, 512, 150.0),
    "memory-2000": lambda bench: memory(bench, 2000, 250.0),
    "lag": lag,
}
"""By the name that `--only` takes."""
