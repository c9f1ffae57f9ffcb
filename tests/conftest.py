"""What every test stands on: an empty home, no keys, no network beyond loopback, and skips that are counted.

- The environment is clean: no key, proxy or setting of the developer's is seen; ENGINE_HOME is an empty folder.
- A connection or a name look-up that leaves this machine is refused, and fails the test that tried, also
  where the code under test swallowed the refusal. Unix sockets and loopback are free. Subprocesses and uvloop's
  own connects are outside of this guard.
- Under CI=true a skipped test fails the run, unless `.ci/allowed-skips.txt` lists its reason.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("engine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("engine")

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA_IS_MISSING = "shared data is not there"
INHERITED_PREFIXES = ("ENGINE_", "OPENAI_")
INHERITED_SUFFIXES = ("_API_KEY", "_API_TOKEN", "_PROXY", "_BASE_URL")
INHERITED_NAMES = frozenset({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "NO_COLOR", "FORCE_COLOR", "COLUMNS"})
KEPT_NAMES = frozenset({"ENGINE_SHARED_DATA"})


# --- network ----------------------------------------------------------------------------------------------------


class NetworkRefusedError(ConnectionRefusedError):
    """A test tried to leave this machine."""


class Guard:
    """Refuses what leaves this machine, through the interpreter's audit events, which no library goes around."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """Look at one audit event."""
        if not event.startswith("socket."):
            return
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            host = _host_of(args[1])
        elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
            host = _text(args[0])
        else:
            return
        if host.endswith(".invalid"):  # reserved for names that never resolve; spares the look-up
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if not _is_local(host):
            self.refused.append(f"{event} {host}")
            raise NetworkRefusedError(f"tests do not leave this machine: {event} {host!r}")


def _host_of(address: Any) -> str:
    """The host of an Internet address; empty for unix sockets and other families."""
    return _text(address[0]) if isinstance(address, tuple) and address else ""


def _text(host: Any) -> str:
    if isinstance(host, (bytes, bytearray)):
        return host.decode("utf-8", "replace")
    return host if isinstance(host, str) else ""


def _is_local(host: str) -> bool:
    if host in ("", "localhost", "localhost.localdomain") or host == socket.gethostname():
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_loopback or mapped.is_unspecified


GUARD = Guard()
sys.addaudithook(GUARD)


@pytest.fixture(autouse=True)
def _nothing_leaves_this_machine() -> Iterator[None]:
    GUARD.refused.clear()
    yield
    refused, GUARD.refused = GUARD.refused, []
    if refused:
        pytest.fail(f"this test tried to leave the machine: {', '.join(sorted(set(refused)))}")


# --- environment ------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in list(os.environ):
        if _is_inherited(name.upper()):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ENGINE_HOME", str(tmp_path_factory.mktemp("engine-home")))


def _is_inherited(name: str) -> bool:
    if name in KEPT_NAMES:
        return False
    return name.startswith(INHERITED_PREFIXES) or name.endswith(INHERITED_SUFFIXES) or name in INHERITED_NAMES


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public benchmark data; a test that asks for it is skipped where there is none."""
    folder = Path(os.environ.get("ENGINE_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(SHARED_DATA_IS_MISSING)
    return folder


def pytest_configure(config: pytest.Config) -> None:
    """Keep caches of the data libraries, which read this when they are imported, out of the developer's home."""
    folder = tempfile.mkdtemp(prefix="engine-tests-hf-")
    os.environ["HF_HOME"] = folder
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    config.pluginmanager.register(SkipAccount(), "skip-account")


# --- skips ------------------------------------------------------------------------------------------------------


class SkipAccount:
    """Collects skipped tests; under CI those without a listed reason fail the run."""

    def __init__(self) -> None:
        self.allowed = allowed_reasons((ROOT / ".ci" / "allowed-skips.txt").read_text(encoding="utf-8"))
        self.counts = os.environ.get("CI", "").lower() in ("1", "true", "yes")
        self.unexpected: list[str] = []

    def _add(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if reason not in self.allowed:
            self.unexpected.append(f"{report.nodeid}: {reason}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test was skipped, by its mark, its fixture or itself; with xdist the controller hears of it too."""
        self._add(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A whole file was skipped."""
        self._add(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Turn a run that is green but for unexpected skips into a failed one."""
        is_worker = hasattr(session.config, "workerinput")
        if self.counts and self.unexpected and not is_worker and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Name the skips that failed the run."""
        if not (self.counts and self.unexpected):
            return
        terminalreporter.section("skips that .ci/allowed-skips.txt does not allow", red=True)
        for line in self.unexpected:
            terminalreporter.line(line)


def allowed_reasons(text: str) -> frozenset[str]:
    """The reasons listed in the text, one a line; `#` begins a comment line."""
    lines = (line.strip() for line in text.splitlines())
    return frozenset(line for line in lines if line and not line.startswith("#"))
