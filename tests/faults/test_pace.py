"""The gate before a provider that refuses: a limit is learned in seconds, chance is not taken for one. Virtual time."""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass, field

import pytest

from engine.calls.gate import Gate
from tests import virtual_time

RATE = 100


@dataclass
class Server:
    """Refuses above `RATE` requests a second, counted in a way that servers count; or by chance; or both."""

    counts: str = ""
    chance: float = 0.0
    rate: float = RATE
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
        return None if wait_s is None else max(1, math.ceil(wait_s))

    def _above(self, now: float) -> float | None:
        if self.counts == "bucket":
            self.level, self.at = min(self.rate, self.level + (now - self.at) * self.rate), now
            if self.level < 1:
                return (1 - self.level) / self.rate
            self.level -= 1
            return None
        since = int(now) if self.counts == "window" else now - 1
        recent = [at for at in self.allowed[-2 * RATE :] if at >= since]
        return None if len(recent) < self.rate else (since + 1 if self.counts == "window" else recent[0] + 1) - now


async def _used(server: Server, *, ceiling: int, until_s: float, latency_s: float = 0.05) -> Gate:
    loop, gate, rng = asyncio.get_running_loop(), Gate(ceiling), random.Random(1)

    async def worker() -> None:
        while loop.time() < until_s:
            await gate.enter("run")
            sent_at = loop.time()
            wait_s = server.asks_for(sent_at, rng)
            await asyncio.sleep(latency_s * rng.lognormvariate(0, 0.3))
            if wait_s is None:
                gate.accepted({})
            else:
                gate.refused(wait_s, sent_at=sent_at, why="429")
            gate.leave()
            if wait_s is not None:
                await asyncio.sleep(wait_s + rng.uniform(0, 0.1))

    await asyncio.gather(*[worker() for _ in range(ceiling * 5 // 4 + 8)])
    return gate


@pytest.mark.parametrize("ceiling", [8, 16, 64, 256])
@pytest.mark.parametrize("counts", ["window", "sliding", "bucket"])
def test_a_limit_is_learned_within_ten_seconds(counts, ceiling):
    server = Server(counts)
    virtual_time.run(_used(server, ceiling=ceiling, until_s=60))
    goodput = sum(10 <= at < 59 for at in server.allowed) / (RATE * 49)
    share = len(server.refused) / (len(server.refused) + len(server.allowed))
    print(f"{counts}, {ceiling}: goodput {goodput:.3f}, {100 * share:.2f} % refused")
    assert goodput >= 0.95
    assert share <= 0.05


@pytest.mark.parametrize("ceiling", [4, 8, 16, 64])
def test_refusals_by_chance_cost_the_pause_that_they_ask_for_and_no_more(ceiling):
    """Each refusal stops all for a second, so about a ceiling of requests goes through in each."""
    server = Server(chance=0.1)
    gate = virtual_time.run(_used(server, ceiling=ceiling, until_s=60))
    a_second = len(server.allowed) / 60
    print(f"{ceiling}: {a_second:.1f} answers a second")
    assert a_second >= 0.5 * ceiling
    assert gate.pace.rate is None
    assert gate.limit == ceiling


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
