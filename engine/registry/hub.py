"""A dataset of the hub -> an entry of ours, with all its splits as `save_to_disk` writes them."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path

from engine.data import hub
from engine.registry.adding import Added, Wish, add

COMMIT = re.compile(r"@(\w+) ")


def from_hub(reference: str, *, home: Path, config: str = "", wish: Wish | None = None) -> Added:
    """The entry `owner/name/version` with the dataset `hf:owner/name[@revision]`, for use without the hub.

    Its details say which repository, commit and configuration it came from. What is not wished: the
    namespace is the owner, the name the repository's, the version `1.0.0`.

    Raises:
        DatasetError: the hub cannot be reached, or has no such dataset.
        UsageError: the version is there with another content.
        StorageError: it cannot be written.
    """
    name = reference.removeprefix(f"{hub.SCHEME}:")
    source, _ = hub.open_source(name, subset=f"{config}/" if config else "", cache=None)
    owner, _, repository = name.partition("@")[0].partition("/")
    origin = {"hub": f"{hub.SCHEME}:{owner}/{repository}", "config": config}
    with tempfile.TemporaryDirectory(prefix="engine-hub-") as made:
        folder = Path(made) / repository
        for split in source.splits:
            rows = source.split(split)
            origin["commit"] = (COMMIT.search(rows.summary.fingerprint) or ["", ""])[1]
            rows.to_hf().save_to_disk(folder / split)
        (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(source.splits)}), encoding="utf-8")
        wish = wish or Wish()
        details = {**(wish.details or {}), "source": origin}
        space, name = wish.namespace or owner, wish.name or repository
        return add(folder, replace(wish, namespace=space, name=name, category="dataset", details=details), home=home)
