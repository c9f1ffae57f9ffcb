"""`engine simulate` and `engine replay`: a loopback endpoint with made-up, or recorded, answers."""

from __future__ import annotations

import json as encoding
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
from cyclopts import Parameter

from engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.endpoints.server import Responder


def simulate(
    *,
    port: int = 8008,
    accuracy: float = 1.0,
    latency_s: float = 0.0,
    latency_sigma: float = 0.0,
    output_tokens: int = 0,
    seed: int = 0,
    fault: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Serve a made-up model on 127.0.0.1 until Ctrl-C: it answers sums and multiple choice.

    Args:
        port: 0 takes a free one.
        accuracy: the share of sums answered rightly, 0 to 1.
        latency_s: median seconds to an answer.
        latency_sigma: how much that varies: the standard deviation of its logarithm.
        output_tokens: about how long an answer is at least.
        seed: another seed gives other mistakes.
        fault: NAME=RATE, repeatable: a status (429, 500), reset, hang, truncate or malformed; rates from 0 to 1.
        json: print one JSON object in place of the line for people.
    """
    from engine.endpoints.simulated import Simulated, Simulation

    simulation = Simulation(
        seed=seed,
        accuracy=accuracy,
        latency_s=latency_s,
        latency_sigma=latency_sigma,
        output_tokens=output_tokens,
        fault_rates=_rates(fault),
    )
    return anyio.run(_serve, Simulated(simulation), _port(port), json)


def replay(
    file: Path,
    *,
    port: int = 8009,
    latency_s: float = 0.0,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Serve the recorded answers in FILE on 127.0.0.1 until Ctrl-C.

    Args:
        file: JSON lines, plain or gzipped, with `match` (text of the question) and `content` (the answer).
        port: 0 takes a free one.
        latency_s: seconds to an answer.
        json: print one JSON object in place of the line for people.
    """
    from engine.endpoints.recorded import Recorded, load_recording

    return anyio.run(_serve, Recorded(load_recording(Path(file)), latency_s=latency_s), _port(port), json)


def _port(port: int) -> int:
    if not 0 <= port <= 65535:
        raise UsageError(f"--port is {port!r}", hint="it is a number from 0 to 65535; 0 takes a free one")
    return port


def _rates(faults: tuple[str, ...]) -> Mapping[str, float]:
    rates: dict[str, float] = {}
    for text in faults:
        name, _, rate = text.partition("=")
        try:
            rates[name.strip()] = float(rate)
        except ValueError as error:
            raise UsageError(f"--fault {text!r} is no NAME=RATE", hint="write it as --fault 429=0.1") from error
    return rates


async def _serve(responder: Responder, port: int, as_json: bool) -> int:
    from engine.endpoints.server import serve

    # Before the line is printed: who reads it may stop us at once.
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with serve(responder, port=port) as server:
            model = f"{server.base_url}::{responder.model}"
            if as_json:
                event = {"event": "serving", "base_url": server.base_url, "model": model}
                print(encoding.dumps(event | {"identity": responder.identity}), flush=True)
            else:
                print(f"{server.base_url}   use it as: --model {model}   (Ctrl-C ends it)", flush=True)
            async for _ in signals:
                break
    return 0
