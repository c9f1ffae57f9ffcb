"""`engine registry download hf:...`: a dataset of the hub becomes an entry that needs no hub."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
from support import engine, environment

from engine import registry
from engine.data import open_dataset

COMMIT = "c0ffee" + "0" * 34
CARD = b"""---
configs:
- config_name: main
  data_files:
  - {split: train, path: train.jsonl}
  - {split: test, path: test.jsonl}
- config_name: other
  data_files:
  - {split: test, path: test.jsonl}
---
"""
FILES = {
    "README.md": CARD,
    "train.jsonl": b'{"q": "a", "n": 1}\n{"q": "b", "n": 2}\n',
    "test.jsonl": b'{"q": "c", "n": 3}\n',
}


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's interface as `datasets` asks for."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        file = re.fullmatch(r"/datasets/own/data/resolve/\w+/(.*)", path)
        headers = {"x-repo-commit": COMMIT}
        if re.fullmatch(rf"/api/datasets/own/data(/revision/(main|{COMMIT}))?", path):
            body = {"id": "own/data", "sha": COMMIT, "siblings": [{"rfilename": name} for name in FILES]}
            self.reply(200, json.dumps(body).encode(), headers)
        elif re.fullmatch(r"/api/datasets/own/data/tree/\w+", path):
            tree = [{"path": name, "oid": "0" * 40, "type": "file", "size": len(body)} for name, body in FILES.items()]
            self.reply(200, json.dumps(tree).encode(), headers)
        elif file and file[1] in FILES:
            self.reply(200, FILES[file[1]], {**headers, "etag": f'"{file[1]}"'})
        else:
            self.reply(404, b"{}", {**headers, "x-error-code": "EntryNotFound" if file else "RepoNotFound"})

    do_HEAD = do_GET  # noqa: N815 - the name the standard library calls

    def log_message(self, *args: Any) -> None:
        pass

    def reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


DOWNLOAD = """
import sys
from engine.cli.registry import download
sys.exit(download("hf:own/data", config="main"))
"""


async def test_a_dataset_of_the_hub_becomes_an_entry_with_all_its_splits(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    own = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path / "hf")}
    try:
        done = await anyio.run_process(
            [sys.executable, "-c", DOWNLOAD],
            cwd=tmp_path,
            env=environment(tmp_path / "home", **own),
            check=False,
            stdin=subprocess.DEVNULL,
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode() == "own/data/1.0.0\n"
    entry = registry.find("own/data", home=tmp_path / "home")
    assert entry.details["source"] == {"hub": "hf:own/data", "config": "main", "commit": COMMIT}
    assert registry.verify(entry) == []
    view = open_dataset("own/data", subset="test", folder=tmp_path, home=tmp_path / "home")
    assert (list(view), sorted(view.splits)) == ([{"q": "c", "n": 3}], ["test", "train"])
    shown = await engine("registry", "info", "own/data", cwd=tmp_path)
    assert json.loads(shown.out)["details"]["source"]["commit"] == COMMIT
