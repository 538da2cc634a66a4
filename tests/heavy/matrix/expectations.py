"""What may a cell of the matrix expect? The words that `cells.py` is written in.

`Call` is for single calls, `Row` for the first row of a bulk run: for its avatar, or for its video
where the avatar is there. What stands beside the design's letters (R, W, D, F, P, N, S) is what
they come to in numbers.
"""

from __future__ import annotations

import asyncio

from attrs import evolve, frozen

from kling_async import (
    ConfigurationError,
    DeadlineExceededError,
    LedgerError,
    NotSentError,
    OutcomeUnknownError,
)

RESULT, ADOPTED = "result", "adopted"


@frozen
class Call:
    """A single call.

    Args:
        sends: how many requests of the operation reached the emulator.
        gets: RESULT, ADOPTED (found in the list) or the exact class of the error.
        done: how often it was carried out in truth.
        attempts: how many the caller is told of, where that differs from `sends`.
        waits_s: the account waits at least so long.
        parks: the account is kept out of use afterwards, for about an hour.
    """

    sends: int
    gets: str | type[BaseException]
    done: int
    attempts: int | None = None
    waits_s: float = 0.0
    parks: bool = False


@frozen
class Row:
    """The paid step of a bulk run's first row, and how the run goes on.

    Args:
        sends: how many creates of the row reached the emulator.
        shows: the state it is yielded with, None if it is not, or the error that ends the run.
        kept: its state in the ledger after the run.
        evidence: likewise.
        done: how many avatars or jobs of it were made in truth.
        rest: the state the second row is yielded with; None if it is not.
        finally_kept: its state after a second run, with the fault gone.
        finally_sends: all creates of it, those of the second run included.
        attempts: how many the ledger counts after the first run, where that differs from `sends`.
        waits_s: the account waits at least so long, beside waiting for jobs.
        parks: the account is kept out of use afterwards, for about an hour.
    """

    sends: int
    shows: str | type[BaseException] | None
    kept: str
    evidence: str | None
    done: int
    rest: str | None
    finally_kept: str
    finally_sends: int
    attempts: int | None = None
    waits_s: float = 0.0
    parks: bool = False


@frozen
class Elsewhere:
    """A cell that another test covers, named by its path."""

    test: str


@frozen
class Nothing:
    """A cell that can't happen, and why."""

    why: str


Expectation = Call | Row | Elsewhere | Nothing

# --- single calls -----------------------------------------------------------------------------

OK = Call(1, RESULT, done=1)
LATER = Call(1, RESULT, done=1, attempts=2)  # R or S: the first attempt never arrived
AGAIN = Call(2, RESULT, done=1)  # R or N: the first attempt did nothing, or a delete
TWICE = Call(2, RESULT, done=2)  # R: the first attempt worked, too; for uploads
FOUND = Call(1, ADOPTED, done=1)  # D, and it was made
UNKNOWN = Call(1, OutcomeUnknownError, done=0)  # D, and it was not made
UNKNOWN_DONE = Call(1, OutcomeUnknownError, done=1)  # D, made, and not to be proven
LATE = Call(1, DeadlineExceededError, done=1)
UNREACHED = Call(0, NotSentError, done=0, attempts=3)
LOST_SHORT = Call(0, OutcomeUnknownError, done=0, attempts=1)
STOPPED_BEFORE = Call(0, asyncio.CancelledError, done=0)
STOPPED_AFTER = Call(1, asyncio.CancelledError, done=1)
UNUSABLE = Call(0, ConfigurationError, done=0, attempts=0)
CLOSED = Call(0, ConfigurationError, done=0, attempts=1)


def refused(error: type[BaseException], *, done: int = 0) -> Call:
    """F or P: the caller hears at once."""
    return Call(1, error, done=done)


# --- rows -------------------------------------------------------------------------------------

MADE = Row(1, "created", "done", "answer", 1, "created", "done", 1)
MADE_LATER = evolve(MADE, attempts=2)  # S: the first attempt never arrived
MADE_AGAIN = Row(2, "created", "done", "answer", 1, "created", "done", 2)  # W
ROW_FOUND = Row(1, "created", "done", "adopted", 1, "created", "done", 1)  # D
ROW_UNKNOWN = Row(1, "unknown", "unknown", None, 0, "created", "unknown", 1)  # D
ROW_UNKNOWN_DONE = Row(1, "unknown", "unknown", None, 1, "created", "done", 1)  # D, then late
ROW_HIDDEN = evolve(ROW_UNKNOWN_DONE, finally_kept="unknown")
ROW_SHORT = evolve(ROW_UNKNOWN, sends=0, finally_sends=0, attempts=1)
ROW_FAILED = Row(1, "failed", "failed", None, 0, "created", "failed", 1)  # F
ROW_PARKED = evolve(ROW_FAILED, rest="skipped")  # F+P
ROW_UNKNOWN_PARKED = evolve(ROW_UNKNOWN, rest="skipped")  # D+P
ROW_FOUND_PARKED = evolve(ROW_FOUND, rest="skipped")  # D+P, and it was made
ROW_PUT_OFF = Row(1, "skipped", "ready", None, 0, "skipped", "done", 2)  # P by 429
ROW_UNREACHED = Row(0, "skipped", "planned", None, 0, None, "done", 1)
ROW_CLOSED = Row(0, "skipped", "ready", None, 0, None, "done", 1, attempts=1)
ROW_UNUSABLE = Row(0, "skipped", "planned", None, 0, "skipped", "done", 1)
ROW_STOPPED = Row(0, asyncio.CancelledError, "planned", None, 0, None, "done", 1)
ROW_FINISHED = Row(1, asyncio.CancelledError, "done", "answer", 1, None, "done", 1)
ROW_UNWRITTEN = Row(0, LedgerError, "planned", None, 0, None, "done", 1)
ROW_UNRECORDED = Row(1, LedgerError, "intent", None, 1, None, "done", 1)
ROW_UNRECORDED_HIDDEN = evolve(ROW_UNRECORDED, finally_kept="unknown")

# --- their videos: what an avatar is paid for, a video is, too --------------------------------

FILMED = Row(1, "saved", "saved", "answer", 1, "saved", "saved", 1)
FILMED_LATER = evolve(FILMED, attempts=2)  # S
FILMED_AGAIN = Row(2, "saved", "saved", "answer", 1, "saved", "saved", 2)  # W
FILM_FOUND = Row(1, "saved", "saved", "adopted", 1, "saved", "saved", 1)  # D
FILM_UNKNOWN = Row(1, "unknown", "unknown", None, 0, "saved", "unknown", 1)  # D
FILM_UNKNOWN_DONE = Row(1, "unknown", "unknown", None, 1, "saved", "saved", 1)  # D, then late
FILM_HIDDEN = evolve(FILM_UNKNOWN_DONE, finally_kept="unknown")
FILM_SHORT = evolve(FILM_UNKNOWN, sends=0, finally_sends=0, attempts=1)
FILM_FAILED = Row(1, "failed", "failed", None, 0, "saved", "failed", 1)  # F
FILM_FAILED_DONE = evolve(FILM_FAILED, done=1)  # its job did: paid for, and no video
FILM_PARKED = evolve(FILM_FAILED, rest="skipped")  # F+P
FILM_UNKNOWN_PARKED = evolve(FILM_UNKNOWN, rest="skipped")  # D+P
FILM_FOUND_PARKED = evolve(FILM_FOUND, rest="skipped")  # D+P, and it was begun
FILM_PUT_OFF = Row(1, "skipped", "ready", None, 0, "skipped", "saved", 2)  # P by 429
FILM_UNREACHED = Row(0, "skipped", "planned", None, 0, None, "saved", 1)
FILM_CLOSED = Row(0, "skipped", "ready", None, 0, None, "saved", 1, attempts=1)
FILM_UNUSABLE = Row(0, "skipped", "planned", None, 0, None, "saved", 1)
FILM_STOPPED = Row(0, asyncio.CancelledError, "ready", None, 0, None, "saved", 1)
FILM_FINISHED = Row(1, asyncio.CancelledError, "running", "answer", 1, None, "saved", 1)
FILM_UNWRITTEN = Row(0, LedgerError, "ready", None, 0, None, "saved", 1)
FILM_UNRECORDED = Row(1, LedgerError, "intent", None, 1, None, "saved", 1)
FILM_UNRECORDED_HIDDEN = evolve(FILM_UNRECORDED, finally_kept="unknown")

OF_MARK_ALONE = {
    # What is found late, or once it is over, is found by an address of its own.
    FILM_UNKNOWN_DONE: FILM_HIDDEN,
    FILM_UNRECORDED: FILM_UNRECORDED_HIDDEN,
    # Nothing is made before it that would have to be kept.
    FILM_STOPPED: evolve(FILM_STOPPED, kept="planned"),
    FILM_UNWRITTEN: evolve(FILM_UNWRITTEN, kept="planned"),
}
"""What it comes to for a job that has no file of its own."""


# --- whole lines ------------------------------------------------------------------------------

Line = dict[str, Expectation]
"""The expectations by operation, in the order of `cells.OPERATIONS`."""


def line(
    read: Expectation,
    upload: Expectation,
    create: Expectation,
    row: Expectation,
    film: Expectation,
    delete: Expectation,
) -> Line:
    """One fault. What is paid for fares alike: an avatar, an element, a job of any kind."""
    return {
        "read": read,
        "upload": upload,
        "avatar": create,
        "avatar in bulk": row,
        "video": create,
        "video in bulk": film,
        "delete": delete,
        "text": create,  # videos.text2video: nothing of it shows but its mark, while it runs
        "text in bulk": OF_MARK_ALONE.get(film, film),
        "frames": create,  # videos.image2video_frames; in bulk of a file that is uploaded for it
        "frames in bulk": film,
        "picture": create,  # images.kolors: two works; in bulk likewise
        "picture in bulk": film,
        "element": create,
        "element in bulk": row,
    }


def calls(single: Call, row: Row, film: Row) -> Line:
    """The same for all single calls."""
    return line(single, single, single, row, film, single)


NEVER_SENT = calls(LATER, MADE_LATER, FILMED_LATER)
NOT_HANDLED = line(AGAIN, AGAIN, UNKNOWN, ROW_UNKNOWN, FILM_UNKNOWN, AGAIN)
HANDLED = line(AGAIN, TWICE, FOUND, ROW_FOUND, FILM_FOUND, AGAIN)
REFUSED = calls(AGAIN, MADE_AGAIN, FILMED_AGAIN)
GONE_BEFORE = calls(STOPPED_BEFORE, ROW_STOPPED, FILM_STOPPED)
GONE_AFTER = calls(STOPPED_AFTER, ROW_FINISHED, FILM_FINISHED)


def after(seconds: float, than: Line = REFUSED) -> Line:
    """W: the same, once the account has waited."""
    return {name: evolve(one, waits_s=seconds) for name, one in than.items()}


def parked(than: Line) -> Line:
    """P, because it was asked to wait longer than anybody would."""
    return {name: evolve(one, parks=True) for name, one in than.items()}


def shown(create: Call, row: Row, film: Row) -> Line:
    """What a listing shows matters to creates alone; the lost answer is theirs, too."""
    return line(OK, OK, create, row, film, OK)


def recorded(row: Row, film: Row) -> Line:
    """What only a ledger can meet."""
    none = Nothing("a single call has no ledger")
    return line(none, none, none, row, film, none)


def jobs(video: Expectation, film: Expectation) -> Line:
    """What only a job can meet."""
    none = Nothing("it starts no job")
    found = line(none, none, none, none, film, none)
    found |= dict.fromkeys(("video", "text", "frames", "picture"), video)
    return {**found, "element in bulk": none}


def killed(rows: str, films: str) -> Line:
    """What ends the process: covered where processes are."""
    none = Nothing("a single call leaves nothing that outlives its process")
    upload = Elsewhere(f"tests/heavy/chaos/{rows}")
    found = line(none, upload, none, upload, Elsewhere(f"tests/heavy/chaos/{films}"), none)
    anything = Elsewhere("tests/heavy/chaos/test_chaos_any.py::test_kills_double_and_lose_nothing")
    bulk = ("text in bulk", "frames in bulk", "picture in bulk")
    return {**found, **dict.fromkeys(bulk, anything)}
