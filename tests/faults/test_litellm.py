"""LiteLLM's proxy, a server that many put before their models: runs against it end whole, streamed or not.

It is installed into an environment of its own, in the folder that `ENGINE_TEST_LITELLM` names or in one that is made.
"""

from __future__ import annotations

import os
import socket
import subprocess
import venv
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from tests.support import engine, rows

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

NOT_THERE = "litellm cannot be installed here"
CONFIG = """
model_list:
  - model_name: mock
    litellm_params:
      model: openai/mock
      api_key: none
      mock_response: "The answer is 42."
general_settings:
  master_key: sk-of-the-test-1234
"""


@pytest.fixture(scope="module")
def litellm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program `litellm`."""
    given = os.environ.get("ENGINE_TEST_LITELLM")
    folder = Path(given) if given else tmp_path_factory.mktemp("litellm")
    program = folder / "bin" / "litellm"
    if not program.exists():
        venv.create(folder, with_pip=True)
        words = (folder / "bin" / "python", "-m", "pip", "install", "--quiet", "litellm[proxy]")
        if subprocess.run(words, capture_output=True, timeout=1200, check=False).returncode:
            pytest.skip(NOT_THERE)
    return program


@pytest.fixture(scope="module")
def base_url(litellm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a proxy that runs."""
    folder = tmp_path_factory.mktemp("proxy")
    (folder / "config.yaml").write_text(CONFIG)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = (litellm, "--config", folder / "config.yaml", "--host", "127.0.0.1", "--port", str(port))
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with (folder / "log").open("wb") as log, subprocess.Popen(words, env=env, stdout=log, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


async def _ready(base_url: str) -> None:
    host, port = base_url.removeprefix("http://").split(":")
    with anyio.fail_after(180):
        while True:
            with suppress(OSError):
                await (await anyio.connect_tcp(host, int(port))).aclose()
                return
            await anyio.sleep(0.2)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_two_hundred_tasks_end_whole(tmp_path, base_url, stream):
    await _ready(base_url)
    data = rows(tmp_path / "asked.jsonl", [{"input": f"What is 42 + {n} - {n}?", "output": "42"} for n in range(200)])
    (tmp_path / "bench.toml").write_text(
        f'[providers.proxy]\nbase_url = "{base_url}/v1"\napi_key_env = "PROXY_KEY"\nstream = {str(stream).lower()}\n'
        '[models."proxy::mock"]\nprices = { input = 1.0, output = 2.0 }\n'
    )
    template = ("TemplateSolver", "--prompt", "{input}", "--target", "{output}", "--scorer", "number")
    words = ("run", data, *template, "--model", "proxy::mock", "--max_concurrent", 16, "--json")
    ended = await engine(*words, cwd=tmp_path, timeout_s=300, PROXY_KEY="sk-of-the-test-1234")
    [run] = ended.runs
    print(f"{'streamed' if stream else 'whole'}: {run['requests']} requests, {run['faults']}, {run['latency']}")
    assert ended.code == 0, ended.err
    assert (run["passed"], run["errored"], run["requests"]) == (200, 0, 200)
    assert run["input_tokens"] > 0
    assert run["output_tokens"] > 0
    assert run["cost_usd"] > 0, "usage is reported, streamed too"
    assert ("first_token" in run["latency"]) == stream


async def test_a_wrong_key_and_a_model_that_is_not_there_burn_no_dataset(tmp_path, base_url):
    await _ready(base_url)
    data = rows(tmp_path / "asked.jsonl", [{"input": f"{n}", "output": "42"} for n in range(200)])
    (tmp_path / "bench.toml").write_text(f'[providers.proxy]\nbase_url = "{base_url}/v1"\napi_key_env = "PROXY_KEY"\n')
    template = ("TemplateSolver", "--prompt", "{input}", "--target", "{output}", "--json")
    wrong = await engine("run", data, *template, "--model", "proxy::mock", cwd=tmp_path, PROXY_KEY="sk-wrong-1234567")
    gone = await engine("run", data, *template, "--model", "proxy::gone", cwd=tmp_path, PROXY_KEY="sk-of-the-test-1234")
    assert wrong.code == gone.code == 3, wrong.err + gone.err
    assert "100 calls in a row failed" in wrong.err, "without a database it answers 400 to a key that it does not know"
    assert "sk-wrong-1234567" not in wrong.err + wrong.out
    [run] = gone.runs
    assert run["errored"] == 0
    assert "gone" in gone.err
    assert "Traceback" not in wrong.err + gone.err
