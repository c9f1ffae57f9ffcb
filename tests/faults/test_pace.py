"""The gate before a provider that refuses: a limit is learned in seconds, chance is not taken for one. Virtual time."""

from __future__ import annotations

import asyncio
import math
import random
from bisect import bisect
from dataclasses import dataclass, field

import pytest

from engine.calls.gate import Gate
from tests import virtual_time

RATE = 100
KEEPS_S = 0.01
"""An answer holds its place until it is durable."""


@dataclass
class Server:
    """Refuses above `RATE` requests a second, counted in a way that servers count; or by chance; or both.

    With `counts_refused`, what it refuses is counted as well. `asks` is how it says when to come back.
    """

    counts: str = ""
    counts_refused: bool = False
    asks: str = "seconds"
    chance: float = 0.0
    rate: float = RATE
    phase: float = 0.0
    """How far into one of its windows the first request comes."""
    allowed: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    level: float = RATE
    at: float = 0.0

    def asks_for(self, now: float, rng: random.Random) -> float | None:
        """Seconds to wait, or None where the request is allowed."""
        wait_s = self._above(now) if self.counts else None
        if wait_s is None and rng.random() < self.chance:
            wait_s = 1.0
        (self.allowed if wait_s is None else self.refused).append(now)
        if wait_s is None or self.asks == "nothing":
            return None if wait_s is None else math.inf
        wait_s -= 1e-9  # a sum of floats: one second is not told as two
        return max(1, math.ceil(wait_s)) if self.asks == "seconds" else math.ceil(1000 * wait_s) / 1000

    def _above(self, now: float) -> float | None:
        if self.counts == "bucket":
            self.level, self.at = min(self.rate, self.level + (now - self.at) * self.rate), now
            if self.level < 1:
                return (1 - self.level) / self.rate
            self.level -= 1
            return None
        since = int(now + self.phase) - self.phase if self.counts == "window" else now - 1
        counted = sorted(self.allowed[-2 * RATE :] + self.refused[-2 * RATE :]) if self.counts_refused else self.allowed
        recent = [at for at in counted[-2 * RATE :] if at >= since]
        return None if len(recent) < self.rate else (since + 1 if self.counts == "window" else recent[0] + 1) - now


async def _used(
    server: Server,
    *,
    ceiling: int,
    until_s: float,
    latency_s: float = 0.05,
    refuses_in_s: float = 0.05,
    seed: int = 1,
    late_s: float = 0.0,
) -> Gate:
    """Ask as fast as the gate lets; with `late_s`, what leaves is held up for about so long twice a second."""
    loop, gate, rng = asyncio.get_running_loop(), Gate(ceiling), random.Random(seed)
    held = [(0.0, 0.0)]
    while late_s and held[-1][0] < until_s:
        at = held[-1][0] + rng.expovariate(2)
        held.append((at, at + rng.expovariate(1 / late_s)))
    begins = [at for at, _ in held]

    async def worker() -> None:
        while loop.time() < until_s:
            await gate.enter("run")
            sent_at = loop.time()
            await asyncio.sleep(max(0.0, held[bisect(begins, sent_at) - 1][1] - sent_at))
            wait_s = server.asks_for(loop.time(), rng)
            slow = latency_s if wait_s is None else min(latency_s, refuses_in_s)
            await asyncio.sleep(slow * rng.lognormvariate(0, 0.3))
            if wait_s is None:
                gate.accepted({}, seconds=loop.time() - sent_at)
                await asyncio.sleep(KEEPS_S)
            else:
                gate.refused(None if wait_s == math.inf else wait_s, sent_at=sent_at, why="429")
            gate.leave(answered=wait_s is None)
            if wait_s is not None:
                await asyncio.sleep((0.5 if wait_s == math.inf else wait_s) + rng.uniform(0, 0.1))

    await asyncio.gather(*[worker() for _ in range(ceiling * 5 // 4 + 8)])
    return gate


def _figures(server: Server, *, until_s: float) -> tuple[float, float]:
    """`(share of what is allowed that was used from 10 s on, share of requests that were refused)`."""
    goodput = sum(10 <= at < until_s - 1 for at in server.allowed) / (RATE * (until_s - 11))
    return goodput, len(server.refused) / (len(server.refused) + len(server.allowed))


@pytest.mark.parametrize("asks", ["seconds", "milliseconds", "nothing"])
@pytest.mark.parametrize("ceiling", [8, 16, 64, 256])
@pytest.mark.parametrize("counts", ["window", "sliding", "bucket"])
def test_a_limit_is_learned_within_ten_seconds(counts, ceiling, asks):
    server = Server(counts, asks=asks)
    virtual_time.run(_used(server, ceiling=ceiling, until_s=60))
    goodput, share = _figures(server, until_s=60)
    print(f"{counts}, {ceiling}, {asks}: goodput {goodput:.3f}, {100 * share:.2f} % refused")
    assert goodput >= 0.95
    assert share <= 0.05


@pytest.mark.parametrize("ceiling", [8, 64, 256, 512])
@pytest.mark.parametrize("counts", ["window", "sliding", "bucket"])
def test_a_limit_is_learned_where_refusals_come_long_before_answers(counts, ceiling):
    server = Server(counts)
    virtual_time.run(_used(server, ceiling=ceiling, until_s=90, refuses_in_s=0.002))
    goodput, share = _figures(server, until_s=90)
    print(f"{counts}, {ceiling}: goodput {goodput:.3f}, {100 * share:.2f} % refused")
    assert goodput >= 0.95
    assert share <= (0.05 if ceiling < 512 else 0.1), "the first burst is as large as was asked for"


@pytest.mark.parametrize("ceiling", [8, 16, 64, 256])
@pytest.mark.parametrize("refuses_in_s", [0.05, 0.002])
def test_a_limit_is_learned_wherever_in_a_window_the_run_begins(ceiling, refuses_in_s):
    found = []
    for tenth in range(0, 10, 2):
        server = Server("window", phase=tenth / 10 + 0.03)
        how = {"ceiling": ceiling, "until_s": 60.0, "refuses_in_s": refuses_in_s, "seed": tenth}
        virtual_time.run(_used(server, **how))
        found.append(_figures(server, until_s=60))
    print(f"{ceiling}, {refuses_in_s} s: goodput {[round(goodput, 3) for goodput, _ in found]}")
    assert sum(goodput for goodput, _ in found) / len(found) >= 0.95
    assert min(goodput for goodput, _ in found) >= 0.93, "each refusal after ten seconds costs a fiftieth"
    assert max(share for _, share in found) <= 0.05


@pytest.mark.parametrize(("ceiling", "latency_s"), [(32, 0.2), (128, 0.5), (256, 1.0), (512, 3.0)])
@pytest.mark.parametrize("counts", ["window", "sliding", "bucket"])
def test_a_limit_is_learned_where_models_think_for_long(counts, ceiling, latency_s):
    found = []
    for fifth in (0, 2, 4):
        server = Server(counts, phase=fifth / 5 + 0.03)
        how = {"ceiling": ceiling, "until_s": 75.0, "latency_s": latency_s, "refuses_in_s": 0.01, "seed": fifth}
        virtual_time.run(_used(server, **how))
        found.append(_figures(server, until_s=75))
    print(f"{counts}, {ceiling}, {latency_s} s: goodput {[round(goodput, 3) for goodput, _ in found]}")
    assert sum(goodput for goodput, _ in found) / len(found) >= 0.95
    assert max(share for _, share in found) <= (0.05 if ceiling < 512 else 0.1), "the first burst is the user's"


@pytest.mark.parametrize("ceiling", [8, 64])
@pytest.mark.parametrize("counts", ["window", "sliding"])
def test_a_limit_is_learned_where_refused_requests_count_as_well(counts, ceiling):
    server = Server(counts, counts_refused=True)
    virtual_time.run(_used(server, ceiling=ceiling, until_s=60))
    goodput, share = _figures(server, until_s=60)
    print(f"{counts}, {ceiling}: goodput {goodput:.3f}, {100 * share:.2f} % refused")
    assert goodput >= 0.95
    assert share <= 0.05


@pytest.mark.parametrize("late_s", [0.0, 0.008])
@pytest.mark.parametrize("latency_s", [0.03, 0.3])
def test_a_limit_is_learned_whatever_the_latency_and_though_requests_leave_late(latency_s, late_s):
    found = []
    for counts in ("window", "sliding", "bucket"):
        for seed in range(1, 4):
            server = Server(counts)
            how = {"ceiling": 64, "until_s": 40.0, "latency_s": latency_s, "seed": seed, "late_s": late_s}
            virtual_time.run(_used(server, **how))
            found.append(_figures(server, until_s=40))
    print(f"{latency_s} s, {late_s} s late: goodput {sorted(round(goodput, 3) for goodput, _ in found)}")
    mean = sum(goodput for goodput, _ in found) / len(found)
    assert (mean if late_s else min(goodput for goodput, _ in found)) >= 0.95, "each refusal costs its second"
    assert max(share for _, share in found) <= 0.05


@pytest.mark.parametrize("ceiling", [4, 8, 16, 64])
def test_refusals_by_chance_cost_the_pause_that_they_ask_for_and_no_more(ceiling):
    """Each refusal stops all for a second, so about a ceiling of requests goes through in each."""
    server = Server(chance=0.1)
    virtual_time.run(_used(server, ceiling=ceiling, until_s=60))
    a_second = len(server.allowed) / 60
    print(f"{ceiling}: {a_second:.1f} answers a second")
    assert a_second >= 0.7 * ceiling


def test_a_limit_that_falls_by_half_is_found_again():
    server = Server("sliding")

    async def work() -> None:
        asyncio.get_running_loop().call_later(30, lambda: setattr(server, "rate", RATE / 2))
        await _used(server, ceiling=64, until_s=90)

    virtual_time.run(work())
    late = sum(60 <= at < 89 for at in server.allowed) / (RATE / 2 * 29)
    print(f"goodput of the new limit {late:.3f}, {len(server.refused)} of {len(server.allowed)} refused")
    assert late >= 0.85
    assert len(server.refused) <= 0.05 * len(server.allowed)


def test_a_limit_that_doubles_is_used_again_in_a_while():
    server = Server("sliding")

    async def work() -> None:
        asyncio.get_running_loop().call_later(30, lambda: setattr(server, "rate", 2 * RATE))
        await _used(server, ceiling=64, until_s=330)

    virtual_time.run(work())
    late = sum(300 <= at < 329 for at in server.allowed) / (2 * RATE * 29)
    print(f"goodput of the new limit {late:.3f}")
    assert late >= 0.7
