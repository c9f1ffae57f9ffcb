"""The loops beside which the engine is measured: the same bodies and nothing else, no storage, no retry of ours.

`python -m benchmarks.bare LOOP BASE_URL TASKS IN_FLIGHT`, where LOOP is `aiohttp`, `openai` or `openai-aiohttp`.
All run on uvloop where it is there, as the engine does. The first has the collector's settings of `engine run` as well,
which are a fifth of its cost: it is the least that can be had. The others are as people write them.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from benchmarks.answering import TEXT

Send = Callable[[str], Awaitable[str]]


def prompt(number: int) -> str:
    """The prompt of a task; each is another one, so that no reply is shared."""
    return f"Say item {number:07d}"


async def drive(send: Send, tasks: int, in_flight: int) -> int:
    """How many replies were right; as many workers as requests in flight pull from one iterator."""
    numbers = iter(range(tasks))
    right = 0

    async def work() -> None:
        nonlocal right
        for number in numbers:
            answer = await send(prompt(number))
            right += answer == TEXT  # apart from the await, across which a sum would be lost

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(work())
    return right


async def over_aiohttp(base_url: str, tasks: int, in_flight: int) -> int:
    """The least that an asyncio program does: encode, post, read, decode."""
    import aiohttp

    url, headers = f"{base_url}/chat/completions", {"Content-Type": "application/json"}
    timeout = aiohttp.ClientTimeout(total=60)
    connector = aiohttp.TCPConnector(limit=in_flight)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:

        async def send(text: str) -> str:
            body = {"model": "m", "messages": [{"role": "user", "content": text}], "temperature": 0}
            async with session.post(url, data=json.dumps(body).encode()) as response:
                answer: Any = json.loads(await response.read())
                return str(answer["choices"][0]["message"]["content"])

        return await drive(send, tasks, in_flight)


async def over_openai(base_url: str, tasks: int, in_flight: int, *, aiohttp_transport: bool) -> int:
    """The loop that most people write."""
    from openai import AsyncOpenAI, DefaultAioHttpClient

    http_client = DefaultAioHttpClient() if aiohttp_transport else None
    async with AsyncOpenAI(base_url=base_url, api_key="none", http_client=http_client) as client:

        async def send(text: str) -> str:
            completion = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": text}], temperature=0
            )
            return completion.choices[0].message.content or ""

        return await drive(send, tasks, in_flight)


def collect_seldom() -> None:
    """The settings of `engine.cli.run.run_loop`, after what a loop needs is imported."""
    import_module("aiohttp")
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)


def main(loop: str, base_url: str, tasks: int, in_flight: int) -> None:
    """Run one loop, and end with an error where a reply was not right."""
    if loop == "aiohttp":
        collect_seldom()
        work = over_aiohttp(base_url, tasks, in_flight)
    else:
        work = over_openai(base_url, tasks, in_flight, aiohttp_transport=loop == "openai-aiohttp")
    try:
        import uvloop
    except ImportError:
        right = asyncio.run(work)
    else:
        right = uvloop.run(work)
    if right != tasks:
        sys.exit(f"{tasks - right} of {tasks} replies were wrong")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
