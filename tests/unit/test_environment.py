"""Variables, `.env`, and keys that do not show themselves."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest

from engine.environment import Environment, Secret, read_environment
from engine.errors import ConfigError, EndpointError


def test_the_environment_counts_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("ENGINE_TEST_A=file\nENGINE_TEST_B=file\n")
    monkeypatch.setenv("ENGINE_TEST_A", "process")
    environment = read_environment(tmp_path)
    assert (environment.get("ENGINE_TEST_A"), environment.get("ENGINE_TEST_B")) == ("process", "file")
    assert environment.get("ENGINE_TEST_C", "default") == "default"


def test_a_file_is_read_as_shells_write_it(tmp_path: Path) -> None:
    text = "\ufeffexport ENGINE_A='a b' # comment\n\n# ENGINE_X=1\nENGINE_B=\"x\\ny\"\nENGINE_C=a#b\r\nENGINE_D=\n"
    (tmp_path / ".env").write_text(text, encoding="utf-8", newline="")
    environment = read_environment(tmp_path)
    assert [environment.get(f"ENGINE_{name}", "unset") for name in "ABCDX"] == ["a b", "x\ny", "a#b", "", "unset"]


@pytest.mark.parametrize("wrong", ["ENGINE_A='sekret", "sekret and more", "ENGINE_B"])
def test_a_line_that_cannot_be_read_is_told_and_not_repeated(tmp_path: Path, wrong: str) -> None:
    (tmp_path / ".env").write_text(f"\n# comment\nENGINE_X=1\n{wrong}\n")
    with pytest.raises(ConfigError) as caught:
        read_environment(tmp_path)
    assert caught.value.message == f"{tmp_path / '.env'}:4: is not NAME=value"


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"\.env cannot be read"):
        read_environment(tmp_path)


def test_reading_changes_nothing_in_the_process(tmp_path: Path) -> None:
    import os

    (tmp_path / ".env").write_text("ENGINE_TEST_ONLY=1\n")
    read_environment(tmp_path)
    assert "ENGINE_TEST_ONLY" not in os.environ


def test_home_is_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somebody")
    monkeypatch.delenv("ENGINE_HOME", raising=False)
    assert read_environment(tmp_path).home == Path("/somebody/.engine")
    monkeypatch.setenv("ENGINE_HOME", "~/mine")
    assert read_environment(tmp_path).home == Path("/somebody/mine")
    monkeypatch.setenv("ENGINE_HOME", "relative")
    assert read_environment(tmp_path).home == Path.cwd() / "relative"


def test_a_secret_never_shows_itself() -> None:
    secret = Secret("sekret")
    environment = Environment(home=Path("/h"), variables={"K": "sekret"})
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>9}", f"{secret!r}", repr([secret]), repr(environment)]
    assert not any("sekret" in text for text in shown)
    assert secret.reveal() == "sekret"
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize("kept", [Secret("sekret"), Environment(home=Path("/h"), variables={"K": "sekret"})])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_never_pickled(kept: object, protocol: int) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(kept, protocol=protocol)


def test_a_secret_is_no_json() -> None:
    with pytest.raises(TypeError):
        json.dumps(Secret("sekret"))


def test_secrets_compare_by_value_and_copy_as_themselves() -> None:
    secret = Secret("a")
    assert secret == Secret("a")
    assert secret != Secret("b")
    assert secret != "a"
    assert copy.copy(secret) is copy.deepcopy(secret) is secret


def test_a_key_is_found_and_a_blank_one_is_none() -> None:
    environment = Environment(home=Path("/h"), variables={"A": " key\n", "B": "  "})
    assert environment.secret("A") == Secret("key")
    assert environment.secret("B") is None
    assert environment.secret("C") is None
    assert environment.require_secret("A", where="bench.toml:4") == Secret("key")


def test_a_missing_key_is_told_with_its_variable_and_the_remedy() -> None:
    with pytest.raises(EndpointError) as caught:
        Environment(home=Path("/h")).require_secret("FIREWORKS_API_KEY", where="bench.toml:4")
    assert caught.value.exit_code == 3
    assert caught.value.message == "bench.toml:4 needs a key in FIREWORKS_API_KEY, which is not set"
    assert ".env" in caught.value.hint


@pytest.mark.parametrize("key", ["a\nb", "schl\u00fcssel", "\u201ckey\u201d"])
def test_a_key_that_no_header_can_carry_is_refused(key: str) -> None:
    with pytest.raises(EndpointError) as caught:
        Environment(home=Path("/h"), variables={"K": key}).require_secret("K", where="provider 'p'")
    assert key not in str(caught.value)
