"""Two folders change places, whole, whatever the system can do."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.evaluations import exchange as module
from engine.evaluations.exchange import exchange


@pytest.fixture(params=["as the system does it", "by steps"])
def folders(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    if request.param == "by steps":
        monkeypatch.setattr(module, "_at_once", lambda *_: False)
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text").write_text(name)
    return tmp_path / "old", tmp_path / "new"


def test_each_is_where_the_other_was(folders):
    exchange(*folders)
    assert [(folder / "text").read_text() for folder in folders] == ["new", "old"]
    assert sorted(path.name for path in folders[0].parent.iterdir()) == ["new", "old"]


def test_where_one_is_missing_the_other_stays(folders, tmp_path):
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "missing", folders[1])
    assert (folders[1] / "text").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old"]
