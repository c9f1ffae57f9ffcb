"""Servers to measure against: nginx with a fixed reply, and ours; each on a free loopback port, ended by its pid."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from benchmarks.answering import REPLY
from benchmarks.process import environment

NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; multi_accept on; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; client_body_buffer_size 64k;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port} backlog=4096 reuseport;
        location = /v1/chat/completions {{ default_type application/json; return 200 '{reply}'; }}
        location / {{ return 404; }}
    }}
}}
"""
PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin")
START_S = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs: what it is, and where."""

    kind: str
    base_url: str

    def stats(self) -> dict[str, Any]:
        """What a server of ours has seen; see `benchmarks.answering.Seen`."""
        with urlopen(self.base_url.removesuffix("/v1") + "/stats") as response:
            seen: dict[str, Any] = json.load(response)
        return seen


@contextmanager
def fastest(folder: Path) -> Iterator[Server]:
    """nginx where it is installed, else a server of ours, which says so in its `kind`."""
    found = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), *PLACES]))
    if found is None:
        hint = "apt-get install nginx-light, or brew install nginx"
        print(f"nginx is not there ({hint}); measuring against a slower server of ours", file=sys.stderr)
        with ours(0.0) as server:
            yield server
        return
    version = subprocess.run([found, "-v"], capture_output=True, text=True, check=True).stderr.strip().split("/")[-1]
    home = folder / "nginx"
    home.mkdir()
    port = _free_port()
    settings = home / "nginx.conf"
    settings.write_text(NGINX.format(folder=home, port=port, reply=REPLY))
    process = subprocess.Popen([found, "-p", str(home), "-c", str(settings)], stdin=subprocess.DEVNULL)
    try:
        _wait_for(process, port)
        yield Server(f"nginx {version}", f"http://127.0.0.1:{port}/v1")
    finally:
        process.terminate()
        process.wait()


@contextmanager
def ours(latency_s: float) -> Iterator[Server]:
    """`benchmarks.answering` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.answering", "--latency", str(latency_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment({}))
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        if not port:
            raise RuntimeError("the server of ours did not start")
        yield Server(f"a raw asyncio server, {latency_s:g} s", f"http://127.0.0.1:{port}/v1")
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"nginx did not start (exit code {process.poll()})")
