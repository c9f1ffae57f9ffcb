"""`engine registry`: what goes into the registry, what comes out of it, and what is in it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from engine.cli.listing import plain, plain_json, print_listing
from engine.environment import Environment, read_environment
from engine.errors import EngineError, UsageError

if TYPE_CHECKING:
    from engine.evaluations.evaluation import EvaluationStore
    from engine.registry import Added, Entry, Wish

COLUMNS = {"entry": 70, "category": 20, "description": 50, "tags": 20}
SHOWN_NAMES = 5
STALE = ("category", "description", "details", "tags")

Flag = Annotated[bool, Parameter(negative=())]


def upload(
    path: Path,
    *,
    namespace: str | None = None,
    name: str | None = None,
    version: str | None = None,
    bump: Flag = False,
    minor_bump: Flag = False,
    major_bump: Flag = False,
    category: str | None = None,
    description: str | None = None,
    tags: str | None = None,
) -> int:
    """Copy a dataset, agent or model folder into the registry.

    Args:
        path: the folder, or a data file; what metadata.json in it says is kept.
        namespace: whose it is; default: $ENGINE_NAMESPACE, then metadata.json, then local.
        name: default: metadata.json, then the folder's name.
        version: default: metadata.json, then 1.0.0.
        bump: where the version is taken, take the next one: 1.0.0 becomes 1.0.1.
        minor_bump: the same for 1.1.0.
        major_bump: the same for 2.0.0.
        category: dataset, agent, model or another; default: metadata.json, then dataset.
        description: a sentence about it.
        tags: labels, with commas between them.
    """
    from engine.registry import Wish, add

    if bump + minor_bump + major_bump > 1:
        raise UsageError("only one part of a version can be raised", hint="give one of the three bumps")
    wish = Wish(
        name=name,
        version=version,
        category=category,
        description=description,
        tags=None if tags is None else _words(tags),
        bump="major" if major_bump else "minor" if minor_bump else "patch" if bump else "",
    )
    here = _environment()
    path = Path(path)
    added = add(path, _named(wish, namespace, here), home=here.home)
    _tell(added)
    if added.new and wish.bump:
        _raise_in_source(path, added.entry)
    _keep_rows([added.entry])
    return 0


def download(
    entry: str,
    *,
    from_: Annotated[str, Parameter(name="--from")] = "",
    namespace: str | None = None,
    name: str | None = None,
    version: str | None = None,
    config: str = "",
    force: Flag = False,
    max_gb: float = 50.0,
    api_key_env: str = "",
) -> int:
    """Fetch an entry from another registry, checked against its manifest.

    Args:
        entry: ns/name/version, ns/name for the newest, or hf:owner/name[@revision] for a dataset of the hub.
        from_: a folder with a registry, the http(s) URL of a server, or hf: for the hub.
        namespace: for the hub: whose entry it becomes; default: the owner.
        name: for the hub: default: the repository's name.
        version: for the hub: default: 1.0.0.
        config: for the hub: which configuration, where there are several.
        force: replace a version that is here with another content.
        max_gb: refuse more than this, in GiB.
        api_key_env: the variable with the server's token.
    """
    from engine.registry import Limits, Wish
    from engine.registry import download as fetch

    here = _environment()
    if from_.rstrip(":") == "hf" or entry.startswith("hf:"):
        from engine.registry.hub import from_hub

        added = from_hub(
            entry, home=here.home, config=config, wish=Wish(namespace=namespace, name=name, version=version)
        )
        _tell(added)
        _keep_rows([added.entry])
        return 0
    if namespace or name or version or config:
        raise UsageError("an entry of a registry keeps its name", hint="--namespace, --name, --version are for hf:")
    if not from_:
        raise UsageError(f"where is {entry!r} to come from?", hint="give --from FOLDER, --from https://host or hf:...")
    key = here.require_secret(api_key_env, where="--api-key-env") if api_key_env else None
    limits = Limits(most_bytes=int(max_gb * (1 << 30)))
    found, new = fetch(entry, root=from_, home=here.home, force=force, key=key, limits=limits)
    print(found.reference if new else f"{found.reference} was there already, with the same content")
    _keep_rows([found])
    return 0


def list_(
    *,
    namespace: str = "",
    category: str = "",
    tags: str = "",
    total: int = 32,
    offset: int = 0,
    show_all: Flag = False,
    show_latest_version: bool = True,
) -> int:
    """List what is in the registry.

    Args:
        namespace: only what belongs to this one.
        category: only dataset, agent, model, evaluation or another.
        tags: only what has all of these, with commas between them.
        total: at most this many.
        offset: pass over this many first.
        show_all: hidden entries too.
        show_latest_version: only the newest version of each; false for all of them.
    """
    from engine.registry import list_entries

    page = _page(total, offset)
    entries = list_entries(
        home=_environment().home,
        category=category,
        namespace=namespace,
        tags=_words(tags),
        hidden=show_all,
        latest=show_latest_version,
    )
    more = len(entries) > offset + total
    print_listing([_row(entry) for entry in entries[page]], COLUMNS, more=more)
    if more:
        print(f"{len(entries) - offset - total} more: --offset {offset + total}, or --total N", file=sys.stderr)
    return 0


def info(entry: str) -> int:
    """Show the metadata of an entry as JSON, and where it is.

    Args:
        entry: ns/name/version, ns/name for the newest, or a name that is unique.
    """
    from engine.registry import find

    found = find(entry, home=_environment().home)
    standard = {
        "category": found.category,
        "description": found.description,
        "tags": list(found.tags),
        "details": dict(found.details),
    }
    print(plain_json({"entry": found.reference, "path": str(found.path), **standard, **found.metadata}))
    return 0


def update(path: Path = Path(), *, namespace: str | None = None) -> int:
    """Give an entry the metadata.json of a folder; its content stays as it is.

    Args:
        path: the folder; its metadata.json names the entry. An entry's own folder will do.
        namespace: whose it is; default: $ENGINE_NAMESPACE, then metadata.json, then local.
    """
    from engine.registry import update as change

    here = _environment()
    entry = change(Path(path), home=here.home, namespace=_namespace(namespace, here))
    print(plain_json({"entry": entry.reference, **{k: v for k, v in entry.metadata.items() if k != "files"}}))
    _keep_rows([entry])
    return 0


def metadata_template(path: Path = Path(), category: str = "", description: str = "", *, force: Flag = False) -> int:
    """Write a metadata.json to begin with.

    Args:
        path: the folder that is to be uploaded; of NAME/VERSION both names are taken.
        category: dataset, agent, model or another.
        description: a sentence about it.
        force: write over one that is there.
    """
    from engine.registry import template
    from engine.registry.placing import disk_errors, write

    folder = Path(path).expanduser().absolute()
    made = template(folder, category=category, description=description)
    target = folder / "metadata.json"
    if target.exists() and not force and not _confirmed(f"write over {target}?"):
        raise UsageError(f"{target} is there already", hint="--force writes over it")
    with disk_errors(target):
        write(target, made)
    print(target)
    return 0


def hide(entry: str, *, reason: str = "") -> int:
    """Take an entry out of lists; of an agent or a model also its evaluations out of tables.

    Args:
        entry: ns/name/version for one version, ns/name or a unique name for all of them.
        reason: why; it is kept in the entry's metadata.
    """
    from engine.registry import hide as change

    return _shown(change(entry, home=_environment().home, reason=reason))


def unhide(entry: str) -> int:
    """Show an entry again.

    Args:
        entry: ns/name/version for one version, ns/name or a unique name for all of them.
    """
    from engine.registry import unhide as change

    return _shown(change(entry, home=_environment().home))


def verify(entry: str = "") -> int:
    """Check the content of entries against their manifests; exit code 5 where one does not match.

    Args:
        entry: ns/name/version for one version, ns/name or a unique name for all of them; default: everything.
    """
    from engine.registry import list_entries, versions
    from engine.registry import verify as check

    home = _environment().home
    entries = versions(entry, home=home) if entry else list_entries(home=home)
    broken = without = 0
    for each in entries:
        if "files" not in each.metadata and each.metadata and not entry:
            without += 1
            continue
        problems = check(each)
        broken += bool(problems)
        for problem in problems:
            print(f"{each.reference}\t{plain(problem.path)}\t{plain(problem.what)}")
    aside = f", {without} have no manifest" if without else ""
    print(f"{len(entries) - without} entries checked, {broken} broken{aside}")
    return 5 if broken else 0


def _environment() -> Environment:
    return read_environment(Path.cwd())


def _namespace(given: str | None, here: Environment) -> str | None:
    return given or here.get("ENGINE_NAMESPACE") or None


def _named(wish: Wish, namespace: str | None, here: Environment) -> Wish:
    return replace(wish, namespace=_namespace(namespace, here))


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _page(total: int, offset: int) -> slice:
    if total < 1 or offset < 0:
        raise UsageError(f"--total {total} --offset {offset} is no page", hint="at least 1, and from 0 on")
    return slice(offset, offset + total)


def _row(entry: Entry) -> dict[str, str]:
    reason = entry.metadata.get("hidden_reason")
    mark = f"[hidden{f': {reason}' if reason else ''}] " if entry.hidden else ""
    return {
        "entry": entry.reference,
        "category": entry.category,
        "description": mark + entry.description,
        "tags": ", ".join(entry.tags),
    }


def _tell(added: Added) -> None:
    """Say which entry there is now, and what stayed behind."""
    reference = added.entry.reference
    print(reference if added.new else f"{reference} was there already, with the same content")
    if added.content.secret:
        print(f"left behind, for it may hold keys: {_some(added.content.secret)}", file=sys.stderr)
    if added.content.ignored:
        print(f"left behind, by .gitignore: {_some(added.content.ignored)}", file=sys.stderr)
    if any(key in STALE for key in added.differs):
        print(f"its metadata differs in {', '.join(added.differs)}: engine registry update changes it", file=sys.stderr)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(plain(name) for name in names[:SHOWN_NAMES]) + more


def _raise_in_source(path: Path, entry: Entry) -> None:
    """Let the folder's own metadata.json name the version that was taken, so that the next upload starts there."""
    from engine.registry.metadata import read_metadata
    from engine.registry.placing import rewrite

    source = path.expanduser().absolute() / "metadata.json"
    if not source.is_file():
        return
    told = read_metadata(source)
    if told.get("version") in (None, entry.version):
        return
    try:
        rewrite(source.parent, source, {**told, "version": entry.version})
        print(f"{source} has version {entry.version} now", file=sys.stderr)
    except OSError as error:
        print(f"{source} still has version {told['version']}: {error.strerror}", file=sys.stderr)


def _shown(entries: Sequence[Entry]) -> int:
    for entry in entries:
        print(f"{entry.reference} is {'hidden' if entry.hidden else 'shown'}")
        if entry.hidden and entry.category == "evaluation":
            print("its row in tables is another matter: engine evaluation hide", file=sys.stderr)
    _keep_rows(entries)
    return 0


def _keep_rows(entries: Sequence[Entry]) -> None:
    """Let the table `entries` say what the folders say; the folders count, so a store that fails is only told of."""
    from engine.cli.opened import run
    from engine.registry.rows import entry_row

    async def work(store: EvaluationStore | None, home: Path) -> None:
        del home
        assert store is not None
        for entry in entries:
            await store.save_entry(entry_row(entry))

    try:
        run(work, write=True, make=True)
    except EngineError as error:
        print(f"the database does not list it: {error.message}", file=sys.stderr)


def _confirmed(question: str) -> bool:
    """Whether a person says yes; nobody is asked unless both ends are a terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
