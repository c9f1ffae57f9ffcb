"""What a command line gets wrong is told with what was probably meant; help says something."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

from engine.cli.app import build_app, run_command_line
from engine.cli.argv import SWITCHES
from engine.cli.batch import read_batch
from engine.cli.flags import RunFlags
from tests.support import engine

SUMS = ("run", "generated:3_digit_addition", "ThreeDigitAdditionSolver", "--model", "simulated::calculator")
GOOD = """
[[benchmark]]
dataset = "rows.jsonl"
solver = "TemplateSolver"
models = ["simulated::m"]
options = { prompt = "{input}", target = "{output}" }
"""

WRONG = {
    "a misspelt command": (("rnu",), "'engine rnu'", "did you mean run?"),
    "a misspelt command of a group": (("evaluation", "tabel"), "'engine evaluation tabel'", "did you mean table?"),
    "a misspelt flag": (("plan", "--limt", "3"), "--limt", "did you mean --limit?"),
    "a misspelt switch": ((*SUMS, "--ofline"), "--ofline", "did you mean --offline?"),
    "a misspelt --model": ((*SUMS[:3], "--modle", "simulated::m"), "--modle is no flag", "did you mean --model?"),
    "a misspelt --model without a solver": (("run", SUMS[1], "--modle", "a::b"), "--modle", "did you mean --model?"),
    "a misspelt flag with a value": ((*SUMS, "--limt", "3"), "--limt is no flag", "did you mean --limit?"),
    "a misspelt flag of two words": ((*SUMS, "--max-cots", "3"), "--max-cots is no flag", "did you mean --max-cost?"),
    "a misspelt --help": (("--hepl",), "engine has no flag '--hepl'", "did you mean --help?"),
    "a misspelt --version": (("--vesion",), "engine has no flag '--vesion'", "did you mean --version?"),
    "a misspelt --version of a run": ((*SUMS, "--vesion"), "--vesion", "did you mean `engine --version`?"),
    "a misspelt --version of a command": (("check", "--vesion"), "--vesion", "did you mean `engine --version`?"),
    "a misspelt --version of a group": (("evaluation", "--vesion"), "--vesion", "did you mean `engine --version`?"),
    "a misspelt --help of a run": (("run", "--hlep"), "--hlep", "did you mean --help?"),
    "a misspelt --help behind words": ((*SUMS[:3], "--hepl"), "--hepl", "did you mean --help?"),
    "a misspelt --help of a group": (("evaluation", "--hlep"), "--hlep", "did you mean --help?"),
    "a misspelt --help of a command": (("evaluation", "table", "--hlep"), "--hlep", "did you mean --help?"),
    "a misspelt flag of another command": (("simulate", "--prot", "1"), "--prot", "did you mean --port?"),
    "an option of the solver without a value": ((*SUMS, "--xyzzy"), "--xyzzy", "--xyzzy=VALUE"),
    "a flag without its value": ((*SUMS, "--limit"), "--limit needs a value", "--limit VALUE"),
    "no whole number": ((*SUMS, "--limit", "1.5"), "--limit is '1.5'", "a whole number"),
    "a limit of nothing": ((*SUMS, "--limit", "0"), "--limit is '0'", "at least 1"),
    "a negative sample": (("check", "bench.toml", "--sample", "-1"), "--sample is '-1'", "at least 1"),
    "no repeats": ((*SUMS, "--repeats", "0"), "--repeats is '0'", "at least 1"),
    "no number": ((*SUMS, "--temperature", "hot"), "--temperature is 'hot'", "a number"),
    "no number, but a float": ((*SUMS, "--max-cost", "nan"), "--max-cost is 'nan'", "a number"),
    "a negative age": (("cache", "prune", "--older-than", "-1"), "--older-than is -1", "from 0 on"),
    "no percentage": ((*SUMS, "--fail-under", "101"), "--fail-under is '101'", "from 0 to 100"),
    "none of the choices": (("completion", "tcsh"), "'tcsh'", "bash, zsh, fish"),
    "a value out of range": ((*SUMS, "--max_concurrent", "0"), "--max-concurrent: ", "engine schema"),
    "a missing word": (("evaluation", "show"), "EVALUATION is missing", "engine evaluation show --help"),
    "a missing flag": (("cache", "prune"), "--older-than is missing", "engine cache prune --help"),
    "a word too many": ((*SUMS[:3], "three"), "'three' is too many", "engine run --help"),
    "a batch with a solver": (("run", "bench.toml", "TemplateSolver"), "'bench.toml' is a batch", "engine run bench"),
    "a batch that is none": (("check", "rows.jsonl"), "'rows.jsonl' is no batch", ".toml"),
    "a flag twice": ((*SUMS, "--limit", "3", "--limit", "4"), "--limit is given twice", "give it once"),
    "a model twice": (
        ("run", "rows.jsonl", "TemplateSolver", *["--model", "simulated::m"] * 2),
        "'simulated::m' twice",
        "--repeats",
    ),
    "a batch that is misspelt": (("run", "bench.tml"), "a solver is missing", "did you mean 'bench.toml'?"),
    "a batch in capitals": (("run", "BENCH.TOML"), "there is no file 'BENCH.TOML'", "did you mean 'bench.toml'?"),
    "a plan of nothing": (("plan", "nosuch"), "`engine plan nosuch SOLVER", ".toml"),
    "a folder as batch": (("run", "folder.toml"), "folder.toml is a folder", "folder.toml/bench.toml"),
    "a batch that is no UTF-8": (("check", "latin.toml"), "latin.toml:2: is no UTF-8: byte 0xe9", "save it as UTF-8"),
    "a provider that is misspelt": ((*SUMS[:3], "--model", "opnai::m"), "unknown provider 'opnai'", "'openai'?"),
    "an address without http": (
        (*SUMS[:3], "--model", "127.0.0.1:9/v1::m"),
        "'127.0.0.1:9/v1'",
        "http://127.0.0.1:9/v1::m",
    ),
    "a misspelt http": ((*SUMS[:3], "--model", "htp://a.b/v1::m"), "'htp://a.b/v1'", "http://a.b/v1::m"),
    "an address with its end": (
        (*SUMS[:3], "--model", "https://a.b/v1/chat/completions::m"),
        "before /chat/completions",
        "leave that off",
    ),
    "a solver that lacks methods": (("run", "rows.jsonl", "lacks.py", *SUMS[3:]), "lacks solve()", "engine new solver"),
    "a solver that raises": (("run", "rows.jsonl", "raises.py", *SUMS[3:]), "KeyError: 'x' at raises.py:7", "its code"),
    "an agent": ((*SUMS, "--agent", "my_agent"), "'my_agent'", "--model"),
    "an agent without a model": ((*SUMS[:3], "--agent", "my_agent"), "no agents", "--model"),
    "a bare model without a provider": (("plan", *SUMS[1:4], "gpt-4o"), "'gpt-4o' has no provider", "provider::model"),
}


LACKS = """
from engine import SolverStrategy


class Lacks(SolverStrategy):
    def __init__(self, dataset_ref, model="", agent=""):
        ...

    def evaluation_name(self): ...

    def compatible_datasets(self): return ["*"]

"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rows.jsonl").write_text('{"input": "1 + 1", "output": "2"}\n')
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "latin.toml").write_bytes(b"# here\n# caf\xe9\n")
    (tmp_path / "lacks.py").write_text(LACKS)
    (tmp_path / "raises.py").write_text(
        LACKS.replace("        ...", "        {}['x']") + "    def solve(self, datum): ...\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("case", list(WRONG))
def test_is_told_with_a_hint_at_what_was_meant(case, capsys):
    words, said, hint = WRONG[case]
    assert run_command_line(words) == 2
    out, err = capsys.readouterr()
    message, _, hints = err.partition("hint: ")
    assert said in message
    assert hint in hints
    assert (out, err.count("error:")) == ("", 1)


@pytest.mark.parametrize("words", [SUMS, ("doctor", "https://host.invalid/v1")], ids=str)
@pytest.mark.parametrize("key", ["sk-proj-0123456789abcdef", "c2VjcmV0IG9mIG1pbmUgYW5kIG1vcmU1", "two words"])
def test_a_key_in_place_of_its_variable_is_refused_and_not_shown(words, key, capsys):
    assert run_command_line((*words, "--api-key-env", key, "--json")) == 2
    out, err = capsys.readouterr()
    assert "must be the name of an environment variable" in err
    assert key not in out + err


@pytest.mark.parametrize("words", [(), ("--help",), ("run", "--help"), ("benchmark", "run", "-h"), ("cache", "--help")])
def test_help_is_a_page_without_empty_defaults_or_the_parsers_own_words(words, capsys):
    assert run_command_line(words) == 0
    text = capsys.readouterr().out
    assert text.startswith("Usage: engine")
    assert re.findall(r"default: (?:\"\"|\(\)|None|False|0)\]|\[KEYWORD\]", text) == []


def test_the_help_of_run_explains_each_flag_and_ends_with_examples(capsys):
    run_command_line(("run", "--help"))
    text = capsys.readouterr().out
    assert "--option value" in text.lower()
    assert "engine run bench.toml" in text
    flags = re.findall(r"│ --([a-z-]+)[^│]*?  +(\S)", text)
    assert {"model", "limit", "force", "max-cost", "record", "json"} <= {name for name, first in flags if first}


@pytest.mark.parametrize("flag", ["--no-check-compatibility", "--nocheck_compatibility", "--check_compatibility=no"])
def test_a_switch_may_be_turned_off_in_every_spelling(flag, folder, capsys):
    (folder / "b.toml").write_text(GOOD.replace("TemplateSolver", "ThreeDigitAdditionSolver").replace("options", "#"))
    assert run_command_line(("check", "b.toml")) == 2
    assert "b.toml:3: solver 'ThreeDigitAdditionSolver' is not made for" in capsys.readouterr().err
    assert run_command_line(("check", "b.toml", flag)) == 0


OWN = """
from solvers import SolverStrategy


class OwnSolver(SolverStrategy):
    def __init__(self, dataset_ref, model="", agent="", history: int = 0, force_case: int = 0):
        super().__init__(model, agent)

    def evaluation_name(self):
        return "own"

    def compatible_datasets(self):
        return ["*"]

    async def solve(self, datum):
        return "2" in await self.start_inference_session("").run_task(datum["input"])
"""
ASK_OWN = ("rows.jsonl", "own.py:OwnSolver", "--model", "simulated::m")


@pytest.mark.parametrize("command", [("plan",), ("cache", "explain")], ids=" ".join)
def test_an_option_of_the_solver_may_be_called_as_a_switch_of_another_command(command, folder, capsys):
    (folder / "own.py").write_text(OWN)
    assert run_command_line((*command, *ASK_OWN, "--history", "1")) == 0
    assert capsys.readouterr().out


async def test_the_command_that_resumes_leaves_out_force_and_nothing_that_begins_like_it(folder):
    (folder / "own.py").write_text(OWN)
    more = ["--history", "1", "--force_case", "3", "--max-total-tokens", "1", "--max-tokens", "9"]
    stopped = await engine("run", *ASK_OWN, "--force", "true", *more, cwd=folder)
    assert stopped.code == 4
    assert f"resume: python -m engine run {' '.join((*ASK_OWN, *more))}\n" in stopped.err


def _switches(app: App, path: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """Each flag that is true or false, of every command, with all its spellings."""
    for name in app:
        if not name.startswith("-"):
            yield from _switches(app[name], (*path, name))
    for argument in app.assemble_argument_collection() if app.default_command else ():
        if argument.hint is bool:
            yield " ".join(path), {name.removeprefix("--") for name in argument.names if name.startswith("--")}


def test_each_switch_may_have_a_value_as_a_word_of_its_own():
    """The parser would take the value for one more word of the command."""
    found = [(command, names) for command, names in _switches(build_app()) if names != {"help"}]
    assert len(found) > 20
    assert [(command, names) for command, names in found if not names & SWITCHES] == []


HIDING = {
    "a provider that is not there": ('models = ["simulated::m"]', 'models = ["nobody::m"]', "nobody"),
    "a key that is not there": ("[[benchmark]]", "[[benchmark]]\nwhatever = 1", "whatever"),
    "no model": ('models = ["simulated::m"]', "", "models"),
    "a limit": ("[[benchmark]]", '[engine]\nmax_attempts = "x"\n[[benchmark]]', "max_attempts"),
}


@pytest.mark.parametrize("case", HIDING)
def test_no_mistake_of_the_configuration_hides_one_of_a_dataset_or_solver(folder, capsys, case):
    good, bad, said = HIDING[case]
    assert good in GOOD
    rest = GOOD.replace("rows.jsonl", "row.jsonl") + GOOD.replace("TemplateSolver", "TemplatSolver")
    (folder / "b.toml").write_text(GOOD.replace(good, bad, 1) + rest)
    assert run_command_line(("check", "b.toml")) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "dataset 'row.jsonl' is not there" in err
    assert "there is no solver 'TemplatSolver'; did you mean 'TemplateSolver'" in err
    assert len(err.split("hint: ")) == 2


def test_all_that_a_batch_gets_wrong_is_told_at_once_with_its_lines(folder, capsys):
    wrong = [
        GOOD.replace("rows.jsonl", "row.jsonl"),
        GOOD.replace("TemplateSolver", "TemplatSolver"),
        GOOD.replace("simulated::m", "openai::gpt"),
    ]
    text = "".join(wrong) + '[storage]\nurl = "mysql://x"\n'
    (folder / "b.toml").write_text(text)
    line = {name: text[: text.index(name)].count("\n") + 1 for name in ("row.jsonl", "TemplatSolver", "openai::gpt")}
    assert run_command_line(("check", "b.toml")) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"b.toml:{line['row.jsonl']}: dataset 'row.jsonl' is not there" in err
    assert f"b.toml:{line['TemplatSolver']}: there is no solver 'TemplatSolver'; did you mean 'TemplateSolver'" in err
    assert f"b.toml:{line['openai::gpt']}: model 'openai::gpt' needs a key in OPENAI_API_KEY" in err
    assert "'mysql'" in err
    (folder / "b.toml").write_text("".join(wrong[:2]))
    assert run_command_line(("plan", "b.toml")) == 2
    err = capsys.readouterr().err
    assert "'row.jsonl'" in err
    assert "'TemplatSolver'" in err


def test_check_looks_at_what_the_flags_make_of_the_file(folder, capsys):
    (folder / "b.toml").write_text(GOOD)
    assert run_command_line(("check", "b.toml", "--set", "benchmark.limit=0")) == 2
    assert "--set benchmark.limit=0" in capsys.readouterr().err
    assert run_command_line(("check", "b.toml", "--json", "--repeats", "3")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["tasks"] for line in lines] == [3]


def test_a_seed_on_the_command_line_wins_over_that_of_the_file_and_without_one_it_stays():
    Path("b.toml").write_text(f"{GOOD}sample = 2\nseed = 7\n")

    def chosen(**flags) -> tuple[int | None, int]:
        (order,) = read_batch("b.toml", "", RunFlags(**flags), {}).orders
        return order.choice.sample, order.choice.seed

    assert chosen() == (2, 7)
    assert chosen(seed=3) == (2, 3)
    assert chosen(sample=1) == (1, 7)
    assert chosen(sample=1, seed=0) == (1, 0)


@pytest.mark.parametrize("dataset", ["hf:owner/name", "mbpp", "near.ai/mbpp/1.0.0"])
def test_check_asks_no_hub_for_what_is_not_on_this_machine(dataset, folder, capsys):
    (folder / "b.toml").write_text(GOOD.replace("rows.jsonl", dataset))
    assert run_command_line(("check", "b.toml")) == 0
    out, err = capsys.readouterr()
    assert "b.toml: 1 run, no mistakes" in out
    assert f"{dataset}: not opened" in err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_knows_commands_and_flags(shell, capsys):
    assert run_command_line(("completion", shell)) == 0
    script = capsys.readouterr().out
    assert "evaluation" in script
    assert "max-concurrent" in script


@pytest.mark.parametrize("words", [("check",), ("cache", "explain")], ids=" ".join)
def test_commands_that_only_look_show_no_flags_of_runs_and_take_them(words, folder, capsys):
    run_command_line((*words, "--help"))
    text = capsys.readouterr().out
    assert "--model" in text
    assert "--force" not in text
    assert "--fail-under" not in text
    (folder / "b.toml").write_text(GOOD)
    assert run_command_line((*words, "b.toml", "--force", "--fail-under", "50", "--record", "--tag", "x")) == 0


@pytest.mark.parametrize("command", ["hide", "unhide", "compare", "export", "tag"])
def test_every_word_that_an_evaluation_command_takes_is_explained(command, capsys):
    run_command_line(("evaluation", command, "--help"))
    arguments = capsys.readouterr().out.partition("Arguments")[2].partition("╰")[0]
    assert re.findall(r"│ +\*? *[A-Z]+ +│", arguments) == []
