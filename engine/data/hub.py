"""Datasets of the Hugging Face hub: `hf:owner/name[@revision]`, fetched once and then read from its cache.

`--subset` names a split, or `CONFIG/SPLIT` where the dataset has several configurations.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from engine.data.rows import Row, Rows, Summary, Wanted
from engine.data.source import Source
from engine.errors import DatasetError

SCHEME = "hf"
REFERENCE = re.compile(r"(?P<repository>[\w.\-]+/[\w.\-]+)(?:@(?P<revision>[^@\s]+))?")
TIMEOUT_S = 10.0


class HubRows:
    """Rows of a split that `datasets` has prepared: Arrow files that are mapped into memory."""

    def __init__(self, dataset: Any, fingerprint: str) -> None:
        self._dataset = dataset
        self.summary = Summary(len(dataset), fingerprint, tuple(dataset.column_names))

    def read(self, indices: Iterable[int] | None = None) -> Iterator[tuple[int, Row]]:
        """`(index, row)` for the ascending `indices`, or for all rows."""
        wanted = Wanted(indices, self.summary.rows)
        while wanted.head is not None:
            yield wanted.head, self._dataset[wanted.head]
            wanted.advance()

    def to_hf(self) -> Any:
        """The `datasets.Dataset` itself."""
        return self._dataset


def open_source(name: str, *, subset: str, cache: Path | None) -> tuple[Source, str]:
    """The dataset of the hub, and the split that is asked for: `subset` less its configuration.

    The fingerprint is the repository, the commit that the revision stands for, configuration and split.

    Raises:
        DatasetError: the reference is malformed, the hub cannot be reached, or it has no such dataset.
    """
    del cache  # the hub's own is shared with everything else on this machine
    parts = REFERENCE.fullmatch(name)
    if parts is None:
        raise DatasetError(f"{name!r} is no dataset of the hub", hint="write hf:owner/name or hf:owner/name@revision")
    repository = parts["repository"]
    config, _, split = subset.rpartition("/")
    builder = _prepare(repository, _resolve(repository, parts["revision"]), config)
    commit = builder.hash or ""
    identity = f"{SCHEME}:{repository}@{commit} {builder.config.name}"
    splits = {each: partial(_rows, builder, each, f"{identity}/{each}") for each in builder.info.splits}
    return Source(name=f"{SCHEME}:{name}", splits=splits), split


def _rows(builder: Any, split: str, fingerprint: str) -> Rows:
    return HubRows(builder.as_dataset(split=split), fingerprint)


def _resolve(repository: str, revision: str | None) -> str | None:
    """The commit that a revision stands for now; the revision itself where HF_HUB_OFFLINE is set.

    One request that is not retried, so that a machine without a network says so at once.
    """
    from huggingface_hub import HfApi, constants

    if constants.HF_HUB_OFFLINE:
        return revision
    try:
        return HfApi().dataset_info(repository, revision=revision, timeout=TIMEOUT_S).sha
    except Exception as error:
        raise _explain(repository, error) from error


def _prepare(repository: str, revision: str | None, config: str) -> Any:
    import datasets

    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    try:
        # The prefix keeps a folder owner/name in the current folder from being taken in its place.
        builder = datasets.load_dataset_builder(f"hf://datasets/{repository}", name=config or None, revision=revision)
        builder.download_and_prepare()
    except Exception as error:
        raise _explain(repository, error) from error
    if revision and builder.hash != revision:
        raise DatasetError(
            f"{SCHEME}:{repository} is here only as of {builder.hash}, and revision {revision!r} is asked for",
            hint="connect to the network, unset HF_HUB_OFFLINE, or ask for the revision that is here",
        )
    return builder


def _explain(repository: str, error: Exception) -> DatasetError:
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    reason = " ".join(line.strip() for line in str(error).splitlines()[:2] if line.strip()) or type(error).__name__
    # By name: which HTTP library the hub's client stands on has changed before.
    if isinstance(error, ConnectionError) or any(kind.__name__ == "TransportError" for kind in type(error).__mro__):
        return DatasetError(
            f"the hub cannot be reached for {SCHEME}:{repository}, {reason}",
            hint="check the network; HF_HUB_OFFLINE=1 takes what was fetched before; a path takes a copy on disk",
        )
    if isinstance(error, GatedRepoError):
        reason, hint = "it is gated", "ask for access on its page, and set HF_TOKEN"
    elif isinstance(error, RepositoryNotFoundError):
        reason, hint = "the hub has no such dataset", "check owner and name; a private dataset needs HF_TOKEN"
    elif isinstance(error, RevisionNotFoundError):
        reason, hint = "it has no such revision", "check the revision: a branch, a tag or a commit"
    elif isinstance(error, HfHubHTTPError):
        hint = "try again later"
    elif isinstance(error, ValueError) and "onfig" in reason:
        hint = "choose a configuration and a split: --subset CONFIG/SPLIT"
    else:
        hint = "open it once with datasets.load_dataset to see more"
    return DatasetError(f"{SCHEME}:{repository} cannot be loaded, {reason}", hint=hint)
