"""Which files of a folder become the content of an entry, and which stay behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UsageError
from engine.registry.manifest import METADATA, check_paths

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

NEVER_CONTENT = (
    *(".git/", ".hg/", ".svn/", "__pycache__/", "*.py[cod]", "*~", "*.swp", ".DS_Store", "Thumbs.db"),
    *(".venv/", "node_modules/", ".ipynb_checkpoints/", ".mypy_cache/", ".pytest_cache/", ".ruff_cache/", ".tox/"),
    *(".idea/", ".vscode/", ".nearai/", ".threads/", ".engine/"),
)
HARMLESS = frozenset({".env.example", ".env.sample", ".env.template"})
GITIGNORE = ".gitignore"


@dataclass(frozen=True, slots=True)
class Content:
    """The files to copy by their path in the entry, and what is left behind on purpose, by its path.

    `secret` are `.env` files; `ignored` is what .gitignore names, a folder ending with a slash.
    """

    files: dict[str, Path] = field(default_factory=dict)
    secret: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


def content_of(path: Path) -> Content:
    """What of a folder, or of a single file, is to be copied; metadata.json is written apart.

    A .gitignore in the folder, or in one below, is obeyed as git does.

    Raises:
        UsageError: there is nothing to copy, or something that cannot be: a link that leads out of the
            folder, a device, a name that not every file system takes.
    """
    if path.is_file():
        content = Content({path.name: path})
    elif path.is_dir():
        content = Content()
        for relative, file in _walk(path, content):
            content.files[relative] = file
        content.files.pop(METADATA, None)
    else:
        raise UsageError(f"{path}: is not there", hint="give a folder or a data file")
    if not content.files:
        why = f"; {GITIGNORE} leaves out {', '.join(content.ignored[:5])}" if content.ignored else ""
        raise UsageError(f"{path}: holds no files{why}", hint="give a folder with something in it")
    check_paths(content.files, where=str(path))
    return content


class Ignored:
    """Patterns of .gitignore files, those of deeper folders before those above, and what is never content."""

    def __init__(self) -> None:
        from pathspec import GitIgnoreSpec

        self._never = GitIgnoreSpec.from_lines(NEVER_CONTENT)
        self._specs: list[tuple[str, GitIgnoreSpec]] = []

    def enter(self, folder: Path, relative: str) -> None:
        """Take up the .gitignore of a folder; `relative` ends with a slash, or is empty for the first one."""
        from pathspec import GitIgnoreSpec

        source = folder / GITIGNORE
        if not source.is_file() or source.is_symlink():
            return
        try:
            lines = source.read_text(encoding="utf-8", errors="replace").splitlines()
            self._specs.append((relative, GitIgnoreSpec.from_lines(lines)))
        except (OSError, ValueError) as error:
            raise UsageError(f"{source}: cannot be read, {error}", hint="mend it, or take it away") from error

    def never(self, relative: str) -> bool:
        """Whether this is never content, whatever .gitignore says."""
        return bool(self._never.check_file(relative).include)

    def __contains__(self, relative: str) -> bool:
        for folder, spec in reversed(self._specs):
            if relative.startswith(folder):
                decided = spec.check_file(relative.removeprefix(folder)).include
                if decided is not None:
                    return decided
        return False


def _walk(folder: Path, content: Content) -> Iterator[tuple[str, Path]]:
    inside, ignored = folder.resolve(), Ignored()
    for place, folders, names in os.walk(folder, onerror=_raise):
        above = Path(place).relative_to(folder).as_posix() + "/" if Path(place) != folder else ""
        ignored.enter(Path(place), above)
        kept = [name for name in sorted(folders) if _stays(f"{above}{name}/", ignored, content)]
        folders[:] = kept
        for name in kept:
            if Path(place, name).is_symlink():
                raise UsageError(f"{Path(place, name)}: is a link to a folder", hint="put the folder itself there")
        for name in sorted(names):
            if _stays(f"{above}{name}", ignored, content):
                yield f"{above}{name}", _plain(Path(place, name), folder, inside)


def _stays(relative: str, ignored: Ignored, content: Content) -> bool:
    name = relative.rsplit("/", 1)[-1]
    if name == ".env" or (name.startswith(".env.") and name not in HARMLESS):
        content.secret.append(relative)
        return False
    if relative == METADATA:
        return True
    if ignored.never(relative):
        return False
    if relative in ignored:
        content.ignored.append(relative)
        return False
    return True


def _plain(file: Path, folder: Path, inside: Path) -> Path:
    if not file.resolve().is_relative_to(inside):
        raise UsageError(f"{file}: is a link that leads out of {folder}", hint="put the file itself there")
    if not file.is_file():
        raise UsageError(f"{file}: is no plain file", hint="take it away")
    return file


def _raise(error: OSError) -> None:
    raise UsageError(f"{error.filename}: cannot be listed, {error.strerror}", hint="check its permissions") from error
