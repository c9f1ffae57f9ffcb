"""The made-up model over real HTTP: right as often as told, the same again, and faulty when asked to be."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from engine.endpoints.openai_chat import OpenAIChat
from engine.endpoints.server import serve
from engine.endpoints.simulated import Simulated, SimulatedEndpoint, Simulation
from engine.endpoints.sums import last_sum
from engine.errors import AttemptError, ConfigError, EndpointError
from engine.records import Fault, Reply


def body(question: str, **more: Any) -> bytes:
    messages = [{"role": "user", "content": question}]
    return json.dumps({"model": "m", "messages": messages, "temperature": 0} | more).encode()


async def ask(endpoint: SimulatedEndpoint, question: str, **more: Any) -> Reply:
    return await endpoint.send(body(question, **more), timeout_s=5)


async def until_answered(endpoint: SimulatedEndpoint, request: bytes) -> str:
    while True:
        with suppress(AttemptError):
            return (await endpoint.send(request, timeout_s=5)).text


@pytest.fixture
async def make():
    endpoints: list[SimulatedEndpoint] = []

    def _make(*, stream: bool = False, **parameters: Any) -> SimulatedEndpoint:
        endpoints.append(SimulatedEndpoint(Simulation(**parameters), stream=stream))
        return endpoints[-1]

    yield _make
    for endpoint in endpoints:
        await endpoint.aclose()


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is 123 + 456? Answer with the number only.", "579"),
        ("What is 123 + 456?", "The answer is 579."),
        ("1 + 1 = 2\n2 + 2 = 4\n5 - 7 = ? only the number", "-2"),
        ("6 * 7 (number only)", "42"),
        ("12 divided by 8, just the number", "1.5"),
        ("1,000 plus 2.5; only the number", "1002.5"),
        ("2 + 3 * 4 - 6 / 2, only the number", "11"),
        ("3 - -4, only the number", "7"),
    ],
)
async def test_a_sum_is_answered_with_its_number(make, question, answer):
    assert (await ask(make(), question)).text == answer


async def test_a_sum_in_parts_of_a_text_is_found_in_the_last_message_of_the_user(make):
    parts = [{"type": "text", "text": "What is 2 + "}, {"type": "text", "text": "3?"}]
    messages = [
        {"role": "system", "content": "Answer only with the number."},
        {"role": "user", "content": "8 + 8"},
        {"role": "assistant", "content": "16"},
        {"role": "user", "content": parts},
    ]
    assert (await ask(make(), "", messages=messages)).text == "5"


async def test_a_lettered_option_is_chosen_and_where_the_question_is_a_sum_the_right_one(make):
    endpoint = make()
    options = "Which is right? Only the letter.\nA. red\nB. green\nC. blue\nD. white"
    letters = {(await ask(endpoint, f"Question {n}. {options}")).text for n in range(40)}
    assert letters == {"A", "B", "C", "D"}
    assert (await ask(endpoint, "What is 2 + 2?\n(A) 3\n(B) 5\n(C) 4\n")).text == "The answer is C."


@pytest.mark.parametrize("accuracy", [0.0, 0.7, 1.0])
async def test_as_many_sums_are_right_as_the_accuracy_says_and_the_others_are_plausible(make, accuracy):
    endpoint = make(accuracy=accuracy, seed=3)
    questions = [(a, a * 7 % 900 + 100) for a in range(100, 700)]
    replies = await asyncio.gather(*(ask(endpoint, f"{a} + {b}, only the number") for a, b in questions))
    off = [abs(int(reply.text) - a - b) for reply, (a, b) in zip(replies, questions, strict=True)]
    right = off.count(0)
    assert abs(right / len(off) - accuracy) < 0.06
    assert max(off) <= 100


async def test_the_same_seed_gives_the_same_answers_in_any_order_and_with_faults_and_another_seed_others(make):
    requests = [body(f"{n} + 7, only the number") for n in range(60)]
    shuffled = random.Random(1).sample(requests, len(requests))
    plain, faulty = make(accuracy=0.5, seed=1), make(accuracy=0.5, seed=1, fault_rates={"500": 0.3})
    other, streamed = make(accuracy=0.5, seed=2), make(accuracy=0.5, seed=1, stream=True)
    first = {request: (await plain.send(request, timeout_s=5)).text for request in requests}
    texts = await asyncio.gather(*(until_answered(faulty, request) for request in shuffled))
    assert dict(zip(shuffled, texts, strict=True)) == first
    assert {request: (await streamed.send(request, timeout_s=5)).text for request in shuffled} == first
    assert {request: (await other.send(request, timeout_s=5)).text for request in requests} != first


async def test_equal_requests_differ_only_at_a_temperature_and_then_as_a_fixed_row(make):
    endpoint, again = make(accuracy=0.5), make(accuracy=0.5, fault_rates={"429": 0.4})
    assert len({(await ask(endpoint, "20 + 30")).text for _ in range(10)}) == 1
    assert len({(await ask(endpoint, "20 + 31", temperature=1, seed=5)).text for _ in range(10)}) == 1
    row = [(await ask(endpoint, "20 + 30", temperature=1)).text for _ in range(20)]
    assert len(set(row)) > 2
    assert [await until_answered(again, body("20 + 30", temperature=1)) for _ in range(20)] == row


async def test_n_gives_as_many_choices_equal_at_temperature_0(make):
    endpoint = make(accuracy=0.5)
    cold, warm = await ask(endpoint, "20 + 30", n=8), await ask(endpoint, "20 + 30", n=8, temperature=1)
    assert (len(cold.choices), len(set(cold.choices))) == (8, 1)
    assert len(warm.choices) == 8
    assert len(set(warm.choices)) > 1


async def test_max_tokens_and_stop_are_honoured(make):
    endpoint = make(output_tokens=50)
    whole = await ask(endpoint, "1 + 1")
    cut = await ask(endpoint, "1 + 1", max_tokens=5)
    assert (whole.finish_reason, whole.text.endswith("The answer is 2.")) == ("stop", True)
    assert 45 <= (whole.usage.output_tokens or 0) <= 60
    assert (cut.finish_reason, cut.usage.output_tokens, len(cut.text)) == ("length", 5, 20)
    assert (await ask(make(), "1 + 1", stop=[" is"])).text == "The answer"


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("429", Fault.RATE_LIMIT),
        ("500", Fault.SERVER),
        ("reset", Fault.CONNECTION),
        ("truncate", Fault.CONNECTION),
        ("malformed", Fault.MALFORMED),
        ("hang", Fault.TIMEOUT),
    ],
)
async def test_a_fault_that_is_asked_for_happens(make, name, fault):
    endpoint = make(fault_rates={name: 1.0})
    with pytest.raises(AttemptError) as caught:
        await endpoint.send(body("1 + 1"), timeout_s=0.3)
    assert caught.value.fault is fault


async def test_faults_hit_as_many_attempts_as_told_and_spare_a_later_attempt(make):
    endpoint = make(fault_rates={"429": 0.2, "reset": 0.1, "malformed": 0.1})
    texts = await asyncio.gather(*(until_answered(endpoint, body(f"{n} + 1, only the number")) for n in range(300)))
    assert texts == [str(n + 1) for n in range(300)]
    stats = endpoint.server.stats
    seen = {name: count / stats.requests for name, count in stats.by_status.items()}
    assert seen == pytest.approx({"200": 0.6, "429": 0.2, "reset": 0.1, "malformed": 0.1}, abs=0.05)
    assert (stats.distinct, stats.in_flight) == (300, 0)


async def test_latency_has_the_median_and_spread_that_was_asked_for(make):
    endpoint = make(latency_s=0.05, latency_sigma=0.5)
    replies = await asyncio.gather(*(ask(endpoint, f"{n} + 1") for n in range(100)))
    seconds = sorted(reply.latency_s for reply in replies)
    assert seconds[50] > 0.04
    assert seconds[-1] - seconds[0] > 0.05
    streamed = await ask(make(latency_s=0.1, stream=True), "1 + 1")
    assert streamed.ttft_s is not None
    assert streamed.ttft_s + 0.05 < streamed.latency_s


async def test_the_server_lists_its_model_and_counts_what_it_sees():
    async with serve(Simulated(Simulation()), port=0) as server, aiohttp.ClientSession() as session:
        client = OpenAIChat(server.base_url, identity="x")
        await client.probe()
        assert client.listing == ("simulated",)
        await asyncio.gather(*(client.send(body("1 + 1"), timeout_s=5) for _ in range(10)))
        for bad in (b"{nope", b"[]", b"{}", b'{"messages": [5]}', b"[" * 100_000):
            with pytest.raises(AttemptError) as caught:
                await client.send(bad, timeout_s=5)
            assert caught.value.fault is Fault.BAD_REQUEST
        async with session.get(server.base_url.removesuffix("/v1") + "/stats") as response:
            stats = await response.json()
        await client.aclose()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", server.base_url)
    assert 1 <= stats.pop("max_in_flight") <= 10
    assert stats == {"requests": 15, "in_flight": 0, "by_status": {"200": 10, "400": 5}, "distinct": 1}


async def test_a_port_that_is_taken_is_named():
    async with serve(Simulated(Simulation())) as server:
        port = int(server.base_url.split(":")[2].split("/")[0])
        with pytest.raises(EndpointError, match=f"port {port} on 127.0.0.1 cannot be used"):
            async with serve(Simulated(Simulation()), port=port):
                pass


def test_the_identity_is_that_of_the_parameters():
    assert Simulation().identity == Simulation(accuracy=1.0).identity
    others = [{"seed": 1}, {"accuracy": 0.5}, {"output_tokens": 5}, {"fault_rates": {"429": 0.1}}, {"latency_s": 1.0}]
    assert len({Simulation(**other).identity for other in [{}, *others]}) == 6


@pytest.mark.parametrize(
    "wrong",
    [
        {"accuracy": 1.1},
        {"accuracy": float("nan")},
        {"latency_s": -1},
        {"fault_rates": {"explode": 0.1}},
        {"fault_rates": {"200": 0.1}},
        {"fault_rates": {"429": 0.6, "500": 0.6}},
    ],
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError):
        Simulation(**wrong)


@pytest.mark.parametrize("text", ["no sum", "5", "a + b", "1 / 0", "x1 + 2y", "v2.0-1.5", "9" * 5000 + " + 1"])
def test_what_is_no_sum_is_not_taken_for_one(text):
    assert last_sum(text) is None


def test_a_wrong_number_is_never_the_right_one():
    result = last_sum("250 + 250")
    assert result is not None
    wrong = Counter(result.wrong(random.Random(seed)) for seed in range(200))
    assert "500" not in wrong
    assert len(wrong) > 5
