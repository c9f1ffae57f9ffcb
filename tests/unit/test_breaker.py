"""When a provider is given up for a model: at once where nothing ever worked, else after a few faults in a row."""

from __future__ import annotations

import pytest

from engine.calls.breaker import HOPELESS, IN_A_ROW, TRIES, Breaker
from engine.errors import AttemptError
from engine.records import Fault


def _refusal(fault: Fault = Fault.QUOTA) -> AttemptError:
    return AttemptError("no", fault=fault)


@pytest.mark.parametrize("fault", sorted(HOPELESS))
def test_one_hopeless_fault_is_enough_where_nothing_has_worked(fault):
    breaker = Breaker("p")
    breaker.failed("m", _refusal(fault), sent_at=1.0)
    assert breaker.halt("m") is not None
    assert breaker.halt("other") is None


def test_after_a_success_it_takes_a_row_and_a_later_success_ends_the_row():
    breaker = Breaker("p")
    breaker.worked("m", sent_at=0.0)
    for round_at in (1.0, 2.0, 3.0):
        for _ in range(IN_A_ROW - 1):
            breaker.failed("m", _refusal(), sent_at=round_at)
        breaker.worked("m", sent_at=round_at + 0.5)
    assert breaker.halt("m") is None
    for _ in range(IN_A_ROW):
        breaker.failed("m", _refusal(), sent_at=4.0)
    assert breaker.halt("m") is not None


def test_replies_to_requests_that_left_before_the_refused_ones_say_nothing_of_them():
    breaker = Breaker("p")
    breaker.worked("m", sent_at=0.0)
    for _ in range(IN_A_ROW):
        breaker.failed("m", _refusal(), sent_at=2.0)
        breaker.worked("m", sent_at=1.0)
    assert breaker.halt("m") is not None


def test_faults_that_may_pass_do_not_count():
    breaker = Breaker("p")
    for _ in range(20):
        breaker.failed("m", _refusal(Fault.SERVER), sent_at=1.0)
    assert breaker.halt("m") is None


def _told(breaker: Breaker, calls: int, tries: int) -> None:
    for attempt in range(1, tries + 1):
        for call in range(calls):
            breaker.unlike("m", str(call), _refusal(Fault.MALFORMED), tries=attempt)


def test_replies_that_are_no_completions_open_it_when_calls_were_tried_often_and_nothing_ever_worked():
    breaker = Breaker("p")
    _told(breaker, calls=50, tries=TRIES - 1)
    assert breaker.halt("m") is None, "each may be answered yet"
    _told(breaker, calls=1, tries=TRIES)
    assert breaker.halt("m") is not None


def test_one_call_alone_does_not_open_it_however_often_it_is_tried():
    breaker = Breaker("p")
    _told(breaker, calls=1, tries=100)
    assert breaker.halt("m") is None


def test_once_something_worked_they_are_faults_of_their_own_requests():
    breaker = Breaker("p")
    breaker.worked("m", sent_at=0.0)
    _told(breaker, calls=100, tries=TRIES)
    assert breaker.halt("m") is None
