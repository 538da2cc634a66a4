"""Which states may a step have, and which event leads from where to where? Pure.

An arrow is data: both databases carry it out as a compare-and-set, so that whoever comes second
changes nothing and is told so.

    planned -> ready -> intent -> running -> made -> done
                  ^-------'  |        '--------'-> failed
          (never sent, 429)  |-> done               (no task: the answer is the result)
                             |-> doubt -> running | done     (found)
                                    '---> unknown            (not found in time)
    unknown -> running | done (found later, or by the user's word) | ready (resend) | failed
    failed  -> planned | running | made (retry)          done -> made (its file is gone)
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Literal, get_args

State = Literal[
    "planned", "ready", "intent", "doubt", "unknown", "running", "made", "done", "failed"
]
Event = Literal[
    "prepared",
    "intended",
    "retracted",
    "answered",
    "contested",
    "lost",
    "found",
    "given_up",
    "resent",
    "abandoned",
    "finished",
    "reserved",
    "saved",
    "file_lost",
    "failed",
    "reopened",
    "put_off",
]

STATES: tuple[State, ...] = get_args(State)
EVENTS: tuple[Event, ...] = get_args(Event)

OPEN: tuple[State, ...] = ("planned", "ready")
"""The request may be sent."""
UNSETTLED: tuple[State, ...] = ("doubt", "unknown")
"""The request was sent, and it is not known what it did."""
PAID: tuple[State, ...] = ("running", "made")
"""The task was begun, and not all of its results are here."""
HELD: tuple[State, ...] = ("intent", "doubt", "unknown", "running", "made", "done")
"""Something of it exists or may exist, so its content can't change any more."""

_Targets = Mapping[State, tuple[State, ...]]
_BEGUN: tuple[State, ...] = ("running", "done")

ARROWS: Mapping[Event, _Targets] = {
    "prepared": {"planned": ("ready",)},
    "intended": {"planned": ("intent",), "ready": ("intent",)},
    "retracted": {"intent": ("ready",)},
    "answered": {"intent": _BEGUN},
    "contested": {"intent": ("unknown",)},
    "lost": {"intent": ("doubt",)},
    # From planned and ready only in an old copy of a ledger, with the evidence `recovered`.
    "found": {"doubt": _BEGUN, "unknown": _BEGUN, "planned": _BEGUN, "ready": _BEGUN},
    "given_up": {"doubt": ("unknown",)},
    "resent": {"doubt": ("ready",), "unknown": ("ready",)},
    "abandoned": {"doubt": ("failed",), "unknown": ("failed",)},
    "finished": {"running": ("made", "done")},
    "reserved": {"made": ("made",)},
    "saved": {"made": ("made", "done")},
    "file_lost": {"done": ("made",)},
    "failed": dict.fromkeys(("planned", "ready", "intent", "running", "made"), ("failed",)),
    "reopened": {"failed": ("planned", "running", "made")},
    "put_off": {one: (one,) for one in ("planned", "ready", "running", "made")},
}
"""Event -> state it starts from -> states it may lead to."""

WRITES: Mapping[Event, frozenset[str]] = {
    "prepared": frozenset({"account", "addresses", "own", "tokens", "mark"}),
    "intended": frozenset({"account", "tokens", "mark", "deadline_at"}),
    "retracted": frozenset({"error"}),
    "answered": frozenset({"account", "evidence"}),
    "contested": frozenset({"error", "candidates"}),
    "lost": frozenset({"error"}),
    "found": frozenset({"account", "evidence"}),
    "given_up": frozenset({"error", "candidates"}),
    "resent": frozenset({"error"}),
    "abandoned": frozenset({"error"}),
    "finished": frozenset(),
    "reserved": frozenset({"work", "file", "name_key"}),
    "saved": frozenset({"work", "file", "size_bytes"}),
    "file_lost": frozenset({"work", "error"}),
    "failed": frozenset({"error", "evidence"}),
    "reopened": frozenset({"error"}),
    "put_off": frozenset({"error"}),
}
"""Event -> what `Change.values` may hold. What an event says by itself (a time, a count) is not
named here."""

CLAIMS: frozenset[Event] = frozenset({"answered", "found"})
"""Events that make a remote id the step's own, for ever."""


@cache
def sources(event: Event, to: State) -> tuple[State, ...]:
    """The states from which `event` may lead to `to`; empty: it never leads there."""
    return tuple(state for state, ends in ARROWS[event].items() if to in ends)


@cache
def only_target(event: Event) -> State | None:
    """Where `event` always leads; None where it may lead to several states."""
    ends = frozenset[State]().union(*ARROWS[event].values())
    return next(iter(ends)) if len(ends) == 1 else None
