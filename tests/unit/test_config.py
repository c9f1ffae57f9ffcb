"""bench.toml: what a file means, and how its mistakes are told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import (
    Bench,
    EngineLimits,
    ErrorLimit,
    Prices,
    Provider,
    bench_schema,
    check_bench,
    parse_bench,
)
from engine.errors import ConfigError

ROOT = Path(__file__).parents[2]
BENCHMARK = '[[benchmark]]\ndataset = "rows.jsonl"\nsolver = "Mine"\nmodels = ["simulated::calculator"]\n'


def complaint(text: str, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_bench(text, **options)
    return caught.value.message


def lines(text: str, **options: Any) -> list[str]:
    return [line for line in complaint(text, **options).splitlines() if not line.startswith("    ")]


# What a file means


def test_three_keys_are_enough() -> None:
    bench = parse_bench(BENCHMARK)
    assert bench.engine == EngineLimits()
    assert bench.engine.max_concurrent == 64
    assert bench.engine.max_cost_usd is None
    assert bench.benchmark[0].repeats == 1


def test_the_simulated_provider_is_there_without_being_configured() -> None:
    assert parse_bench(BENCHMARK).providers["simulated"] == Provider(kind="simulated")


def test_a_table_called_simulated_needs_no_kind() -> None:
    bench = parse_bench("[providers.simulated]\naccuracy = 0.5\n" + BENCHMARK)
    assert (bench.providers["simulated"].kind, bench.providers["simulated"].accuracy) == ("simulated", 0.5)


def test_a_table_called_simulated_with_a_url_is_an_endpoint_like_any_other() -> None:
    bench = parse_bench('[providers.simulated]\nbase_url = "http://127.0.0.1:8000/v1"\n' + BENCHMARK)
    assert bench.providers["simulated"].kind == "openai"


def test_a_base_url_is_normalised() -> None:
    bench = parse_bench('[providers.a]\nbase_url = "HTTPS://API.Example.com:443/v1/"\n' + BENCHMARK)
    assert bench.providers["a"].base_url == "https://api.example.com/v1"


def test_stop_may_be_one_text_or_many() -> None:
    assert parse_bench('[sampling]\nstop = "END"\n' + BENCHMARK).sampling.stop == ("END",)
    assert parse_bench('[sampling]\nstop = ["a", "b"]\n' + BENCHMARK).sampling.stop == ("a", "b")


def test_a_whole_number_is_a_number_where_seconds_are_meant() -> None:
    assert parse_bench("[engine]\nattempt_timeout_s = 5\n" + BENCHMARK).engine.attempt_timeout_s == 5.0


def test_a_bench_is_frozen_and_survives_its_own_dump() -> None:
    bench = parse_bench((ROOT / "bench.toml").read_text(encoding="utf-8"))
    assert Bench.model_validate(bench.model_dump()) == bench
    assert Bench.model_validate(bench.model_dump(mode="json")) == bench
    with pytest.raises(ValueError, match="frozen"):
        bench.engine.max_concurrent = 1


def test_a_byte_order_mark_and_windows_line_ends_change_nothing() -> None:
    assert parse_bench("\ufeff" + BENCHMARK.replace("\n", "\r\n")) == parse_bench(BENCHMARK)


@pytest.mark.parametrize(
    ("limit", "errors", "n", "exceeded"),
    [
        ("5%", 5, 100, False),
        ("5%", 6, 100, True),
        ("29%", 29, 100, False),  # in floats 0.29 * 100 is below 29
        ("0.1%", 3, 3000, False),
        ("0%", 1, 10, True),
        ("0%", 0, 0, False),
        (3, 3, 10, False),
        (3, 4, 10, True),
        ("3", 4, 10, True),
        (0, 1, 10, True),
    ],
)
def test_too_many_errors_is_strictly_more_than_the_limit(limit: Any, errors: int, n: int, exceeded: bool) -> None:
    assert ErrorLimit.parse(limit).exceeded(errors, n=n) is exceeded


@given(st.integers(0, 100), st.integers(1, 10**6))
def test_exactly_the_share_is_never_too_many(percent: int, hundreds: int) -> None:
    limit = ErrorLimit.parse(f"{percent}%")
    assert not limit.exceeded(percent * hundreds, n=100 * hundreds)
    assert limit.exceeded(percent * hundreds + 1, n=100 * hundreds)


# Mistakes


def test_all_mistakes_are_told_at_once_with_their_lines() -> None:
    text = """\
[engine]
max_concurent = 8
attempt_timeout_s = "hot"
[providers.foundries]
requests_per_minute = 0
[[benchmark]]
dataset = "rows.jsonl"
models = ["foundry::m"]
limit = 0
[sampling]
temperature = -1
"""
    assert complaint(text).splitlines() == [
        "bench.toml:2: engine.max_concurent: unknown key: 8; did you mean 'max_concurrent'?",
        "    max_concurent = 8",
        "bench.toml:3: engine.attempt_timeout_s: must be a number: 'hot'",
        '    attempt_timeout_s = "hot"',
        "bench.toml:4: providers.foundries.base_url: is missing: kind 'openai' needs it",
        "    [providers.foundries]",
        "bench.toml:5: providers.foundries.requests_per_minute: must be at least 1: 0",
        "    requests_per_minute = 0",
        "bench.toml:6: benchmark.0.solver: is missing",
        "    [[benchmark]]",
        (
            "bench.toml:8: benchmark.0.models.0: unknown provider 'foundry', configured are foundries, simulated: "
            "'foundry::m'; did you mean 'foundries'?"
        ),
        '    models = ["foundry::m"]',
        "bench.toml:9: benchmark.0.limit: must be at least 1: 0",
        "    limit = 0",
        "bench.toml:11: sampling.temperature: must be at least 0: -1",
        "    temperature = -1",
    ]


def test_the_name_of_the_file_begins_each_line() -> None:
    assert lines("[engine]\nx = 1\n" + BENCHMARK, name="my/b.toml")[0].startswith("my/b.toml:2: engine.x: unknown key")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a = 1\nb = \n", 2, "invalid value"),
        ("[a]\nx = 1\nx = 2\n", 3, "cannot overwrite a value"),
        ("a = [1,\n\n", 1, "invalid value"),
        ('a = "never ended\n', 1, "illegal character"),
    ],
)
def test_text_that_is_no_toml_is_told_with_its_line(text: str, line: int, words: str) -> None:
    assert complaint(text).startswith(f"bench.toml:{line}: is not TOML: {words}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[engine]\nmax_concurrent = "8"\n', "engine.max_concurrent: must be a whole number: '8'"),
        ("[engine]\nmax_concurrent = 8.5\n", "engine.max_concurrent: must be a whole number: 8.5"),
        ("[engine]\nmax_concurrent = true\n", "engine.max_concurrent: must be a whole number: True"),
        ("[engine]\ncall_deadline_s = inf\n", "engine.call_deadline_s: must be a finite number: inf"),
        ("[engine]\nmax_cost_usd = 0\n", "engine.max_cost_usd: must be more than 0: 0"),
        ('[engine]\nmax_errors = "101%"\n', "engine.max_errors: must be a percentage up to '100%', or a count: '101%'"),
        ("[engine]\nmax_errors = 0.05\n", "engine.max_errors: must be a percentage up to '100%', or a count: 0.05"),
        ("engine = 3\n", "engine: must be a table: 3"),
        ("[storage]\nurl = 3\n", "storage.url: must be text in quotes: 3"),
        ("[sampling]\nmax_token = 3\n", "of the model or provider: 3; did you mean 'max_tokens'?"),
        (
            "[sampling]\nrepetition_penalty = 3\n",
            "sampling.repetition_penalty: unknown key, other parameters go to extra_body of the model or provider: 3",
        ),
        ("[engine]\nmax-attempts = 3\n", "engine.max-attempts: unknown key: 3; did you mean 'max_attempts'?"),
        ('[providers.x]\nkind = "opena"\n', "must be 'openai', 'simulated' or 'recorded': 'opena'; did you mean"),
        ('[providers.x]\nkind = "recorded"\n', "providers.x.file: is missing: kind 'recorded' needs it"),
        ('[providers.x]\nbase_url = "ftp://h/v1"\n', "is not usable: 'ftp://h/v1' is not an http or https URL"),
        ('[providers.x]\nbase_url = "https://h/v1"\nfile = "a"\n', "is for kind 'recorded', and this one is 'openai'"),
        ("[providers.simulated]\nfault_rates = { a = 0.6, b = 0.6 }\n", "must sum to 1 at most, not to 1.2"),
        ("[providers.simulated]\nfault_rates = { a = 2 }\n", "providers.simulated.fault_rates.a: must be at most 1: 2"),
        ('[providers."a/b"]\nbase_url = "https://h/v1"\n', 'providers."a/b": a provider\'s name holds no'),
        ('[models."simulated::a"]\nprices = { input = 1 }\n', 'models."simulated::a".prices.output: is missing'),
        ('[models."nope::a"]\n', "models.\"nope::a\": unknown provider 'nope', configured are simulated"),
        ('[models."simulated::a"]\nextra_body = { model = "b" }\n', "must not set what the engine sets: model"),
        ('[engine]\ndefault_provider = "opnai"\n', "unknown provider 'opnai', configured are simulated"),
    ],
)
def test_a_mistake_says_where_and_what(text: str, expected: str) -> None:
    assert any(expected in line for line in lines(text + BENCHMARK)), complaint(text + BENCHMARK)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ('agents = ["a"]', "benchmark.0.agents: agents cannot be run by this version: name models"),
        ("", "benchmark.0.models: is missing: name at least one model"),
        ("models = []", "benchmark.0.models: is missing: name at least one model"),
        ('models = "simulated::a"', "benchmark.0.models: must be a list in brackets: 'simulated::a'"),
        ('models = ["simulated::a", "simulated::a"]', "benchmark.0.models.1: is named twice: use repeats"),
        ('models = ["simulated::"]', "benchmark.0.models.0: 'simulated::' names no model"),
        ('models = ["https://host/v1"]', "the URL 'https://host/v1' names no model"),
        ('models = ["simulated::a"]\nlimit = 1\nsample = 1', "benchmark.0.sample: excludes limit: keep one of them"),
        ('models = ["simulated::a"]\noptions = { day = 2020-01-01 }', "benchmark.0.options: must hold what JSON can"),
        ('models = ["simulated::a"]\nrecord = "yes"', "benchmark.0.record: must be true or false: 'yes'"),
    ],
)
def test_a_benchmark_that_cannot_run_is_refused(keys: str, expected: str) -> None:
    found = lines(f'[[benchmark]]\ndataset = "d"\nsolver = "s"\n{keys}\n')
    assert len(found) == 1
    assert expected in found[0]


def test_single_brackets_around_benchmark_are_understood() -> None:
    assert "each written [[benchmark]] in two brackets" in complaint('[benchmark]\ndataset = "d"\n')


def test_a_file_without_a_benchmark_is_refused_unless_that_is_fine() -> None:
    assert lines("[engine]\n") == ["bench.toml:1: benchmark: is missing: name a dataset, a solver and a model"]
    assert parse_bench("", allow_empty=True).benchmark == ()


def test_braces_in_a_value_do_not_disturb_the_message() -> None:
    assert "'{input} {guess}'" in complaint('[engine]\nmax_attempts = "{input} {guess}"\n' + BENCHMARK)


# Keys in plain text


@pytest.mark.parametrize(
    "text",
    [
        '[providers.p]\nbase_url = "https://h/v1"\napi_key = "KEY"\n',
        '[providers.p]\nbase_url = "https://h/v1"\napi_key_env = "sk-KEY123456"\n',
        '[providers.p]\nbase_url = "https://h/v1"\napi_key_env = "KEYkeyKEYkeyKEYkeyKEYkeyKEYkey"\n',
        '[providers.p]\nbase_url = "https://h/v1"\nheaders = { Authorization = "KEY" }\n',
        '[providers.p]\nbase_url = "https://h/v1"\nheaders = { x-api-key = "KEY", max = 3 }\n',
        '[providers.p]\nbase_url = "https://h/v1"\nheaders = { other = "Bearer KEY" }\n',
        '[providers.p]\nbase_url = "https://h/v1"\nextra_body = { a = ["gsk_KEY123"] }\n',
        '[providers.p]\nbase_url = "https://user:KEY@h/v1"\n',
        '[providers.p]\nbase_url = "https://h/v1?key=KEY"\n',
        '[storage]\nurl = "hf_KEY1234567890"\n',
        '[engine]\nmax_attempts = "sk-KEY1234567"\n',
        'api_key = "KEY"\n',
    ],
)
def test_a_key_in_the_file_is_an_error_that_does_not_repeat_it(text: str) -> None:
    message = complaint(text + BENCHMARK)
    assert "KEY" not in message.replace("OPENAI_API_KEY", "")
    assert "key" in message or "URL" in message


@pytest.mark.parametrize("header", ['x-a = "b\\r\\nc: d"', '"x a" = "b"', 'content-length = "5"'])
def test_a_header_that_cannot_be_sent_is_an_error_with_its_line(header: str) -> None:
    (line,) = lines(f'[providers.p]\nbase_url = "https://h/v1"\nheaders = {{ {header} }}\n{BENCHMARK}')
    assert line.startswith("bench.toml:3: providers.p.headers: is not usable: ")


def test_a_key_is_answered_with_what_to_do() -> None:
    (line,) = lines('[providers.p]\nbase_url = "https://h/v1"\napi_key = "abc"\n' + BENCHMARK)
    assert line.startswith("bench.toml:3: providers.p.api_key: a key must not stand here: put it into an environment")
    assert line.endswith("name that variable in the provider's api_key_env")


def test_a_key_on_a_broken_line_is_not_repeated() -> None:
    assert "sekret" not in complaint('[providers.p]\napi_key = "sekret\n')
    assert "sekret" not in complaint('[providers.p]\nx = "sk-sekret\n')


def test_a_key_in_a_flag_is_not_repeated() -> None:
    message = complaint(BENCHMARK, overrides=["providers.p.api_key=sekret", "x=Bearer sekret", "bad"])
    assert "sekret" not in message
    assert "--set providers.p.api_key=…" in message


def test_words_that_only_begin_like_a_key_are_fine() -> None:
    bench = parse_bench(
        BENCHMARK + 'subset = "sk-SK"\ntags = ["sk-learn", "hf_data_2024", "basic maths", "Bearer x"]\n'
    )
    assert bench.benchmark[0].subset == "sk-SK"


def test_a_password_of_a_database_is_allowed_and_not_shown() -> None:
    text = '[storage]\nurl = "postgresql://me:sekret@host/db" \nx = "postgresql://me:sekret@host/db"\n' + BENCHMARK
    assert "sekret" not in complaint(text)
    assert parse_bench(text.replace("\nx =", "\n#")).storage.url == "postgresql://me:sekret@host/db"


# --set


def test_flags_change_any_key() -> None:
    bench = parse_bench(
        BENCHMARK + BENCHMARK,
        overrides=[
            "engine.max_concurrent=8",
            "engine.max_errors=2%",
            "providers.fireworks.base_url=https://host/v1",
            'models."simulated::calc-3.1".prices.input=0.5',
            "models.'simulated::calc-3.1'.prices.output = 1",
            "benchmark.limit=10",
            "benchmark.1.limit=20",
            "benchmark.0.options={shots = 3}",
            "benchmark.0.tags=[\"a\", 'b=c']",
            "benchmark.1.subset=",
        ],
    )
    assert bench.engine.max_concurrent == 8
    assert str(bench.engine.max_errors) == "2%"
    assert bench.providers["fireworks"].base_url == "https://host/v1"
    assert bench.models["simulated::calc-3.1"].prices == Prices(input=0.5, output=1)
    assert [each.limit for each in bench.benchmark] == [10, 20]
    assert bench.benchmark[0].options == {"shots": 3}
    assert bench.benchmark[0].tags == ("a", "b=c")


def test_flags_alone_make_a_bench() -> None:
    flags = ["benchmark.dataset=d", "benchmark.0.solver=s", 'benchmark.models=["simulated::a"]']
    assert parse_bench("", overrides=flags).benchmark[0].solver == "s"


def test_a_mistake_of_a_flag_names_the_flag() -> None:
    assert lines(BENCHMARK, overrides=["engine.max_concurrent=0"]) == [
        "--set engine.max_concurrent=0: engine.max_concurrent: must be at least 1: 0"
    ]


def test_what_a_flag_leaves_out_names_the_flag() -> None:
    assert lines(BENCHMARK, overrides=["providers.new.stream=true"]) == [
        "--set providers.new.stream=true: providers.new.base_url: is missing: kind 'openai' needs it"
    ]


def test_mistakes_of_file_and_flags_are_told_together() -> None:
    found = lines("[engine]\nmax_attempts = 0\n" + BENCHMARK, overrides=["engine.x=1", "engine.max_attempts.y=1", "no"])
    assert [line.split(": ")[0] for line in found] == [
        "--set engine.max_attempts.y=1",
        "--set no",
        "bench.toml:2",
        "--set engine.x=1",
    ]


def test_a_flag_for_a_benchmark_that_is_not_there_is_refused() -> None:
    assert lines(BENCHMARK, overrides=["benchmark.2.limit=1"]) == [
        "--set benchmark.2.limit=1: benchmark has only 1 items"
    ]


# Without a file


def test_a_table_from_elsewhere_is_checked_the_same_way() -> None:
    with pytest.raises(ConfigError) as caught:
        check_bench({"engine": {"max_attempts": 0}, "benchmark": []}, where="flags")
    assert caught.value.message.splitlines() == [
        "flags: benchmark: is missing: name a dataset, a solver and a model",
        "flags: engine.max_attempts: must be at least 1: 0",
    ]
    assert caught.value.exit_code == 2


def test_the_schema_describes_every_key() -> None:
    schema = bench_schema()
    for name, table in {"Bench": schema, **schema["$defs"]}.items():
        assert table["additionalProperties"] is False, name
        for key, value in table["properties"].items():
            assert value.get("description"), (name, key)


def test_importing_the_configuration_loads_nothing_heavy() -> None:
    code = (
        "import sys, engine.config; print([m for m in ('rich', 'openai', 'datasets', 'aiohttp') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
