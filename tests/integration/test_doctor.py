"""`engine doctor`: what it says of the machine and of endpoints of every temper, and that it shows no key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from engine.cli.doctor import doctor
from engine.errors import ConfigError, UsageError
from engine.presets import reachable_presets
from tests import servers as s
from tests.contract.http_kit import tls_server
from tests.servers import KEY

LISTING = {"object": "list", "data": [{"id": "gpt-x"}, {"id": "gpt-y"}]}
LIMITS = "x-ratelimit-limit-requests: 500\r\nX-RateLimit-Remaining-Tokens: 9\r\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENGINE_HOME", str(tmp_path / "home"))


def endpoint(answer: Callable[[dict[str, Any]], Any], *, listing: Any = LISTING, status: str = "200 OK") -> s.Script:
    """Lists models, and answers calls by a function of the body; what it gives with an `error` is a 400."""

    async def script(connection: s.Connection) -> bool | None:
        if connection.method == "GET":
            return await s.said(listing, status=status, headers=LIMITS)(connection)
        given = answer(json.loads(connection.body))
        return await s.said(given, status="400 Bad" if "error" in given else "200 OK")(connection)

    return script


def refused(param: str, message: str, code: str = "unsupported_parameter") -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


async def examined(capsys: pytest.CaptureFixture[str], *words: Any, **flags: Any) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON object, and everything that was printed."""
    code = await anyio.to_thread.run_sync(lambda: doctor(*words, json_=True, **flags))
    printed = capsys.readouterr()
    return code, json.loads(printed.out), printed.out + printed.err


def told(found: dict[str, Any], topic: str) -> list[dict[str, Any]]:
    return [finding for finding in found["findings"] if finding["topic"] == topic]


async def test_the_machine_is_described_and_nothing_is_sent(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    code, found, printed = await examined(capsys)
    assert (code, found["usable"], found["provider"]) == (0, True, "")
    assert {"engine", "python", "sqlite"} <= set(told(found, "versions")[0]["versions"])
    assert told(found, "sandbox")[0]["level"] in ("strong", "fast", "")
    keys = {finding["provider"]: finding["set"] for finding in told(found, "key")}
    assert keys == {name: name == "groq" for name, preset in reachable_presets() if preset.api_key_env}
    assert "made by the first run" in told(found, "store")[0]["text"]
    assert not (tmp_path / "home").exists(), "looking makes nothing"
    assert KEY not in printed


async def test_providers_of_bench_toml_are_among_the_keys(capsys, tmp_path):
    (tmp_path / "bench.toml").write_text('[providers.mine]\nbase_url = "https://h/v1"\napi_key_env = "MINE"\n')
    _, found, _ = await examined(capsys)
    assert {"mine", "openai"} <= {finding["provider"] for finding in told(found, "key")}


async def test_a_store_that_is_no_database_is_bad_and_is_left_as_it_was(capsys, tmp_path):
    (tmp_path / "home").mkdir()
    file = tmp_path / "home" / "engine.db"
    file.write_text("not a database, but long enough to be looked at" * 50)
    before = file.read_bytes()
    code, found, _ = await examined(capsys)
    assert (code, found["usable"], told(found, "store")[0]["ok"]) == (5, False, False)
    assert file.read_bytes() == before


async def test_an_endpoint_that_works_is_told_with_models_and_limits_and_no_call_is_made(capsys, monkeypatch):
    monkeypatch.setenv("MINE", KEY)
    async with s.fault_server({"v1": endpoint(lambda _: s.completion())}) as server:
        code, found, printed = await examined(capsys, server.url("v1"), api_key_env="MINE")
    assert (code, found["usable"]) == (0, True)
    assert "MINE is accepted" in told(found, "key")[0]["text"]
    assert told(found, "models")[0]["models"] == ["gpt-x", "gpt-y"]
    assert told(found, "limits")[0]["headers"] == {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-tokens": "9",
    }
    assert [(request.method, request.path) for request in server.seen] == [("GET", "/v1/models")]
    assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in printed


async def test_a_url_is_sent_no_key_unless_one_is_named(capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with s.fault_server({"v1": endpoint(lambda _: s.completion())}) as server:
        code, found, _ = await examined(capsys, server.url("v1"))
    assert code == 0
    assert "authorization" not in server.seen[0].headers
    assert told(found, "key")[0]["text"] == "none was sent"


async def test_a_call_tells_finish_reason_usage_and_what_to_do_for_a_price(capsys):
    asked: list[dict[str, Any]] = []

    def answer(body: dict[str, Any]) -> Any:
        asked.append(body)
        return s.completion("2", reason="length")

    async with s.fault_server({"v1": endpoint(answer)}) as server:
        code, found, _ = await examined(capsys, server.url("v1"), call="gpt-x")
    (call,) = told(found, "call")
    assert (code, call["finish_reason"], call["usage"]) == (0, "length", {"input_tokens": 7, "output_tokens": 3})
    assert call["latency_s"] > 0
    assert [body["max_tokens"] for body in asked] == [1]
    assert told(found, "quirk") == []
    assert "prices = { input" in told(found, "price")[0]["hint"]


async def test_a_reply_without_usage_is_told(capsys):
    async with s.fault_server({"v1": endpoint(lambda _: s.completion(usage=None))}) as server:
        code, found, _ = await examined(capsys, server.url("v1"), call="gpt-x")
    assert code == 0
    assert "costs stay unknown" in told(found, "usage")[0]["text"]


def picky(body: dict[str, Any]) -> Any:
    """A reasoning model of the strict kind."""
    if any(message["role"] == "system" for message in body["messages"]):
        message = "Unsupported value: 'messages[0].role' does not support 'system' with this model."
        return refused("messages[0].role", message, "unsupported_value")
    if "max_tokens" in body:
        return refused("max_tokens", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
    if body.get("temperature", 1) != 1:
        message = "Unsupported value: 'temperature' does not support 0. Only the default (1) value is supported."
        return refused("temperature", message, "unsupported_value")
    if "stop" in body:
        return refused("stop", "Unsupported parameter: 'stop' is not supported with this model.")
    if "seed" in body:
        return {"error": {"message": "property 'seed' is unsupported", "type": "invalid_request_error"}}
    return s.completion("", reason="length")


async def test_the_quirks_of_a_picky_model_are_all_found_by_one_command(capsys):
    async with s.fault_server({"v1": endpoint(picky)}) as server:
        code, found, _ = await examined(capsys, server.url("v1"), call="gpt-x")
    quirks = {finding["quirk"]["name"]: finding for finding in told(found, "quirk")}
    assert code == 0
    assert {name: finding["quirk"]["harmless"] for name, finding in quirks.items()} == {
        "system role": True,
        "max_tokens": True,
        "temperature": False,
        "stop": False,
        "seed": True,
    }
    assert quirks["temperature"]["hint"].startswith("run with --temperature 1")
    assert told(found, "call")[0]["ok"] is True
    assert sum(request.method == "POST" for request in server.seen) == 6


async def test_a_model_that_is_not_listed_is_told_with_those_near(capsys):
    async with s.fault_server({"v1": endpoint(lambda _: refused("model", "no such", "model_not_found"))}) as server:
        code, found, _ = await examined(capsys, server.url("v1"), call="gpt-z")
    assert code == 3
    assert "gpt-x" in told(found, "models")[1]["hint"]
    assert told(found, "call")[0]["ok"] is False


async def test_a_refusal_that_never_ends_is_ended(capsys):
    names = iter(f"p{number}" for number in range(100))

    def answer(body: dict[str, Any]) -> Any:
        return refused("max_tokens" if "max_tokens" in body else "max_completion_tokens", next(names))

    async with s.fault_server({"v1": endpoint(answer)}) as server:
        code, _, _ = await examined(capsys, server.url("v1"), call="gpt-x")
    assert code == 3
    assert sum(request.method == "POST" for request in server.seen) <= 12


@pytest.mark.parametrize(
    ("script", "topic", "words"),
    [
        (s.failing("401 No", {"message": "wrong key"}), "key", "does not accept the key in MINE"),
        (s.reset, "reachable", "cannot be reached"),
        (s.close, "reachable", "cannot be reached"),
    ],
)
async def test_an_endpoint_that_does_not_work_is_unusable(capsys, monkeypatch, script, topic, words):
    monkeypatch.setenv("MINE", KEY)
    async with s.fault_server({"v1": script}) as server:
        code, found, printed = await examined(capsys, server.url("v1"), api_key_env="MINE", call="m")
    assert (code, found["usable"]) == (3, False)
    assert words in told(found, topic)[0]["text"]
    assert all(request.method == "GET" for request in server.seen), "no call is made where it cannot work"
    assert KEY not in printed


@pytest.mark.parametrize("script", [s.failing("404 No", {}), s.failing("500 No", {}), s.said("no list")])
async def test_a_list_of_models_is_not_needed(capsys, script):
    async with s.fault_server({"v1": script}) as server:
        code, found, _ = await examined(capsys, server.url("v1"))
    assert (code, told(found, "reachable")[0]["ok"]) == (0, True)


async def test_a_redirect_is_not_followed(capsys, monkeypatch):
    monkeypatch.setenv("MINE", KEY)

    async def redirect(connection: s.Connection) -> bool:
        target = connection.server.url("v2/models", host="localhost")
        await connection.write(s.http(b"{}", status="302 Found", headers=f"Location: {target}\r\n"))
        return True

    async with s.fault_server({"v1": redirect, "v2": endpoint(lambda _: s.completion())}) as server:
        await examined(capsys, server.url("v1"), api_key_env="MINE")
    assert [request.path for request in server.seen] == ["/v1/models"]


async def test_whom_ssl_cert_file_trusts_is_trusted_as_calls_do(capsys, tmp_path, monkeypatch):
    async with tls_server(tmp_path, "IP:127.0.0.1") as (port, asked, _):
        strange, _, _ = await examined(capsys, f"https://127.0.0.1:{port}/v1")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        known, _, _ = await examined(capsys, f"https://127.0.0.1:{port}/v1")
    assert (strange, known, len(asked)) == (3, 0, 1)


async def test_an_endless_list_of_models_is_ended(capsys):
    async with s.fault_server({"v1": s.endless}) as server:
        code, found, _ = await examined(capsys, server.url("v1"))
    assert (code, told(found, "models")[0]["models"]) == (0, [])


async def test_a_key_that_is_not_set_is_told_by_its_name_before_anything_is_sent(capsys):
    code, found, _ = await examined(capsys, "openai", call="gpt-x")
    assert (code, found["usable"]) == (3, False)
    assert "OPENAI_API_KEY, which is not set" in told(found, "key")[0]["text"]


async def test_what_is_made_up_can_be_examined_too(capsys):
    code, found, _ = await examined(capsys, "simulated", call="calculator")
    assert (code, told(found, "call")[0]["ok"]) == (0, True)


def test_people_read_lines_with_marks_and_hints(capsys):
    assert doctor("openai") == 3
    out = capsys.readouterr().out
    assert "   -  address   https://api.openai.com/v1\n BAD  key  " in out
    assert "hint: set OPENAI_API_KEY in the environment" in out


@pytest.mark.parametrize("name", ["nobody", "opanai"])
def test_a_name_that_nobody_has_is_refused_with_those_there_are(name):
    with pytest.raises(ConfigError) as caught:
        doctor(name)
    assert "openai" in caught.value.hint


def test_azure_is_told_to_need_an_address():
    with pytest.raises(ConfigError) as caught:
        doctor("azure")
    assert "[providers.azure]" in caught.value.hint


def test_a_call_needs_a_provider():
    with pytest.raises(UsageError):
        doctor(call="m")


@pytest.mark.parametrize("spelling", [KEY, KEY.upper(), KEY[:20], f"models/{KEY}:free"])
@pytest.mark.parametrize("as_json", [True, False])
async def test_a_provider_that_quotes_the_key_wherever_it_can_does_not_get_it_shown(
    capsys, monkeypatch, spelling, as_json
):
    monkeypatch.setenv("MINE", KEY)
    listing = {"data": [{"id": spelling}, {"id": "good\x1b[2J\nname"}]}
    reply = s.completion("2", reason=spelling, model=spelling, id=spelling)

    async def script(connection: s.Connection) -> bool | None:
        document = listing if connection.method == "GET" else reply
        return await s.said(document, headers=f"x-ratelimit-{spelling[:3]}: {spelling}\r\n")(connection)

    async with s.fault_server({"v1": script}) as server:
        flags = {"call": "gpt-x", "api_key_env": "MINE", "json_": as_json}
        await anyio.to_thread.run_sync(lambda: doctor(server.url("v1"), **flags))
    printed = "".join(capsys.readouterr())
    assert KEY[:20].casefold() not in printed.casefold()
    assert "\x1b" not in printed
    assert "***" in printed
    assert "good [2J name" in printed.replace("\N{REPLACEMENT CHARACTER}", "")
