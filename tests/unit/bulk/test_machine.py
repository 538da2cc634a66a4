"""Which ways out has each state, and what may never happen to a paid request?

`machine.py` says it by event; here it stands by state, as a reader of the money question asks. So a
change of either has to be made twice, and each is reviewed beside the other.
"""

from __future__ import annotations

import pytest

from kling_async.bulk import machine
from kling_async.bulk.machine import ARROWS, EVENTS, OPEN, PAID, STATES, UNSETTLED, Event

WAYS_OUT = {
    "planned": "prepared: ready; intended: intent; found: running done; failed: failed; "
               "put_off: planned",
    "ready": "intended: intent; found: running done; failed: failed; put_off: ready",
    "intent": "retracted: ready; answered: running done; contested: unknown; lost: doubt; "
              "failed: failed",
    "doubt": "found: running done; given_up: unknown; resent: ready; abandoned: failed",
    "unknown": "found: running done; resent: ready; abandoned: failed",
    "running": "finished: made done; failed: failed; put_off: running",
    "made": "reserved: made; saved: made done; failed: failed; put_off: made",
    "done": "file_lost: made",
    "failed": "reopened: planned running made",
}  # fmt: skip
ALL = {
    (event, state, end)
    for state, ways in WAYS_OUT.items()
    for way in ways.split("; ")
    for event, _, ends in (way.partition(": "),)
    for end in ends.split()
}


def test_the_table_is_this_one() -> None:
    assert {
        (event, start, end)
        for event, starts in ARROWS.items()
        for start, ends in starts.items()
        for end in ends
    } == ALL
    assert WAYS_OUT.keys() == set(STATES)
    assert {event for event, _, _ in ALL} == set(EVENTS)


def test_each_way_back_to_a_request_that_may_be_sent() -> None:
    """Each may pay a second time, so each has its own reason to exist."""
    back = {(e, start, end) for e, start, end in ALL if end in OPEN and start not in OPEN}
    assert back == {
        ("retracted", "intent", "ready"),  # never sent, or plainly refused with 429
        ("resent", "doubt", "ready"), ("resent", "unknown", "ready"),  # by the user's own word
        ("reopened", "failed", "planned"),
    }  # fmt: skip


def test_an_id_is_claimed_by_each_way_to_a_result_that_was_not_begun_before() -> None:
    before = {*OPEN, "intent", *UNSETTLED}
    begun = {event for event, start, end in ALL if start in before and end in (*PAID, "done")}
    assert begun == machine.CLAIMS


@pytest.mark.parametrize("event", EVENTS)
def test_what_is_asked_of_the_table(event: Event) -> None:
    for to in STATES:
        starts = {start for e, start, end in ALL if (e, end) == (event, to)}
        assert set(machine.sources(event, to)) == starts
    ends = {end for e, _, end in ALL if e == event}
    assert machine.only_target(event) == (ends.pop() if len(ends) == 1 else None)
