"""What does an event of the state machine write? The statements of `apply`, built once each.

Like `sql.py` in words that SQLite and PostgreSQL both take.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from .machine import OPEN, PAID, Event, State, only_target, sources
from .records import ABANDONED, ANSWER, RECOVERED, REOPENED
from .sql import AS_NEW, quoted
from .values import mended

_ALWAYS: Mapping[Event, str] = {
    "prepared": "error = NULL",
    "intended": (
        "attempts = attempts + 1, intent_at = :now, attempt = :attempt, evidence = NULL, "
        "error = NULL"
    ),
    # It certainly was not sent: only an earlier sending, if any, may have done something.
    "retracted": "intent_at = sent_since",
    "answered": "remote_id = :claim, error = NULL, candidates = NULL",
    "found": "remote_id = :claim, error = NULL, candidates = NULL",
    "resent": "sent_since = coalesce(sent_since, intent_at), candidates = NULL, evidence = NULL",
    "finished": "error = NULL",
    "saved": "error = NULL",
}
"""Event -> what it writes by itself."""
_DEFAULTS: Mapping[Event, Mapping[str, str | None]] = {
    "answered": {"evidence": ANSWER},
    "retracted": {"error": None},
    "resent": {"error": None},
    "failed": {"evidence": None},
    "abandoned": {"error": "abandoned by the user; what it made may exist"},
}
"""Event -> values that are written even where they are not given."""
_ELSEWHERE = frozenset({"tokens", "works", "work", "file", "name_key", "size_bytes"})
"""Values that belong to other tables."""


def written_values(event: Event, values: Mapping[str, object]) -> Mapping[str, object]:
    """What an event writes into the step's own columns: what was given, and its defaults."""
    defaults = _DEFAULTS.get(event)
    # What a server said may hold half a character, which no database takes.
    given = {name: mended(value) for name, value in values.items() if name not in _ELSEWHERE}
    return given if defaults is None else {**defaults, **given}


def may_start_from(event: Event, to: State | None, evidence: object) -> tuple[State, ...]:
    """The states from which this event may go; empty: the state machine has no such arrow."""
    if event == "put_off":
        anywhere: tuple[State, ...] = OPEN + PAID
        return anywhere if to is None else ()
    end = to if to is not None else only_target(event)
    if end is None:
        return ()
    if event == "found" and evidence != RECOVERED:  # never sent: only in an old copy of a ledger
        return tuple(state for state in sources(event, end) if state not in OPEN)
    return sources(event, end)


@cache
def arrow(
    event: Event, to: State | None, starts: tuple[State, ...], names: tuple[str, ...], exact: bool
) -> str:
    """The compare-and-set of an event: changes one step, or none where it is elsewhere.

    Args:
        event: what happened.
        to: where it leads; None: the only state it leads to.
        starts: the states it may start from.
        names: the columns that are given.
        exact: whether the step's content must have the digest `:digest`.
    """
    end = to if to is not None else only_target(event)
    assignments = [] if event == "put_off" else [f"state = '{end}'"]
    assignments.append("changed_at = :now")
    if (always := _ALWAYS.get(event)) is not None:
        assignments.append(always)
    if event == "abandoned":
        assignments.append(f"evidence = '{ABANDONED}'")
    if event == "reopened":
        assignments.append(_REOPENED_AS[end or "planned"])
    assignments += [f"{name} = :{name}" for name in names]
    return f"UPDATE steps SET {', '.join(assignments)} WHERE {_is_at(starts, exact)}"


_REOPENED_AS: Mapping[State, str] = {
    "planned": f"error = NULL, evidence = '{REOPENED}', remote_id = NULL, {AS_NEW}",
    "running": f"error = NULL, evidence = '{REOPENED}'",
    "made": f"error = NULL, evidence = '{REOPENED}'",
}


def _is_at(starts: tuple[State, ...], exact: bool) -> str:
    among = f"state = '{starts[0]}'" if len(starts) == 1 else f"state IN ({quoted(starts)})"
    return f"id = :step_id AND {among}" + (" AND digest = :digest" if exact else "")


@cache
def claim(event: Event, starts: tuple[State, ...], exact: bool) -> str:
    """Make the remote id `:claim` the step's own, where the step is as the event's arrow asks.

    A step of no account may be on any, so what it has is nobody else's on any account.
    """
    return (
        "INSERT INTO claims (account, kind, remote_id, step_id) "
        "SELECT coalesce(:account, account, ''), kind, :claim, id FROM steps "
        f"WHERE {_is_at(starts, exact)} "
        f"AND NOT EXISTS (SELECT 1 FROM claims WHERE {_CLAIMED}) ON CONFLICT DO NOTHING"
    )


_CLAIMED = (
    "claims.remote_id = :claim AND claims.kind = steps.kind AND (claims.account = '' OR "
    "coalesce(:account, steps.account, '') IN ('', claims.account))"
)
CLAIM_OWNER = (
    f"SELECT claims.step_id FROM steps JOIN claims ON {_CLAIMED} WHERE steps.id = :step_id"
)
NAME_OWNER = "SELECT step_id, number FROM works WHERE name_key = :name_key"
KEEP_WORK = (
    "INSERT INTO works (step_id, number, work_id, url, content_type, file, size_bytes) "
    "VALUES (:step_id, :number, :work_id, :url, :content_type, :file, :size_bytes) "
    "ON CONFLICT (step_id, number) DO UPDATE SET work_id = excluded.work_id, "
    "url = excluded.url, content_type = excluded.content_type"
)
RESERVE = (
    "UPDATE works SET file = :file, name_key = :name_key, size_bytes = NULL "
    "WHERE step_id = :step_id AND number = :work"
)
SAVED = (
    "UPDATE works SET file = coalesce(:file, file), size_bytes = :size_bytes "
    "WHERE step_id = :step_id AND number = :work"
)
FILE_LOST = (
    "UPDATE works SET size_bytes = NULL "
    "WHERE step_id = :step_id AND number = coalesce(:work, number)"
)

# --- where several workers share a ledger ---

_MINE = "(owner IS NULL OR owner = :me)"
_THIS_ATTEMPT = "attempt = :attempt"
_GUARDS: Mapping[Event, str] = {
    "prepared": _MINE,
    "intended": _MINE,
    "put_off": _MINE,
    "failed": f"{_MINE} AND (state <> 'intent' OR {_THIS_ATTEMPT})",
    "answered": _THIS_ATTEMPT,
    "retracted": _THIS_ATTEMPT,
    "contested": _THIS_ATTEMPT,
    "lost": _THIS_ATTEMPT,
}
"""Event -> who may say so: the step's worker, or who made its last attempt."""
LATE: frozenset[Event] = frozenset({"answered", "retracted", "contested"})
"""Events that whoever made the attempt may also report after it was put in doubt by others."""
_FREES = frozenset({"resent", "abandoned", "given_up", "contested", "reopened"})


def late_starts(event: Event, to: State | None, evidence: object) -> tuple[State, ...]:
    """`may_start_from` where workers share a ledger."""
    starts = may_start_from(event, to, evidence)
    return (*starts, "doubt", "unknown") if starts and event in LATE else starts


@cache
def shared_arrow(
    event: Event, to: State | None, starts: tuple[State, ...], names: tuple[str, ...], exact: bool
) -> str:
    """`arrow`, by its step's worker `:me` or by who made the attempt `:attempt`."""
    statement = arrow(event, to, starts, names, exact)
    owner = ""
    if event in ("prepared", "intended"):
        owner = ", owner = :me"
    elif event in _FREES or (to or only_target(event)) in ("done", "failed"):
        owner = ", owner = NULL"
    if event == "resent":
        owner += ", attempt = NULL"  # what its late answer says is of no step any more
    statement = statement.replace("changed_at = :now", f"changed_at = :now{owner}")
    return f"{statement} AND {_GUARDS[event]}" if event in _GUARDS else statement


@cache
def shared_claim(event: Event, starts: tuple[State, ...], exact: bool) -> str:
    """`claim`, for an answer only by who made the attempt."""
    statement = claim(event, starts, exact)
    if event != "answered":
        return statement
    return statement.replace("AND NOT EXISTS", f"AND {_THIS_ATTEMPT} AND NOT EXISTS")
