"""Bad input: one clear message with where, what and a hint, the right exit code, nothing sent, no traceback."""

from __future__ import annotations

import json
import socket
import sqlite3
from pathlib import Path

import pytest

from tests.support import SUM, adds, engine, rows, scripted, sums

RUN = ("run", "sums.jsonl", *SUM)
BENCH = """
[providers.here]
base_url = "{url}"

[[benchmark]]
dataset = "sums.jsonl"
solver = "TemplateSolver"
models = ["here::m"]
options = {{ prompt = "{{input}}", target = "{{output}}", scorer = "number" }}
"""

CASES = {
    "a missing bench file": (("run", "missing.toml"), 2, ["missing.toml"]),
    "a missing dataset": (("run", "nothing.jsonl", *SUM, "MODEL"), 2, ["nothing.jsonl"]),
    "a misspelt dataset": (("run", "sum.jsonl", *SUM, "MODEL"), 2, ["sum.jsonl", "sums.jsonl"]),
    "an unknown solver": (("run", "sums.jsonl", "TemplateSolvr", "MODEL"), 2, ["TemplateSolvr", "TemplateSolver"]),
    "a missing solver": (("run", "sums.jsonl", "MODEL"), 2, ["solver"]),
    "a missing model": (RUN, 2, ["--model"]),
    "an unknown provider": ((*RUN, "--model", "nobody::m"), 2, ["nobody"]),
    "an unknown option of the solver": ((*RUN, "MODEL", "--shotz", "3"), 2, ["shotz"]),
    "an option of the wrong type": (
        ("run", "sums.jsonl", "GSM8KSolverStrategy", "MODEL", "--shots", "many"),
        2,
        ["shots", "many"],
    ),
    "a missing option of the solver": (("run", "sums.jsonl", "TemplateSolver", "MODEL"), 2, ["prompt"]),
    "an incompatible dataset": (("run", "sums.jsonl", "GSM8KSolverStrategy", "MODEL"), 2, ["gsm8k"]),
    "a missing split": ((*RUN, "MODEL", "--subset", "tset"), 2, ["tset"]),
    "an empty dataset": (("run", "empty.jsonl", *SUM, "MODEL"), 2, ["empty.jsonl"]),
    "ids that occur twice": (("run", "twice.jsonl", *SUM, "MODEL"), 2, ["twice.jsonl:3", "'a'"]),
    "a line that is no JSON": (("run", "torn.jsonl", *SUM, "MODEL"), 2, ["torn.jsonl:2"]),
    "a flag that is no number": ((*RUN, "MODEL", "--limit", "ten"), 2, ["limit", "ten"]),
    "a limit below one": ((*RUN, "MODEL", "--limit", "0"), 2, ["limit"]),
    "an unknown command": (("rum", "bench.toml"), 2, ["rum"]),
    "force with offline": ((*RUN, "MODEL", "--force", "--offline"), 2, ["--force"]),
    "a field that no row has": (
        ("run", "sums.jsonl", "TemplateSolver", "MODEL", "--prompt", "{inptu}", "--target", "{output}"),
        2,
        ["the prompt names 'inptu'", "did you mean {input}?", "fields: ", "output"],
    ),
    "a part of a field that no row has": (
        ("run", "sums.jsonl", "TemplateSolver", "MODEL", "--prompt", "{input}", "--target", "{answer.text[0]}"),
        2,
        ["the target names 'answer.text[0]'"],
    ),
    "a fraction where percent are meant": (
        (*RUN, "MODEL", "--fail-under", "0.96"),
        2,
        ["--fail-under is in percent: 96 for 0.96", "0.96%"],
    ),
    "a bad --set": ((*RUN, "MODEL", "--set", "engine.max_concurrent=0"), 2, ["engine.max_concurrent"]),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows(tmp_path / "sums.jsonl", sums(5))
    rows(
        tmp_path / "twice.jsonl", [{"id": "a", "input": "1 + 1"}, {"id": "b", "input": "1"}, {"id": "a", "input": "2"}]
    )
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "torn.jsonl").write_text('{"input": "1 + 1", "output": "2"}\n{"input": "1 + \n')
    return tmp_path


@pytest.mark.parametrize("case", list(CASES))
async def test_is_told_in_one_message_and_nothing_is_sent(folder, case):
    words, code, named = CASES[case]
    async with scripted(adds) as (server, _):
        given = [
            part for word in words for part in (("--model", f"{server.base_url}::m") if word == "MODEL" else (word,))
        ]
        ended = await engine(*given, cwd=folder)
    assert ended.code == code, ended
    assert "Traceback" not in ended.err
    assert ended.err.count("error:") == 1
    assert ended.out == ""
    for name in named:
        assert name in ended.err
    assert "hint:" in ended.err
    assert server.stats.requests == 0


async def test_a_bench_file_has_all_its_mistakes_told_at_once_with_their_lines(folder):
    text = BENCH.format(url="http://127.0.0.1:1/v1") + 'limt = 3\nrepeats = "two"\n'
    (folder / "bench.toml").write_text(text)
    ended = await engine("check", "bench.toml", cwd=folder)
    assert ended.code == 2
    lines = text.splitlines()
    assert f"bench.toml:{lines.index('limt = 3') + 1}: " in ended.err
    assert "did you mean 'limit'" in ended.err
    assert f"bench.toml:{len(lines)}: " in ended.err
    malformed = await engine("run", "bad.toml", cwd=folder)
    assert malformed.code == 2
    (folder / "bad.toml").write_text("[engine\nmax_concurrent = 1\n")
    malformed = await engine("run", "bad.toml", cwd=folder)
    assert malformed.code == 2
    assert "bad.toml:1" in malformed.err


@pytest.mark.parametrize("model", ["gpt-4.1-mini", "openai:gpt-4.1-mini", "mine:x", "nobody::m"])
async def test_a_model_that_a_run_refuses_is_refused_by_a_check(folder, model):
    (folder / "bench.toml").write_text(BENCH[BENCH.index("[[") :].format().replace("here::m", model))
    checked = await engine("check", "bench.toml", cwd=folder)
    ran = await engine("run", "bench.toml", cwd=folder)
    assert checked.code == ran.code == 2, checked
    assert ran.err.splitlines()[0].removeprefix("error: ") in checked.err
    assert ("did you mean openai::gpt-4.1-mini?" in checked.err) == (model == "openai:gpt-4.1-mini")


async def test_a_check_tells_all_that_is_wrong_with_each_benchmark(folder):
    wrong = """
[[benchmark]]
dataset = "smus.jsonl"
solver = "TemplateSolvr"
models = ["nothing", "mine:x"]

[[benchmark]]
dataset = "sums.jsonl"
subset = "tset"
solver = "TemplateSolver"
models = ["noone"]
options = { prompt = "{input}", target = "{output}" }
"""
    (folder / "bench.toml").write_text(wrong)
    ended = await engine("check", "bench.toml", cwd=folder)
    assert ended.code == 2
    told = [
        "smus.jsonl",
        "TemplateSolvr",
        "'mine:x' has no provider",
        "'nothing' has no provider",
        "'tset'",
        "'noone' has no provider",
    ]
    assert [name for name in told if name not in ended.err] == [], ended
    for line in (3, 4, 5, 8, 11):
        assert f"bench.toml:{line}: " in ended.err


async def test_an_unset_key_is_told_before_anything_is_sent(folder):
    async with scripted(adds) as (server, _):
        text = BENCH.format(url=server.base_url).replace("[[", 'api_key_env = "HERE_KEY"\n[[', 1)
        (folder / "bench.toml").write_text(text)
        ended = await engine("run", "bench.toml", cwd=folder)
        assert ended.code == 3
        assert "HERE_KEY" in ended.err
        (folder / ".env").write_text("HERE_KEY=abc\n")
        ended = await engine("run", "bench.toml", cwd=folder)
    assert ended.final == "Final score: 5/5 - 100.00%", ended


async def test_an_endpoint_that_is_not_there_is_found_by_one_probe(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ended = await engine(*RUN, "--model", f"http://127.0.0.1:{port}/v1::m", cwd=folder)
    assert ended.code == 3
    assert f"127.0.0.1:{port}" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("content", [b"this is no database, but long enough to be read as one" * 30, b"hello"])
async def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(folder, content):
    (folder / "not.db").write_bytes(content)
    async with scripted(adds) as (server, _):
        words = ("--model", f"{server.base_url}::m", "--set", "storage.url=sqlite:///not.db")
        ended = await engine(*RUN, *words, cwd=folder)
    assert ended.code == 5
    assert "not.db" in ended.err
    assert "Traceback" not in ended.err
    assert (folder / "not.db").read_bytes() == content
    assert server.stats.requests == 0


async def test_a_row_without_a_field_errors_its_task_only(folder):
    rows(folder / "holes.jsonl", [*sums(4), {"output": "1"}])
    async with scripted(adds) as (server, _):
        ended = await engine("run", "holes.jsonl", *SUM, "--model", f"{server.base_url}::m", "--json", cwd=folder)
    run = ended.runs[0]
    assert (run["passed"], run["errored"]) == (4, 1)
    assert ended.code == 1
    db = sqlite3.connect(folder / "home" / "engine.db")
    error = json.loads(db.execute("select error from tasks where outcome = 'errored'").fetchone()[0])
    db.close()
    assert "input" in error["message"]


async def test_errors_are_json_too_where_json_is_asked_for(folder):
    ended = await engine("run", "missing.toml", "--json", cwd=folder)
    first, last = (json.loads(line) for line in ended.out.splitlines())
    assert first["event"] == "error"
    assert first["code"] == "config"
    assert last == {"event": "end", "exit_code": 2, "runs": []}


@pytest.mark.parametrize("path", ["", "/v2"])
async def test_a_base_url_without_a_path_is_told_where_nothing_is_found(folder, path):
    async with scripted(adds) as (server, _):
        host = server.base_url.removesuffix("/v1")
        ended = await engine(*RUN, "--model", f"{host}{path}::m", cwd=folder)
    assert ended.code == 3, ended
    assert "404" in ended.err
    assert ("the base URL has no path; most end in /v1" in ended.err) == (path == "")


@pytest.mark.parametrize("words", [RUN, ("cache", "stats")], ids=["run", "cache"])
async def test_a_home_that_cannot_be_made_is_told_by_its_variable(folder, words):
    (folder / "file").write_text("")
    home = str(folder / "file" / "home")
    given = (*words, "--model", "simulated::calculator") if words is RUN else words
    ended = await engine(*given, cwd=folder, ENGINE_HOME=home)
    assert ended.code == 5, ended
    assert home in ended.err
    assert "ENGINE_HOME" in ended.err.partition("hint: ")[2]
    assert words is not RUN or f"the value of ENGINE_HOME, '{home}', cannot be used" in ended.err


async def test_what_is_stored_is_counted_in_words(folder):
    await engine(*RUN, "--model", "simulated::calculator", cwd=folder)
    told = await engine("cache", "stats", cwd=folder)
    assert "model\tsimulated::calculator: 5 completions, " in told.out
    assert "{" not in told.out


async def test_a_field_that_only_some_rows_have_is_an_error_of_the_others(folder):
    rows(folder / "some.jsonl", [{"input": "1 + 1", "output": "2"}, {"input": "1 + 2", "output": "3", "more": "="}])
    words = ("TemplateSolver", "--prompt", "{input} {more}", "--target", "{output}", "--scorer", "number")
    ended = await engine("run", "some.jsonl", *words, "--model", "simulated::calculator", cwd=folder)
    assert "task errored, task 0: the prompt names 'more'" in ended.err, ended
    assert "of 2 tasks have no score" in ended.err


async def test_a_run_that_never_began_is_listed_as_such(folder):
    await engine(*RUN, "--model", "simulated::calculator", "--offline", cwd=folder)
    listed = await engine("benchmark", "list", cwd=folder)
    assert "\tnot begun\t" in listed.out, listed
