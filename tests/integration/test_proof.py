"""An evaluation becomes one file, and anybody can see from it whether its figures come out the same."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.cli.app import run_command_line
from tests.proof_kit import Line, bundled, first, lines_of, rewritten, set_of, told
from tests.support import command, environment

SOLVER = """
from pathlib import Path
from solvers import Score, SolverStrategy

class Parrot(SolverStrategy):
    def __init__(self, dataset_ref, model="", agent="", shots: int = 1, unsafe_exec: bool = False, container: str = ""):
        super().__init__(model, agent)
        self.shown = [dataset_ref["dev"][i]["word"] for i in range(shots)]
        if unsafe_exec or container:
            Path("unsafe").touch()

    def evaluation_name(self):
        return "parrot"

    def compatible_datasets(self):
        return ["*"]

    async def solve(self, datum):
        session = self.start_inference_session()
        text = await session.run_task(f"{self.shown} say {datum['word']}")
        again = await session.run_task("again")
        tags, metrics = (datum["group"],), {"length": len(again)}
        return Score(value=float(datum["right"]), answer=str(text), metrics=metrics, tags=tags)
"""


@pytest.fixture(scope="module")
def adder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recorded run of 30 sums, some of them wrong, and its bundle."""
    folder = tmp_path_factory.mktemp("adder")
    (folder / "bench.toml").write_text('[providers.simulated]\nkind = "simulated"\naccuracy = 0.8\n')
    run = ["run", "generated:3_digit_addition", "ThreeDigitAdditionSolver", "--model", "simulated::calculator"]
    told(folder, *run, "--limit", "30", "--record")
    bundled(folder)
    return folder


@pytest.fixture(scope="module")
def parroted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recorded run of a solver of the user's, with exemplars from another split, and its bundle."""
    folder = tmp_path_factory.mktemp("parrot")
    (folder / "parrot.py").write_text(SOLVER)
    data = folder / "data"
    data.mkdir()
    for split, n in (("dev", 3), ("test", 12)):
        rows = [{"word": f"{split}{i}", "right": i % 3 == 0, "group": f"g{i % 2}"} for i in range(n)]
        (data / f"{split}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    run = ["run", "data", "parrot.py:Parrot", "--model", "simulated::calculator", "--subset", "test"]
    told(folder, *run, "--record")
    bundled(folder)
    return folder


@pytest.fixture
def bundle(adder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(adder / "proof.bundle", tmp_path / "proof.bundle"))


@pytest.fixture
def parrot(parroted: Path, tmp_path: Path) -> Path:
    """A folder of one's own like `parroted`."""
    return Path(shutil.copytree(parroted, tmp_path / "maker"))


@pytest.fixture
def anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs a command on a machine that has neither the store nor the data."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ENGINE_HOME", str(folder / "home"))
    return lambda *words: run_command_line(words)


def test_a_bundle_verifies_where_neither_data_nor_store_nor_model_is(bundle, anywhere, capsys):
    assert anywhere("verify", str(bundle)) == 0
    said = capsys.readouterr().out
    assert "30 tasks scored again" in said
    assert "the same as recorded" in said
    assert said.splitlines()[-1].startswith("verified: all ")
    assert not (Path.cwd() / "home" / "engine.db").exists()


def test_as_json_every_figure_stands_beside_what_came_out(bundle, anywhere, capsys):
    capsys.readouterr()
    assert anywhere("verify", str(bundle), "--format", "json") == 0
    proof = json.loads(capsys.readouterr().out)
    [score] = [each for each in proof["figures"] if each["name"] == "3_digit_addition"]
    assert proof["holds"] is True
    assert (score["recorded"], score["same"]) == (score["replayed"], True)
    assert proof["sha256"] == lines_of(bundle)[-1]["sha256"]


def test_the_same_evaluation_makes_the_same_bytes(bundle, adder):
    assert bundled(adder).read_bytes() == bundle.read_bytes()


def test_it_holds_configuration_rows_prompts_completions_and_scores(bundle):
    lines = lines_of(bundle)
    assert {line["kind"] for line in lines} == {"bundle", "evaluation", "run", "split", "row", "reply", "task", "end"}
    task, row, reply = (first(lines, kind) for kind in ("task", "row", "reply"))
    assert row["row"]["input"] in json.loads(reply["request"])["messages"][-1]["content"]
    assert task["replies"] == [["", reply["key"]]]
    assert first(lines, "run")["parts"]["solver_source"]


def test_a_score_that_was_changed_is_found_with_its_figures(bundle, anywhere, capsys):
    def flip(lines):
        first(lines, "task", outcome="failed").update(outcome="passed", score=1.0)

    assert anywhere("verify", str(rewritten(bundle, flip))) == 1
    said = capsys.readouterr().out
    assert "outcome passed → failed, score 1.0 → 0.0" in said
    assert said.splitlines()[-1].startswith("not verified: ")


def test_a_reply_that_was_changed_is_judged_as_it_stands(bundle, anywhere, capsys):
    def correct(lines):
        wrong = first(lines, "task", outcome="failed")
        reply = first(lines, "reply", key=wrong["replies"][0][1])
        row = first(lines, "row", index=wrong["index"])["row"]
        reply["response"] = reply["response"].replace(json.dumps(reply["text"])[1:-1], row["output"])
        reply["text"] = row["output"]

    assert anywhere("verify", str(rewritten(bundle, correct))) == 1
    assert "outcome failed → passed" in capsys.readouterr().out


def test_a_figure_that_was_changed_is_named_alone(bundle, anywhere, capsys):
    def raise_(lines):
        first(lines, "evaluation")["metrics"][0]["value"] += 0.001

    assert anywhere("verify", str(rewritten(bundle, raise_))) == 1
    said = capsys.readouterr().out
    assert "not the same: value" in said
    assert "0 of 30 tasks come out otherwise" in said


def test_a_text_that_is_not_that_of_its_response_is_refused(bundle, anywhere, capsys):
    assert anywhere("verify", str(rewritten(bundle, lambda lines: first(lines, "reply").update(text="42")))) == 1
    assert "its text is not that of its response" in capsys.readouterr().err


def test_a_prompt_that_was_changed_is_told(bundle, anywhere, capsys):
    def reword(lines):
        reply = first(lines, "reply")
        reply["request"] = reply["request"].replace("result", "answer")

    assert anywhere("verify", str(rewritten(bundle, reword))) == 0
    assert "1 tasks were asked in other words" in capsys.readouterr().out


def test_wherever_a_bundle_is_cut_there_is_one_clear_message(bundle, anywhere, capsys):
    whole = bundle.read_bytes()
    draw = random.Random(1)
    for size in [*range(12), *(draw.randrange(12, len(whole)) for _ in range(40)), len(whole) - 1]:
        bundle.write_bytes(whole[:size])
        assert anywhere("verify", str(bundle)) == 1
        [said, hint] = capsys.readouterr().err.splitlines()
        assert "cut short" in said or "is no bundle" in said
        assert hint.startswith("  hint: ")


def test_whichever_byte_is_changed_it_is_found(bundle, anywhere, capsys):
    whole = bundle.read_bytes()
    draw = random.Random(2)
    for _ in range(40):
        place = draw.randrange(10, len(whole) - 8)
        bundle.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << draw.randrange(8)]) + whole[place + 1 :])
        assert anywhere("verify", str(bundle)) == 1
        assert len(capsys.readouterr().err.splitlines()) == 2


HOSTILE: dict[str, Callable[[list[Line]], Any]] = {
    "no run": lambda lines: lines.remove(first(lines, "run")),
    "no tasks": lambda lines: lines.__setitem__(slice(None), [each for each in lines if each["kind"] != "task"]),
    "no evaluation": lambda lines: lines.remove(first(lines, "evaluation")),
    "twice a run": lambda lines: lines.append(first(lines, "run")),
    "another kind": lambda lines: lines.append({"kind": "exec", "code": "1"}),
    "a newer version": set_of("bundle", version=2),
    "endless rows": set_of("run", rows=10**30),
    "no repeats": set_of("run", repeats=0),
    "a score of 7": set_of("task", score=7.0, outcome="scored"),
    "a score of none": set_of("task", score=None),
    "an unknown outcome": set_of("task", outcome="won"),
    "a text for an index": set_of("task", index="x"),
    "a huge index": set_of("task", index=10**40),
    "metrics of text": set_of("task", metrics={"a": "b"}),
    "no replies": set_of("task", replies=None),
    "a reply of numbers": set_of("reply", response=5),
    "a response that is none": set_of("reply", response="{}"),
    "nested too deep": set_of("reply", response="[" * 100_000),
    "a row of text": set_of("row", row="x"),
    "a split of text": set_of("split", rows="many"),
    "parts of text": set_of("run", parts="x"),
    "options of text": set_of("run", options="x"),
    "details of text": set_of("evaluation", details="x"),
    "metrics of numbers": set_of("evaluation", metrics=[1]),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_what_none_of_ours_holds_gets_one_clear_message(bundle, anywhere, capsys, change):
    assert anywhere("verify", str(rewritten(bundle, change))) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "unexpected" not in said
    assert len(said.splitlines()) <= 2


NO_BUNDLE = {
    "nothing": b"",
    "half a mark": b"\x1f\x8b",
    "text": b"hello",
    "zeros": b"\x1f\x8b" + b"\0" * 50,
    "another document": gzip.compress(b"{}\n", mtime=0),
}


@pytest.mark.parametrize("content", NO_BUNDLE.values(), ids=NO_BUNDLE)
def test_what_is_no_bundle_is_called_so(anywhere, tmp_path, capsys, content):
    (tmp_path / "x").write_bytes(content)
    assert anywhere("verify", str(tmp_path / "x")) == 1
    assert "x: i" in capsys.readouterr().err
    assert anywhere("verify", str(tmp_path / "nowhere")) == 2


def test_terminal_marks_in_a_bundle_do_nothing(bundle, anywhere, capsys):
    def mark(lines):
        first(lines, "evaluation").update(dataset="\x1b[2J", name="a/\x1b]0;x\x07/1")
        first(lines, "task", outcome="failed").update(answer="\x1b[31m")

    anywhere("verify", str(rewritten(bundle, mark)))
    assert "\x1b" not in capsys.readouterr().out


def test_rows_of_other_splits_go_along_as_far_as_they_were_read(parrot, anywhere, capsys):
    lines = lines_of(parrot / "proof.bundle")
    assert [line["row"]["word"] for line in lines if line["kind"] == "row" and line["split"] == "dev"] == ["dev0"]
    assert anywhere("verify", str(parrot / "proof.bundle"), "--solver", str(parrot / "parrot.py:Parrot")) == 0
    said = capsys.readouterr().out
    assert "verified: all " in said
    assert "other words" not in said


def test_a_solver_that_is_not_here_scores_nothing_and_what_can_be_is_added_up(parrot, anywhere, capsys):
    assert anywhere("verify", str(parrot / "proof.bundle")) == 1
    said = capsys.readouterr().out
    assert "there is no solver 'Parrot'" in said
    assert "nothing was scored again" in said


def test_a_solver_with_another_source_scores_only_when_that_is_allowed(parrot, anywhere, capsys):
    other = parrot / "parrot.py"
    other.write_text(SOLVER.replace("float(datum", "Path('ran').touch() or 1 - float(datum"))
    words = ("verify", str(parrot / "proof.bundle"), "--solver", f"{other}:Parrot")
    assert anywhere(*words) == 1
    assert "is another one: its source has the hash" in capsys.readouterr().out
    assert not Path("ran").exists()
    assert anywhere(*words, "--other-source") == 1
    assert "score 1.0 → 0.0" in capsys.readouterr().out
    assert Path("ran").exists()


@pytest.mark.parametrize("name", ["evil.py:Evil", "evil:Evil", "/etc/passwd", "../evil.py", "os"])
def test_a_bundle_names_no_file_and_no_module_to_load(bundle, anywhere, capsys, name):
    Path("evil.py").write_text("from pathlib import Path\nPath('loaded').touch()\nclass Evil: pass\n")
    assert anywhere("verify", str(rewritten(bundle, set_of("run", solver=name)))) == 1
    assert "not verified: nothing was scored again" in capsys.readouterr().out
    assert not Path("loaded").exists()


@pytest.mark.parametrize(("name", "value"), [("unsafe_exec", True), ("container", "sh -c 'touch unsafe'")])
def test_a_bundle_does_not_let_code_out_of_its_sandbox(parrot, anywhere, capsys, name, value):
    path = rewritten(parrot / "proof.bundle", set_of("run", options={"shots": 1, name: value}))
    assert anywhere("verify", str(path), "--solver", str(parrot / "parrot.py:Parrot")) == 0
    assert f"{name} is not followed here" in capsys.readouterr().out
    assert not Path("unsafe").exists()


def test_without_rows_the_dataset_itself_is_needed_and_is_pinned(parrot, anywhere, capsys):
    path = bundled(parrot, "--no-rows")
    assert not [line for line in lines_of(path) if line["kind"] in ("row", "split")]
    solver = ("--solver", str(parrot / "parrot.py:Parrot"))
    assert anywhere("verify", str(path), *solver) == 1
    assert "give the dataset with --dataset" in capsys.readouterr().out
    assert anywhere("verify", str(path), *solver, "--dataset", str(parrot / "data")) == 0
    changed = parrot / "data" / "test.jsonl"
    changed.write_text(changed.read_text().replace("test1", "test9"))
    assert anywhere("verify", str(path), *solver, "--dataset", str(parrot / "data")) == 1
    assert "has the fingerprint" in capsys.readouterr().out


def test_a_solver_or_dataset_that_changed_since_makes_no_bundle(parrot):
    words = ["evaluation", "bundle", "latest", "--output", "again.bundle"]
    (parrot / "parrot.py").write_text(SOLVER + "\n# changed\n")
    assert "was changed since the run" in told(parrot, *words, code=1)
    (parrot / "parrot.py").write_text(SOLVER)
    (parrot / "data" / "test.jsonl").write_text('{"word": "x", "right": true, "group": "g"}\n')
    assert "is not what it was" in told(parrot, *words, code=1)
    assert not list(parrot.glob("*again*"))


def test_a_log_of_inspect_holds_what_was_said(adder):
    log = json.loads(told(adder, "evaluation", "export", "inspect", "latest"))
    sample = log["samples"][0]
    assert [message["role"] for message in sample["messages"]] == ["user", "assistant"]
    assert sample["metadata"]["datum"]["input"] in sample["messages"][0]["content"]
    assert sample["output"]["completion"] == sample["messages"][1]["content"]
    assert sample["output"]["choices"][0]["stop_reason"] == "stop"
    assert sample["events"][0]["output"]["usage"]["output_tokens"] > 0
    assert log["stats"]["model_usage"]["calculator"]["input_tokens"] > 0


def test_where_the_solver_changed_a_log_of_inspect_goes_without_messages_and_says_so(parrot):
    (parrot / "parrot.py").write_text(SOLVER + "\n# changed\n")
    done = subprocess.run(
        command("evaluation", "export", "inspect", "latest"),
        cwd=parrot,
        env=environment(parrot / "home"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "without messages: solver 'Parrot' was changed" in done.stderr
    assert "messages" not in json.loads(done.stdout)["samples"][0]
