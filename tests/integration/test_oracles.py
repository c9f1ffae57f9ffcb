"""All recordings of real models at once: `python -m tests.oracles` without its table."""

from __future__ import annotations

import pytest

from tests.oracles import ORACLES, replayed

pytestmark = pytest.mark.long


@pytest.mark.parametrize("max_concurrent", [64, 1])
@pytest.mark.parametrize("name", ORACLES)
def test_every_row_has_its_published_verdict(shared_data, tmp_path, name, max_concurrent):
    found = replayed(name, tmp_path, max_concurrent=max_concurrent)
    assert found.differ == []
    assert found.ours == pytest.approx(found.published)
    assert found.rows >= 164


def test_of_ifeval_at_most_one_instruction_in_two_hundred_differs(shared_data, tmp_path):
    for name in ORACLES:
        if name.startswith("ifeval"):
            (tmp_path / name).mkdir()
            found = replayed(name, tmp_path / name)
            assert found.instructions == 832
            assert max(found.strict_differ, found.loose_differ) <= 0.005 * found.instructions
