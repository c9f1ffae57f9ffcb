"""Entries by what people write: one by its name, many by their category, namespace and tags."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from engine.data.entries import Entry, all_entries, matching, references, registry_folder
from engine.data.source import listed, near
from engine.errors import UsageError


def find(reference: str, *, home: Path) -> Entry:
    """The entry that `ns/name/version`, `ns/name` (the newest) or a name that is unique stands for.

    Raises:
        UsageError: there is none, or a bare name stands for several.
    """
    found = matching(reference, home=home)
    known = () if found else all_entries(home)
    return only(found, reference, where=str(registry_folder(home)), known=known)


def only(found: Collection[Entry], reference: str, *, where: str, known: Iterable[Entry]) -> Entry:
    """The one entry that was found.

    Raises:
        UsageError: none was, or several.
    """
    if len(found) > 1:
        names = listed(entry.reference for entry in found)
        raise UsageError(f"entry {reference!r} can be any of {names}", hint="name it in full")
    if not found:
        hint = near(reference, references(known)) or "engine registry list shows what is there"
        raise UsageError(f"entry {reference!r} is not in {where}", hint=hint)
    return next(iter(found))


def versions(reference: str, *, home: Path) -> list[Entry]:
    """The entry of `ns/name/version`; of `ns/name` or a name that is unique every version, newest first.

    Raises:
        UsageError: as for `find`.
    """
    one = find(reference, home=home)
    if reference.count("/") == 2:
        return [one]
    return [each for each in all_entries(home) if (each.namespace, each.name) == (one.namespace, one.name)]


def list_entries(
    *,
    home: Path,
    category: str = "",
    namespace: str = "",
    tags: Collection[str] = (),
    hidden: bool = True,
    latest: bool = False,
) -> list[Entry]:
    """Entries by namespace and name, newest version first.

    Args:
        home: ENGINE_HOME.
        category: only those of it.
        namespace: only those in it.
        tags: only those that have all of these, in whatever case.
        hidden: whether those are among them that somebody hid.
        latest: whether only the newest of those versions is, of each name.
    """
    wanted = {tag.lower() for tag in tags}
    found = [
        entry
        for entry in all_entries(home)
        if category in ("", entry.category)
        and namespace in ("", entry.namespace)
        and wanted <= {tag.lower() for tag in entry.tags}
        and (hidden or not entry.hidden)
    ]
    if not latest:
        return found
    newest: dict[tuple[str, str], Entry] = {}
    for entry in found:
        newest.setdefault((entry.namespace, entry.name), entry)
    return list(newest.values())
