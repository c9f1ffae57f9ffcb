"""What the parts of a task cost: `python -m benchmarks.parts engine|http ROWS TASKS BASE_URL IN_FLIGHT`.

The engine through its public door, or a loop over its endpoint alone, each on the loop of `engine run`. It prints JSON:
CPU seconds of the thread of the loop, and of all other threads, which are the store's.
"""

from __future__ import annotations

import json
import sys
import time

from benchmarks.bare import drive
from benchmarks.lag import run_engine
from engine.cli.run import run_loop
from engine.endpoints.openai_chat import OpenAIChat


async def over_endpoint(base_url: str, tasks: int, in_flight: int) -> None:
    """As many calls, one attempt each; nothing is stored."""
    endpoint = OpenAIChat(base_url, identity=base_url, max_connections=in_flight)

    async def send(text: str) -> str:
        body = {"model": "m", "messages": [{"role": "user", "content": text}], "temperature": 0}
        return (await endpoint.send(json.dumps(body).encode(), timeout_s=60.0)).text

    try:
        if await drive(send, tasks, in_flight) != tasks:
            raise RuntimeError("a reply was wrong")
    finally:
        await endpoint.aclose()


def main(what: str, rows: str, tasks: int, base_url: str, in_flight: int) -> None:
    """Print the figures."""
    used: dict[str, float] = {}

    async def go() -> int:
        if what == "http":
            await over_endpoint(base_url, tasks, in_flight)
        else:
            await run_engine(rows, base_url, in_flight)
        used["loop_s"] = time.thread_time()
        used["others_s"] = time.process_time() - used["loop_s"]
        return 0

    run_loop(go)
    print(json.dumps(used))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
