"""Datasets as they are out there: public benchmark files, the tutorial's own script, a hub, a million rows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from engine.data import DatasetView, open_dataset
from engine.errors import DatasetError

ROOT = Path(__file__).resolve().parents[2]


# --- public files -----------------------------------------------------------------------------------------------


@pytest.fixture
def public(shared_data: Path, tmp_path: Path) -> Any:
    def opened(reference: str, subset: str = "") -> DatasetView:
        return open_dataset(reference, subset=subset, folder=shared_data, home=tmp_path)

    return opened


def test_gsm8k_has_its_two_splits_as_siblings_one_of_them_packed(public: Any) -> None:
    view = public("gsm8k/test.jsonl")
    assert (len(view), len(view["train"]), view.splits) == (1319, 7473, ("test", "train"))
    assert view[0]["answer"].endswith("#### 18")
    assert public("gsm8k", "train").fingerprint == view["train"].fingerprint
    assert [i for i, _ in view["train"].read([0, 5000, 7472])] == [0, 5000, 7472]


@pytest.mark.parametrize(
    ("reference", "subset", "rows", "field"),
    [
        ("bbh/navigate.json", "", 250, "target"),
        ("bbh", "snarks", 178, "input"),
        ("mbpp/mbpp.jsonl", "", 974, "test_list"),
        ("mbpp/sanitized-mbpp.json", "", 427, "prompt"),
        ("mmlu_pro/test.jsonl.gz", "", 12032, "options"),
        ("truthfulqa/TruthfulQA.csv", "", 817, "Type"),
        ("truthfulqa", "mc_task", 817, "mc1_targets"),
        ("simpleqa", "", 4326, "problem"),
        ("humaneval", "", 164, "entry_point"),
        ("ifeval", "", 541, "kwargs"),
        ("livebench/math/olympiad", "", 72, "turns"),
        ("arc", "derived_arc_easy_test", 2376, "gold"),
    ],
)
def test_public_files_have_their_published_number_of_rows(
    public: Any, reference: str, subset: str, rows: int, field: str
) -> None:
    view = public(reference, subset)
    assert len(view) == rows == sum(1 for _ in view)
    assert all(field in row for row in view)


def test_all_of_bbh_is_there(public: Any, shared_data: Path) -> None:
    tasks = sorted(path.stem for path in (shared_data / "bbh").glob("*.json"))
    assert list(public("bbh", tasks[0]).splits) == tasks
    assert sum(len(public("bbh", task)) for task in tasks) == 6511


def test_text_of_csv_is_kept_as_it_is(public: Any) -> None:
    first = public("simpleqa")[0]
    assert first["metadata"].startswith("{'topic': 'Science and technology'")
    assert {type(value) for row in public("truthfulqa/TruthfulQA.csv") for value in row.values()} == {str}


def test_data_that_lies_in_folders_of_folders_is_of_a_custom_format(public: Any) -> None:
    view = public("livebench")
    assert (len(view), view.path.name) == (0, "livebench")


# --- a million rows ---------------------------------------------------------------------------------------------

MEASURE = """
import re, sys, time
from pathlib import Path
from engine.data import open_dataset
folder = Path(sys.argv[1])
before = time.perf_counter()
view = open_dataset("big.jsonl", folder=folder, home=folder / "home")
opened_s = time.perf_counter() - before
rows = sum(1 for _ in view.read())
peak_kb = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
print(rows, opened_s, int(peak_kb) // 1024)
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_million_rows_are_checked_once_and_read_in_constant_memory(tmp_path: Path) -> None:
    with (tmp_path / "big.jsonl").open("w") as file:
        for n in range(1_000_000):
            file.write(json.dumps({"id": f"q{n}", "question": f"What is {n} plus {n}?" + "x" * 150}) + "\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for memory_mb, seconds in ((250, 60.0), (60, 0.5)):
        command = [sys.executable, "-c", MEASURE, str(tmp_path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        rows, opened_s, rss_mb = done.stdout.split()
        assert int(rows) == 1_000_000
        assert float(opened_s) < seconds
        assert int(rss_mb) < memory_mb


# --- the hub ----------------------------------------------------------------------------------------------------

CARD = b"""---
configs:
- config_name: main
  data_files:
  - {split: train, path: main/train.jsonl}
  - {split: test, path: main/test.jsonl}
- config_name: other
  data_files:
  - {split: test, path: other/test.jsonl}
---
"""
COMMIT = "c0ffee" + "0" * 34


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's interface as `datasets` asks for, over loopback."""

    FILES: ClassVar[dict[str, bytes]] = {
        "README.md": CARD,
        "main/train.jsonl": b'{"q": "a", "n": 1}\n{"q": "b", "n": 2}\n',
        "main/test.jsonl": b'{"q": "c", "n": 3}\n',
        "other/test.jsonl": b'{"q": "d", "n": 4}\n',
    }

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        base = re.fullmatch(rf"/api/datasets/own/data(?:/revision/(?:main|v1|{COMMIT}))?", path)
        tree = re.fullmatch(r"/api/datasets/own/data/tree/\w+(?:/(.*))?", path)
        file = re.fullmatch(r"/datasets/own/data/resolve/\w+/(.*)", path)
        if base:
            siblings = [{"rfilename": name} for name in self.FILES]
            self.reply(200, json.dumps({"id": "own/data", "sha": COMMIT, "siblings": siblings}).encode())
        elif tree:
            self.reply(200, json.dumps(self.listing(tree[1])).encode())
        elif file and file[1] in self.FILES:
            self.reply(200, self.FILES[file[1]], etag=f'"{file[1]}"')
        else:
            wrong = "EntryNotFound" if file else "RevisionNotFound" if "/revision/" in path else "RepoNotFound"
            self.reply(404, b"{}", x_error_code=wrong)

    do_HEAD = do_GET  # noqa: N815 - the name the standard library calls

    def listing(self, folder: str | None) -> list[dict[str, Any]]:
        prefix = f"{folder}/" if folder else ""
        found = {}
        for name, content in self.FILES.items():
            if name.startswith(prefix):
                head = prefix + name.removeprefix(prefix).partition("/")[0]
                kind = {"type": "file", "size": len(content)} if head == name else {"type": "directory", "size": 0}
                found[head] = {"path": head, "oid": "0" * 40, **kind}
        return list(found.values())

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-repo-commit", COMMIT)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def hub_url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


ASK = """
import json, sys
from pathlib import Path
from engine.data import open_dataset
from engine.errors import DatasetError
for reference, subset in json.loads(sys.argv[1]):
    try:
        view = open_dataset(reference, subset=subset, folder=Path.cwd(), home=Path("home"))
        print(json.dumps([list(view), view.fingerprint, view.splits, view.subset, view["test"][0]]))
    except DatasetError as error:
        print(json.dumps(str(error)))
"""


def ask(url: str, folder: Path, *questions: tuple[str, str], **environment: str) -> list[Any]:
    """What comes of each reference in a process of its own: the library reads its settings when imported."""
    own = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(folder / "hf"), "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-c", ASK, json.dumps(questions)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=own, cwd=folder, timeout=60)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_hub_dataset_is_its_repository_commit_configuration_and_split(hub_url: str, tmp_path: Path) -> None:
    (tmp_path / "own" / "data").mkdir(parents=True)  # a folder of that name here is not the hub's
    (tmp_path / "own" / "data" / "test.jsonl").write_text('{"local": 1}\n')
    main, pinned, other = ask(
        hub_url, tmp_path, ("hf:own/data", "main/test"), ("hf:own/data@v1", "main/train"), ("hf:own/data", "other/test")
    )
    test = {"q": "c", "n": 3}
    assert main == [[test], f"hf:own/data@{COMMIT} main/test", ["train", "test"], "test", test]
    assert pinned[:2] == [[{"q": "a", "n": 1}, {"q": "b", "n": 2}], f"hf:own/data@{COMMIT} main/train"]
    assert other[0] == [{"q": "d", "n": 4}]
    offline = ask("http://127.0.0.1:9", tmp_path, ("hf:own/data", "main/test"), HF_HUB_OFFLINE="1")
    assert offline == [main]


def test_what_the_hub_does_not_have_is_said_with_what_it_has(hub_url: str, tmp_path: Path) -> None:
    said = ask(
        hub_url,
        tmp_path,
        ("hf:own/data", "test"),
        ("hf:own/data", "main/tst"),
        ("hf:own/data@v9", "main/test"),
        ("hf:own/nothing", "test"),
        ("hf:nothing", "test"),
    )
    parts = [
        "['main', 'other']",
        "it has train, test",
        "no such revision",
        "no such dataset",
        "is no dataset of the hub",
    ]
    for text, part in zip(said, parts, strict=True):
        assert part in text
        assert "hint: " in text


def test_without_a_network_a_hub_dataset_is_refused_at_once(tmp_path: Path) -> None:
    (text,) = ask("http://127.0.0.1:9", tmp_path, ("hf:own/data", "main/test"))
    assert "the hub cannot be reached for hf:own/data" in text
    assert "HF_HUB_OFFLINE=1" in text


# --- the tutorial -----------------------------------------------------------------------------------------------

SCRIPT = """
import random
from itertools import product
import datasets
SAMPLE_SIZE = 1000
SEED = 42
PATH = "3_digit_addition"
random.seed(SEED)
datasets.Dataset.from_generator(
    lambda: iter(
        {
            "input": f"{a} + {b}",
            "output": str(a + b)
        }
        for a, b in random.sample(list(product(range(1000), range(1000))), SAMPLE_SIZE)
    ),
    features=datasets.Features(
        {
            "input": datasets.Value("string"),
            "output": datasets.Value("string")
        }
    )
).save_to_disk(PATH)
"""


def test_the_folder_of_the_tutorials_script_is_the_generated_dataset(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, cwd=tmp_path, capture_output=True)
    generated = open_dataset("generated:3_digit_addition", folder=tmp_path, home=tmp_path / "home")
    saved = open_dataset("./3_digit_addition", folder=tmp_path, home=tmp_path / "home")
    assert list(saved) == list(generated)
    assert len(saved) == 1000
    assert saved.fingerprint == generated.fingerprint
    with pytest.raises(DatasetError, match="it has train"):
        open_dataset("./3_digit_addition", subset="test", folder=tmp_path, home=tmp_path / "home")
