"""What `tests/conftest.py` promises to every test: a clean house, no way out, and skips that are counted."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SKIPS = """
import pytest

def test_that_holds():
    pass

def test_of_data_that_is_not_there():
    pytest.skip("shared data is not there")
"""
UNLISTED = (
    SKIPS
    + """
@pytest.mark.skip(reason="it fails on Mondays")
def test_that_is_hard():
    pass
"""
)
WHOLE_FILE = SKIPS.replace("import pytest", 'import pytest\npytest.skip("no time", allow_module_level=True)')
LEAVES = """
import contextlib, socket

def test_that_swallows_the_refusal():
    with contextlib.suppress(OSError), socket.socket() as outside:
        outside.connect(("192.0.2.1", 80))
"""


def run_tests(folder: Path, *options: str, ci: str, **files: str) -> subprocess.CompletedProcess[str]:
    """Run these test files under a copy of our conftest; at least one file, named as its keyword."""
    (folder / "tests").mkdir()
    (folder / ".ci").mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "tests")
    shutil.copy(ROOT / ".ci" / "allowed-skips.txt", folder / ".ci")
    for name, text in files.items():
        (folder / "tests" / f"{name}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, "tests"]
    environment = {**os.environ, "CI": ci}
    return subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False)


def test_a_skip_whose_reason_is_listed_passes_under_ci(tmp_path: Path) -> None:
    assert run_tests(tmp_path, "-p", "no:xdist", ci="true", test_it=SKIPS).returncode == 0


@pytest.mark.parametrize("options", [("-p", "no:xdist"), ("-n", "1")])
def test_a_skip_whose_reason_is_not_listed_fails_the_run_under_ci(tmp_path: Path, options: tuple[str, ...]) -> None:
    result = run_tests(tmp_path, *options, ci="true", test_it=UNLISTED)
    assert result.returncode == 1, result.stdout
    assert "test_that_is_hard: it fails on Mondays" in result.stdout


@pytest.mark.parametrize("options", [("-p", "no:xdist"), ("-n", "1")])
def test_a_skipped_file_fails_the_run_under_ci(tmp_path: Path, options: tuple[str, ...]) -> None:
    result = run_tests(tmp_path, *options, ci="true", test_it=SKIPS, test_that=WHOLE_FILE)
    assert result.returncode == 1, result.stdout
    assert "no time" in result.stdout


def test_a_skip_is_free_where_there_is_no_ci(tmp_path: Path) -> None:
    assert run_tests(tmp_path, "-p", "no:xdist", ci="", test_it=UNLISTED).returncode == 0


def test_a_test_that_tries_to_leave_fails_also_when_the_refusal_is_swallowed(tmp_path: Path) -> None:
    result = run_tests(tmp_path, "-p", "no:xdist", ci="", test_it=LEAVES)
    assert result.returncode == 1, result.stdout
    assert "tried to leave the machine: socket.connect 192.0.2.1" in result.stdout


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "localhost", "::1"])
async def test_loopback_is_free(host: str) -> None:
    served = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.set()
        writer.close()
        await writer.wait_closed()

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        server = await asyncio.start_server(serve, host, 0, family=family)
    except OSError:
        assert family == socket.AF_INET6  # a machine without IPv6
        return
    async with server:
        _, writer = await asyncio.open_connection(host, server.sockets[0].getsockname()[1])
        await served.wait()
        writer.close()
        await writer.wait_closed()


def test_unix_sockets_are_free(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = str(tmp_path_factory.mktemp("s") / "s")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)


def test_a_name_that_never_resolves_does_so_at_once() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("endpoint.invalid", 443)


def test_no_key_or_setting_of_the_developers_is_seen() -> None:
    seen = {name for name in os.environ if name.endswith(("_API_KEY", "_PROXY")) or name.startswith("ENGINE_")}
    assert seen - {"ENGINE_SHARED_DATA"} == {"ENGINE_HOME"}
    assert list(Path(os.environ["ENGINE_HOME"]).iterdir()) == []
