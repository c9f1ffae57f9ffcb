"""What an evaluation is called in the registry, and what of it is in the name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b

from engine.records import RunRecord

LONGEST = 200
"""Characters of a folder's name; file systems take 255 bytes."""
STRANGE = re.compile(r"[^a-zA-Z0-9_.\-]")


def about_run(run: RunRecord) -> dict[str, str]:
    """What a run evaluates, as the seed's `evaluated_entry_metadata`: only what is not empty.

    An agent is named by its last three path parts, `namespace/name/version`; its model stays the model.
    """
    agent, namespace, version = run.agent, "", ""
    parts = [part for part in run.agent.split("/") if part]
    if len(parts) >= 3:
        namespace, agent, version = parts[-3:]
    found = {"agent": agent, "model": run.model, "namespace": namespace, "version": version, "provider": run.provider}
    return {name: value for name, value in found.items() if value}


def told_apart(abouts: Sequence[Mapping[str, str]]) -> list[tuple[str, str]]:
    """What to call the model and the agent of each, in their order, so that no two things have one name.

    A model that is there from several providers is `provider::model`; an agent of which several are there is
    `namespace/name/version`. All others are called by their name.
    """
    things: dict[tuple[str, str], set[tuple[str, ...]]] = {}
    pairs = [(about.get("model", ""), about.get("agent", "")) for about in abouts]
    origins = [tuple(about.get(name, "") for name in ("provider", "namespace", "version")) for about in abouts]
    for pair, origin in zip(pairs, origins, strict=True):
        things.setdefault(pair, set()).add(origin)
    names = []
    for (model, agent), (provider, namespace, version) in zip(pairs, origins, strict=True):
        others = things[model, agent]
        served = provider and model and len({each[0] for each in others}) > 1
        several = agent and len({each[1:] for each in others}) > 1
        full = "/".join(filter(None, (namespace, agent, version)))
        names.append((f"{provider}::{model}" if served else model, full if several else agent))
    return names


def entry_key(evaluation_name: str, about: Mapping[str, str], *, partial: bool = False) -> str:
    """The name of the registry entry: `evaluation_<name>[_agent_<a>][_model_<m>]...[_provider_<p>]`.

    A name that holds what a folder cannot, or is too long, ends in a hash of what it stands for, so that two
    names never become one. Partial runs have names of their own, and never stand before whole ones.
    """
    parts = [f"evaluation_{evaluation_name}"]
    order = ("agent", "model", "namespace", "version", "provider")
    parts += [f"{name}_{about[name]}" for name in order if about.get(name)]
    wanted = "_".join([*parts, "partial"] if partial else parts)
    plain = STRANGE.sub("_", wanted)
    if plain == wanted and len(plain) <= LONGEST:
        return plain
    return f"{plain[: LONGEST - 9]}_{blake2b(wanted.encode(), digest_size=4).hexdigest()}"


def next_version(versions: list[str]) -> str:
    """The patch after the newest of these versions; `0.0.1` where there is none."""
    from engine.data.entries import parse_version

    known = [parsed for parsed in map(parse_version, versions) if parsed is not None]
    if not known:
        return "0.0.1"
    major, minor, patch = (*max(known).release, 0, 0)[:3]
    return f"{major}.{minor}.{patch + 1}"
