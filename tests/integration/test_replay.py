"""Recorded answers over real HTTP, found by the question that ends last, and the two commands that serve."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cli.endpoints import simulate
from engine.endpoints.recorded import Matcher, RecordedEndpoint, load_recording
from engine.errors import AttemptError, DatasetError, UsageError
from engine.records import Fault, Usage

ROOT = Path(__file__).resolve().parents[2]


def body(*texts: str, **more: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": text} for text in texts]} | more).encode()


def write(path: Path, *rows: Any) -> Path:
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)
    return path


def row(match: str, content: str, **more: Any) -> dict[str, Any]:
    return {"match": match, "content": content} | more


@pytest.fixture
async def serve(tmp_path):
    endpoints: list[RecordedEndpoint] = []

    def _serve(*rows: Any) -> RecordedEndpoint:
        endpoints.append(RecordedEndpoint(write(tmp_path / "r.jsonl", *rows)))
        return endpoints[-1]

    yield _serve
    for endpoint in endpoints:
        await endpoint.aclose()


async def test_the_question_that_ends_last_is_answered_and_the_longest_of_those(serve):
    endpoint = serve(row("How many?", "short"), row(" Apples: How many?\n", "long"), row("A shot.", "shot"))

    async def answer(*texts: str) -> str:
        return (await endpoint.send(body(*texts), timeout_s=5)).text

    assert await answer("A shot.\nQ: Pears: How many?\nA:") == "short"
    assert await answer("A shot.\nQ: Apples: How many?\nA:") == "long"
    assert await answer("Apples: How many? Well. A shot. And?") == "shot"
    assert await answer("A shot.", "Apples: How many?") == "long"


async def test_equal_questions_are_served_in_file_order_and_then_from_the_first_again(serve):
    endpoint = serve(row("Q", "1"), row("other", "x"), row(" Q ", "2"), row("Q", "3"))
    texts = [(await endpoint.send(body("Q"), timeout_s=5)).text for _ in range(4)]
    assert texts == ["1", "2", "3", "1"]
    assert (await endpoint.send(body("Q", n=2), timeout_s=5)).choices == ("2", "3")


async def test_a_question_that_was_not_recorded_is_422_no_recording(serve):
    endpoint = serve(row("Q", "1"))
    with pytest.raises(AttemptError) as caught:
        await endpoint.send(body("What else?"), timeout_s=5)
    assert (caught.value.fault, caught.value.status) == (Fault.NO_RECORDING, 422)
    assert not caught.value.fault.may_pass


async def test_the_recorded_text_is_served_whole_with_its_reason_and_usage(serve):
    text = " spaces, \u2028 and\r\nlines \N{GRINNING FACE}\n"
    endpoint = serve(
        row("Q", text, finish_reason="length", usage={"prompt_tokens": 9, "completion_tokens": 8}), row("R", "")
    )
    reply = await endpoint.send(body("Q", max_tokens=1, stop=","), timeout_s=5)
    assert (reply.text, reply.finish_reason, reply.usage) == (text, "length", Usage(9, 8))
    reply = await endpoint.send(body("R"), timeout_s=5)
    assert (reply.text, reply.finish_reason, reply.usage.output_tokens) == ("", "stop", 0)


async def test_the_identity_is_that_of_the_files_content(tmp_path):
    one, same = write(tmp_path / "a.jsonl", row("Q", "1")), write(tmp_path / "b.jsonl", row("Q", "1"))
    other = write(tmp_path / "c.jsonl.gz", row("Q", "2"))
    assert load_recording(one).identity == load_recording(same).identity != load_recording(other).identity
    assert [row.content for row in load_recording(other).rows] == ["2"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"match": "Q"}', "content is missing"),
        (b'{"match": "Q", "content": null}', "content is None"),
        (b'{"match": 5, "content": "x"}', "match is 5"),
        (b'{"match": " ", "content": "x"}', "match is ' '"),
        (b'{"match": "Q", "content": "x", "usage": 5}', "usage is 5"),
        (b'{"match": "Q", "content": "x", "finish_reason": 5}', "finish_reason is 5"),
        (b"[1]", "an object was expected"),
        (b"{nope", "not a line of JSON"),
    ],
)
def test_a_line_that_is_no_row_is_named_with_file_and_line(tmp_path, line, said):
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"match": "Q", "content": "x"}\r\n\r\n' + line + b"\n")
    with pytest.raises(DatasetError, match=f"{path}:3: {said}"):
        load_recording(path)


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"\xff\xfe", gzip.compress(b"{}", mtime=0)[:-9]])
def test_a_file_that_holds_no_recording_is_named(tmp_path, raw):
    path = tmp_path / "r.jsonl"
    path.write_bytes(raw)
    with pytest.raises(DatasetError, match=str(path)):
        load_recording(path)
    with pytest.raises(DatasetError, match="No such file"):
        load_recording(tmp_path / "missing.jsonl")


def naive(texts: list[str], request: str) -> str | None:
    ends = [(request.rfind(text) + len(text), len(text), text) for text in texts if text in request]
    return max(ends)[2] if ends else None


@given(st.lists(st.text("ab", min_size=1, max_size=40), min_size=1, max_size=8), st.text("ab", max_size=120))
def test_the_matcher_finds_what_a_search_for_every_text_finds(texts, request):
    assert Matcher(texts).find(request) == naive(texts, request)


@given(st.lists(st.text("ab", min_size=20, max_size=60), min_size=1, max_size=5), st.data())
def test_the_matcher_finds_long_texts_within_a_request(texts, data):
    parts = data.draw(st.lists(st.sampled_from([*texts, "ab", "b" * 30]), max_size=6))
    request = data.draw(st.sampled_from(["", " ", "a"])).join(parts)
    assert Matcher(texts).find(request) == naive(texts, request)


@pytest.mark.parametrize("name", ["bbh-code-davinci-002-direct", "gsm8k-openai-175b_verification"])
def test_every_question_of_a_real_recording_is_found_behind_examples_in_milliseconds(shared_data, name):
    rows = load_recording(shared_data / "oracles" / f"{name}.jsonl.gz").rows
    matcher = Matcher(row.match for row in rows)
    shots = "\n\n".join(f"Q: {row.match}\nA: {row.content}" for row in rows[:40])[:12_000]
    prompts = [f"{shots}\n\nQ: {row.match}\nA: Let's think step by step." for row in rows]
    started = time.perf_counter()
    found = [matcher.find(prompt) for prompt in prompts]
    seconds = (time.perf_counter() - started) / len(rows)
    assert found == [row.match for row in rows]
    assert seconds < 0.005


def started(*words: str) -> subprocess.Popen[str]:
    code = f"import sys; from engine.cli.endpoints import *; sys.exit({words[0]}({', '.join(words[1:])}))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
async def test_replay_prints_the_model_to_use_serves_and_ends_well_on_a_signal(tmp_path, ending):
    path = write(tmp_path / "gpt.jsonl", row("Q", "42"))
    with started("replay", repr(str(path)), "port=0", "json=True") as process:
        assert process.stdout is not None
        event = json.loads(await asyncio.to_thread(process.stdout.readline))
        assert event["event"] == "serving"
        assert event["model"] == event["base_url"] + "::gpt"
        from engine.endpoints.openai_chat import OpenAIChat

        client = OpenAIChat(event["base_url"], identity="x")
        assert (await client.send(body("Q"), timeout_s=5)).text == "42"
        await client.aclose()
        process.send_signal(ending)
        assert await asyncio.to_thread(process.wait, 5) == 0


def test_simulate_prints_one_line_for_people():
    with started("simulate", "port=0", "fault=('429=0.1',)") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "--model http://127.0.0.1:" in line
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
        assert process.stdout.read() == ""


def test_a_fault_that_is_no_name_and_rate_is_refused():
    with pytest.raises(UsageError, match="--fault '429' is no NAME=RATE"):
        simulate(port=0, fault=("429",))
