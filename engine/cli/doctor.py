"""`engine doctor`: what this machine has, and whether a provider can be used; keys are named and never shown."""

from __future__ import annotations

import json as encoding
import platform
import sqlite3
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import anyio
from cyclopts import Parameter

from engine.cli.batch import project_bench, require_variable_name
from engine.cli.examination import Finding, Patient, examine
from engine.config import Bench
from engine.environment import Environment, read_environment
from engine.errors import ConfigError, EndpointError, OlderSchemaError, SolverError, StorageError, UsageError

UNUSABLE_EXIT = EndpointError.exit_code
LIBRARIES = ("httptools", "openai", "aiohttp", "httpx", "datasets", "pydantic", "genai-prices")


def doctor(
    provider: str = "",
    /,
    *,
    call: str = "",
    api_key_env: str = "",
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Say what this machine has; with a provider, whether it can be reached and takes the key.

    Args:
        provider: a name (built in, or of bench.toml) or a base URL; without one, nothing is sent.
        call: a model: send it one request for one token, which costs as much, and say what the endpoint refuses.
        api_key_env: the variable that holds the key, in place of the provider's own; a URL has none of its own.
        json_: print one JSON object in place of lines for people.
    """
    if call and not provider:
        raise UsageError("--call needs a provider", hint=f"write engine doctor PROVIDER --call {call}")
    require_variable_name(api_key_env)
    bench, environment = project_bench(), read_environment(Path.cwd())
    if provider:
        findings = anyio.run(examine, Patient.of(provider, bench, environment, api_key_env), call)
    else:
        findings = anyio.run(_look_around, bench, environment)
    bad = [finding for finding in findings if finding.ok is False]
    if json_:
        found = [finding.as_dict() for finding in findings]
        print(encoding.dumps({"event": "doctor", "provider": provider, "usable": not bad, "findings": found}))
    else:
        print("\n".join(finding.line() for finding in findings))
    if any(finding.topic in ("home", "store") for finding in bad):
        return StorageError.exit_code
    return UNUSABLE_EXIT if bad else 0


async def _look_around(bench: Bench, environment: Environment) -> list[Finding]:
    """What the machine has; nothing is sent."""
    findings = [_versions(), _home(environment.home), await _store(bench, environment), await _sandbox()]
    for name, provider in bench.reachable.items():
        if variable := provider.api_key_env:
            is_set = environment.secret(variable) is not None
            text = f"{name}: {variable} is {'set' if is_set else 'not set'}"
            data = {"provider": name, "api_key_env": variable, "set": is_set}
            findings.append(Finding(topic="key", text=text, ok=is_set or None, data=data))
    return findings


def _versions() -> Finding:
    from engine import __version__

    versions = {"engine": __version__, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            versions[library] = "missing"
    ok = "missing" not in versions.values()
    text = ", ".join(f"{name} {version}" for name, version in versions.items())
    return Finding(topic="versions", text=f"{text}, {platform.platform()}", ok=ok, data={"versions": versions})


def _home(home: Path) -> Finding:
    folder = next(path for path in (home, *home.parents) if path.exists())
    if _can_hold(folder):
        state = "" if folder == home else ", made by the first run"
        return Finding(topic="home", text=f"{home}{state}", ok=True, data={"path": str(home)})
    hint = "give it permission, or set ENGINE_HOME to a folder of your own"
    return Finding(topic="home", text=f"{home} cannot be written", ok=False, hint=hint, data={"path": str(home)})


def _can_hold(folder: Path) -> bool:
    """Whether files can be made in the folder: some file systems take none, whoever asks. Nothing is left there."""
    try:
        with TemporaryDirectory(dir=folder):
            return True
    except OSError:
        return False


async def _store(bench: Bench, environment: Environment) -> Finding:
    from engine.api import absolute_url
    from engine.literal_keys import masked
    from engine.load import built_in

    url = absolute_url(bench.storage.url or f"sqlite:///{environment.home / 'engine.db'}", Path.cwd())
    shown, data = masked(url), {"url": masked(url)}
    _, is_file, path = url.partition(":///")
    if is_file and not await anyio.Path(path).exists():
        return Finding(topic="store", text=f"{shown}, made by the first run", ok=True, data=data)
    try:
        async with built_in("storage").backend(url).open_store(url, read_only=True) as store:
            stats = await store.stats()
    except OlderSchemaError:
        return Finding(topic="store", text=f"{shown}: of an older engine, the next run updates it", ok=True, data=data)
    except (StorageError, ConfigError) as error:
        return Finding(topic="store", text=f"{shown}: {error.message}", ok=False, hint=error.hint, data=data)
    counts = {name: stats[name] for name in ("runs", "tasks", "completions") if name in stats}
    text = ", ".join(f"{count} {name}" for name, count in counts.items())
    return Finding(topic="store", text=f"{shown}: {text}", ok=True, data={**data, **counts})


async def _sandbox() -> Finding:
    from engine.sandbox import Sandbox

    try:
        async with Sandbox(processes=1) as sandbox:
            level = str(sandbox.level)
    except SolverError as error:
        return Finding(topic="sandbox", text=error.message, hint=error.hint, data={"level": ""})
    return Finding(topic="sandbox", text=f"level {level}", ok=True, data={"level": level})
