"""Plans: which tasks a run has, which remain, and what makes two runs the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DatasetError, UsageError
from engine.plan import Choice, Remaining, differences, identity, run_id, scope, select

PARTS = {
    "dataset": "d1",
    "subset": "test",
    "solver": "S",
    "options": {"shots": 3},
    "model": "m",
    "provider": "https://a/v1",
    "agent": "",
    "sampling": {"temperature": 0},
    "solver_source": "s1",
    "scorers": {"number": 1},
}


@pytest.mark.parametrize("part", list(PARTS))
def test_every_part_of_an_identity_counts(part):
    changed = {**PARTS, part: "other"}
    assert identity(changed) != identity(PARTS)
    assert differences(changed, PARTS) == [(part, "other", PARTS[part])]


@pytest.mark.parametrize("part", ["solver_source", "scorers"])
def test_mended_code_leaves_the_scope_of_draws_as_it_was(part):
    assert scope({**PARTS, part: "mended"}) == scope(PARTS)


def test_a_new_generation_is_another_run():
    assert run_id(identity(PARTS), 0) != run_id(identity(PARTS), 1)


def test_an_empty_dataset_and_contradicting_choices_are_refused():
    with pytest.raises(DatasetError, match="no rows"):
        select(0, Choice())
    with pytest.raises(UsageError, match="exclude"):
        Choice(limit=1, sample=1)


@pytest.mark.parametrize("name", ["limit", "sample", "repeats"])
@pytest.mark.parametrize("value", [0, -3])
def test_a_choice_of_no_rows_is_refused_and_never_all_of_them(name, value):
    with pytest.raises(UsageError, match=f"{name} is {value}"):
        Choice(**{name: value})


def test_a_sample_is_the_same_for_the_same_seed_and_another_for_another():
    one, two, other = (select(1000, Choice(sample=50, seed=seed)).picked for seed in (1, 1, 2))
    assert one == two
    assert one != other
    assert one is not None
    assert len(one) == 50


def test_a_limit_beyond_the_dataset_is_the_dataset():
    assert select(10, Choice(limit=99, repeats=3)).size == 30
    assert select(10, Choice(sample=99)).size == 10


@given(
    rows=st.integers(1, 60),
    repeats=st.integers(1, 4),
    sample=st.none() | st.integers(1, 60),
    data=st.data(),
)
def test_what_remains_is_the_selection_less_what_was_marked(rows, repeats, sample, data):
    selection = select(rows, Choice(sample=sample, repeats=repeats))
    every = {(i, r) for i in range(selection.stop) for r in range(repeats) if (i, r) in selection}
    marks = data.draw(st.lists(st.tuples(st.integers(0, rows + 5), st.integers(0, repeats + 2)), max_size=40))
    remaining = Remaining(selection)
    remaining.mark(marks)
    left = {(i, r) for i in remaining.indices() for r in remaining.repeats_of(i)}
    assert left == every - set(marks)
    assert len(remaining) == len(left)
    assert list(remaining.indices()) == sorted({i for i, _ in left})
