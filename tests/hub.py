"""As much of the Hugging Face hub's interface as `datasets` asks for, over loopback, for any number of repositories."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

Files = Mapping[str, bytes]


def repository(configs: Mapping[str, Mapping[str, list[dict[str, Any]]]]) -> Files:
    """The files of a repository with these configurations, each of them splits of rows."""
    lines, files = ["---", "configs:"], {}
    for config, splits in configs.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        for split, rows in splits.items():
            path = f"{config}/{split}.jsonl"
            lines.append(f"  - {{split: {split}, path: {path}}}")
            files[path] = "".join(json.dumps(row) + "\n" for row in rows).encode()
    return {"README.md": "\n".join([*lines, "---", ""]).encode(), **files}


@contextmanager
def hub(repositories: Mapping[str, Files]) -> Iterator[str]:
    """The URL of a hub with these repositories, which has them at every commit that is asked for."""
    handler = type("Served", (_Hub,), {"REPOSITORIES": repositories})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Hub(BaseHTTPRequestHandler):
    REPOSITORIES: ClassVar[Mapping[str, Files]]

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        base = re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/revision/(\w+))?", path)
        tree = re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/tree/(\w+)(?:/(.*))?", path)
        file = re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/(\w+)/(.*)", path)
        files = self.REPOSITORIES.get((base or tree or file or [None, None])[1] or "")
        if files is None:
            self._reply(404, b"{}", x_error_code="RepoNotFound")
        elif base:
            siblings = [{"rfilename": name} for name in files]
            known = {"id": base[1], "sha": base[2] or "0" * 40, "siblings": siblings}
            self._reply(200, json.dumps(known).encode(), x_repo_commit=base[2] or "0" * 40)
        elif tree:
            self._reply(200, json.dumps(_listing(files, tree[3])).encode(), x_repo_commit=tree[2])
        elif file and file[3] in files:
            self._reply(200, files[file[3]], etag=f'"{file[1]}/{file[3]}"', x_repo_commit=file[2])
        else:
            self._reply(404, b"{}", x_error_code="EntryNotFound")

    do_HEAD = do_GET  # noqa: N815 - the name the standard library calls

    def _reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _listing(files: Files, folder: str | None) -> list[dict[str, Any]]:
    prefix = f"{folder}/" if folder else ""
    found = {}
    for name, content in files.items():
        if name.startswith(prefix):
            head = prefix + name.removeprefix(prefix).partition("/")[0]
            kind = {"type": "file", "size": len(content)} if head == name else {"type": "directory", "size": 0}
            found[head] = {"path": head, "oid": "0" * 40, **kind}
    return list(found.values())
