"""The fault matrix: what each fault comes to, for each class of operation.

One line a fault and one column a class, as in the reliability design. Each cell is a test of its
own, on both transports. The words, and names for lines that occur more than once, are explained in
`expectations.py`; how a fault is brought about in `faults.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen
from expectations import (
    AGAIN,
    CLOSED,
    FILM_CLOSED,
    FILM_FAILED,
    FILM_FAILED_DONE,
    FILM_FOUND,
    FILM_FOUND_PARKED,
    FILM_HIDDEN,
    FILM_PARKED,
    FILM_PUT_OFF,
    FILM_SHORT,
    FILM_UNKNOWN,
    FILM_UNKNOWN_DONE,
    FILM_UNKNOWN_PARKED,
    FILM_UNREACHED,
    FILM_UNRECORDED,
    FILM_UNRECORDED_HIDDEN,
    FILM_UNUSABLE,
    FILM_UNWRITTEN,
    FILMED_AGAIN,
    FOUND,
    GONE_AFTER,
    GONE_BEFORE,
    HANDLED,
    LATE,
    LATER,
    LOST_SHORT,
    NEVER_SENT,
    NOT_HANDLED,
    OK,
    ROW_CLOSED,
    ROW_FAILED,
    ROW_FOUND,
    ROW_FOUND_PARKED,
    ROW_HIDDEN,
    ROW_PARKED,
    ROW_PUT_OFF,
    ROW_SHORT,
    ROW_UNKNOWN,
    ROW_UNKNOWN_DONE,
    ROW_UNKNOWN_PARKED,
    ROW_UNREACHED,
    ROW_UNRECORDED,
    ROW_UNRECORDED_HIDDEN,
    ROW_UNUSABLE,
    ROW_UNWRITTEN,
    UNKNOWN,
    UNKNOWN_DONE,
    UNREACHED,
    UNUSABLE,
    Elsewhere,
    Expectation,
    Line,
    Nothing,
    after,
    calls,
    jobs,
    killed,
    line,
    parked,
    recorded,
    refused,
    shown,
)

from kling_async import (
    AccountBrokenError,
    APIError,
    AuthenticationError,
    BadRequestError,
    ContentModeratedError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    SubscriptionError,
)

OPERATIONS = (
    *("read", "upload", "avatar", "avatar in bulk", "video", "video in bulk", "delete"),
    *("text", "text in bulk", "frames", "frames in bulk"),
    *("picture", "picture in bulk", "element", "element in bulk"),
)
TRANSPORTS = ("httpx", "aiohttp")

BUSY = refused(ServerError)
BROKEN = refused(AccountBrokenError)
BROKEN_DONE = refused(AccountBrokenError, done=1)
MOVED = refused(APIError)
DEATHS = (
    "test_sigkill.py::test_death_at_each_point_of_a_row",
    "test_sigkill_videos.py::test_death_at_each_point_of_a_video",
)
STOPS = (
    "test_sigkill.py::test_a_process_that_is_stopped_and_continued_doubles_nothing",
    "test_sigkill_videos.py::test_a_process_that_is_stopped_and_continued_pays_once",
)

MATRIX: Mapping[str, Line] = {
    # never sent
    "no address": NEVER_SENT,
    "connection refused": NEVER_SENT,
    "connect timeout": NEVER_SENT,
    "pool timeout": NEVER_SENT,
    "no TLS there": calls(UNREACHED, ROW_UNREACHED, FILM_UNREACHED),
    # sent, and no answer
    "reset mid-request": line(LATER, LATER, LOST_SHORT, ROW_SHORT, FILM_SHORT, LATER),
    "reset before handling": NOT_HANDLED,
    "reset after handling": HANDLED,
    "closed before handling": NOT_HANDLED,
    "closed after handling": HANDLED,
    "read timeout, not handled": NOT_HANDLED,
    "read timeout, handled": HANDLED,
    "slow loris": line(LATE, LATE, UNKNOWN_DONE, ROW_FOUND, FILM_FOUND, LATE),
    # sent, and half an answer, or one that says nothing
    "body cut": HANDLED,
    "chunk cut": HANDLED,
    "chunk of nonsense": HANDLED,
    "length too small": HANDLED,
    "length too large": HANDLED,
    "half JSON": HANDLED,
    "HTML 200, not handled": NOT_HANDLED,
    "HTML 200, handled": HANDLED,
    "not HTTP, not handled": NOT_HANDLED,
    "not HTTP, handled": HANDLED,
    # answered with an error that is no clear no
    "500, not handled": NOT_HANDLED,
    "500, handled": HANDLED,
    "502 HTML, not handled": NOT_HANDLED,
    "502 HTML, handled": HANDLED,
    "504, not handled": NOT_HANDLED,
    "504, handled": HANDLED,
    "503 in 7 s, not handled": after(7, NOT_HANDLED),
    "503 in 7 s, handled": after(7, HANDLED),
    "503 in 30 years": parked(
        line(BUSY, BUSY, UNKNOWN, ROW_UNKNOWN_PARKED, FILM_UNKNOWN_PARKED, BUSY)
    ),
    "596 JSON": line(BROKEN, BROKEN, UNKNOWN, ROW_UNKNOWN_PARKED, FILM_UNKNOWN_PARKED, BROKEN),
    "596 empty": line(BROKEN, BROKEN, UNKNOWN, ROW_UNKNOWN_PARKED, FILM_UNKNOWN_PARKED, BROKEN),
    "596 HTML, handled": line(
        BROKEN_DONE, BROKEN_DONE, FOUND, ROW_FOUND_PARKED, FILM_FOUND_PARKED, BROKEN_DONE
    ),
    "408": NOT_HANDLED,
    "409": NOT_HANDLED,
    "307": line(MOVED, MOVED, UNKNOWN, ROW_UNKNOWN, FILM_UNKNOWN, MOVED),
    "308": line(MOVED, MOVED, UNKNOWN, ROW_UNKNOWN, FILM_UNKNOWN, MOVED),
    # refused
    "429 in 7 s": after(7),
    "429 until a date": after(6),  # HTTP dates have whole seconds
    "429 until ISO in the body": after(6),
    "429 without a time": after(10),
    "429 until 1970": after(30),
    "429 in -1 s": after(30),
    "429 in 30 years": parked(calls(refused(RateLimitedError), ROW_PUT_OFF, FILM_PUT_OFF)),
    "400": calls(refused(BadRequestError), ROW_FAILED, FILM_FAILED),
    "401": calls(refused(AuthenticationError), ROW_PARKED, FILM_PARKED),
    "402": calls(refused(SubscriptionError), ROW_PARKED, FILM_PARKED),
    "403": calls(refused(PermissionDeniedError), ROW_PARKED, FILM_PARKED),
    "404": calls(refused(NotFoundError), ROW_FAILED, FILM_FAILED),
    "413": calls(refused(APIError), ROW_FAILED, FILM_FAILED),
    "422": calls(refused(ContentModeratedError), ROW_FAILED, FILM_FAILED),
    # the caller goes, or the process does
    "cancelled before the first byte": GONE_BEFORE,
    "cancelled after it": GONE_AFTER,
    "SIGKILL before the intent": killed(*DEATHS),
    "SIGKILL after the intent": killed(*DEATHS),
    "SIGSTOP": killed(*STOPS),
    # clocks and listings; the create's answer is lost
    "clock 10 min ahead": shown(FOUND, ROW_FOUND, FILM_FOUND),
    "clock 10 min behind": shown(FOUND, ROW_FOUND, FILM_FOUND),
    "listing lags": shown(UNKNOWN_DONE, ROW_UNKNOWN_DONE, FILM_UNKNOWN_DONE),
    "listing cut": shown(UNKNOWN_DONE, ROW_HIDDEN, FILM_HIDDEN),
    "listing shuffled": shown(FOUND, ROW_FOUND, FILM_FOUND),
    # jobs
    "no task id, not handled": jobs(UNKNOWN, FILM_UNKNOWN),
    "no task id, handled": jobs(FOUND, FILM_FOUND),
    "no free place for 7 s": jobs(evolve(AGAIN, waits_s=7), evolve(FILMED_AGAIN, waits_s=7)),
    "refused by moderation": jobs(refused(ContentModeratedError), FILM_FAILED),
    "job fails": jobs(OK, FILM_FAILED_DONE),  # which its task says, later
    # A row's audio is rendered for it alone; for single calls: tests/unit/resources/test_videos.py.
    "job is over before anybody looks": {
        **jobs(UNKNOWN_DONE, FILM_FOUND),
        "text in bulk": FILM_HIDDEN,  # it has no audio either
    },
    "job shows in the scheduler alone": jobs(FOUND, FILM_FOUND),
    "webhooks twice, early, disordered": jobs(
        Elsewhere("tests/heavy/matrix/test_matrix_callbacks.py::test_callbacks_are_hints_alone"),
        Nothing("bulk asks for no callbacks"),
    ),
    # the ledger's disk
    "ledger full": recorded(ROW_UNWRITTEN, FILM_UNWRITTEN),
    "ledger can't sync": recorded(ROW_UNWRITTEN, FILM_UNWRITTEN),
    "ledger full after the answer": recorded(ROW_UNRECORDED, FILM_UNRECORDED),
    "ledger full after it, listing cut": recorded(ROW_UNRECORDED_HIDDEN, FILM_UNRECORDED_HIDDEN),
    # the client is used up
    "client closed": calls(CLOSED, ROW_CLOSED, FILM_CLOSED),
    "client of another loop": calls(UNUSABLE, ROW_UNUSABLE, FILM_UNUSABLE),
}


@frozen
class Cell:
    """One cell: what this fault comes to for this operation."""

    fault: str
    operation: str
    expects: Expectation

    def __str__(self) -> str:
        return f"{self.fault}-{self.operation}"


CELLS = tuple(
    Cell(fault, operation, expects)
    for fault, expected in MATRIX.items()
    for operation, expects in expected.items()
)
