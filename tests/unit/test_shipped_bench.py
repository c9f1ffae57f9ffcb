"""The bench.toml at the root and its reference in docs: both hold every key, and both are right."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from engine.config import (
    Bench,
    Benchmark,
    EngineLimits,
    ModelConfig,
    Prices,
    Provider,
    Sampling,
    StorageConfig,
    parse_bench,
)

ROOT = Path(__file__).parents[2]
TABLES = (Bench, EngineLimits, StorageConfig, Provider, Sampling, ModelConfig, Prices, Benchmark)


def test_the_shipped_file_asks_the_simulated_model_and_nothing_else() -> None:
    bench = parse_bench((ROOT / "bench.toml").read_text(encoding="utf-8"))
    (benchmark,) = bench.benchmark
    assert benchmark.models == ("simulated::calculator",)
    assert (benchmark.dataset, benchmark.solver) == ("generated:3_digit_addition", "ThreeDigitAdditionSolver")
    assert benchmark.limit is benchmark.sample is None
    assert bench.storage.url == "sqlite:///bench.db"
    assert bench.models["simulated::calculator"].prices is not None
    assert bench.providers["simulated"].kind == "simulated"


def test_each_real_model_of_the_shipped_file_needs_only_its_own_line() -> None:
    text = (ROOT / "bench.toml").read_text(encoding="utf-8")
    chosen = 'models = ["simulated::calculator"]'
    offered = re.findall(r'^# (models = \["([^"]+::[^"]+)"\])', text, re.MULTILINE)
    assert (text.count(chosen), len(offered)) == (1, 4)
    for line, model in offered:
        assert parse_bench(text.replace(chosen, line)).benchmark[0].models == (model,)


@pytest.mark.parametrize("table", TABLES)
def test_the_shipped_file_and_the_reference_hold_every_key(table: type[BaseModel]) -> None:
    shipped = (ROOT / "bench.toml").read_text(encoding="utf-8")
    reference = (ROOT / "docs" / "bench-toml.md").read_text(encoding="utf-8")
    for key in table.model_fields:
        table_head = rf"^#? ?\[+{key}[\].]"
        assert re.search(rf"{table_head}|^[# ]*{key} = |[{{,] *{key} = ", shipped, re.MULTILINE), key
        assert re.search(rf"`\[+{key}[\].]|`{key}`", reference), key


def test_the_reference_names_no_key_that_is_not_there() -> None:
    reference = (ROOT / "docs" / "bench-toml.md").read_text(encoding="utf-8")
    keys = {key for table in TABLES for key in table.model_fields}
    assert set(re.findall(r"^\| `(\w+)` \|", reference, re.MULTILINE)) <= keys


def test_the_reference_tells_the_right_defaults() -> None:
    reference = (ROOT / "docs" / "bench-toml.md").read_text(encoding="utf-8")
    heads = {"[[benchmark]]": Benchmark, "[providers": Provider, "[sampling]": Sampling, "[engine]": EngineLimits}
    for head, table in heads.items():
        section = reference.split(f"## `{head}", 1)[1].split("\n## ", 1)[0]
        defaults = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|", section, re.MULTILINE))
        assert list(defaults) == sorted(table.model_fields, key=list(defaults).index)
        told = {key: value.strip("`") for key, value in defaults.items() if value.startswith("`")}
        given = "".join(f"{key} = {value}\n" for key, value in told.items())
        dumped = table.model_construct().model_dump(mode="json")
        assert {key: dumped[key] for key in told} == tomllib.loads(given)
