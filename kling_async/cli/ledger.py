"""`kling-async bulk status|settle|export`: what a ledger knows, and the user's word on it."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from ..bulk.export import export, flat
from ..bulk.ledger import Ledger
from ..bulk.ledgerview import LedgerView
from ..bulk.records import UNSETTLED, Record, State
from ..bulk.videorecords import UNSETTLED as VIDEO_UNSETTLED
from ..bulk.videorecords import State as VideoState
from ..errors import KlingError, LedgerError
from ..models.checks import Digits
from .session import fail

INPUT = click.Path(path_type=Path)
TROUBLED: tuple[State, ...] = ("failed", "doubt", "unknown")
VIDEO_TROUBLED: tuple[VideoState, ...] = ("failed", "doubt", "unknown")
ROWS_OF_INPUT = "rows of the input"
"""The fact of a ledger that says how many there are; it has those that were begun."""
SHOWN = 20
"""Rows that `status` lists; all are in the export."""


@click.command("status")
@click.argument("ledger", type=INPUT)
@click.option("--json", "json_wanted", is_flag=True, help="As one JSON object.")
def status_command(ledger: Path, json_wanted: bool) -> None:
    """Show what LEDGER knows: counts, and the first failed and unknown rows."""
    videos: dict[VideoState, int] = {}
    troubled: dict[VideoState, list[Record]] = {}
    try:
        with closing(LedgerView.read(ledger)) as book:
            counts, of = book.counts(), _of_input(book)
            pages: dict[State, list[Record]] = {
                state: book.page(0, (state,), SHOWN) for state in TROUBLED
            }
            if book.has_videos:
                videos = book.videos.counts()
                troubled = {one: book.videos.page(0, (one,), SHOWN) for one in VIDEO_TROUBLED}
    except KlingError as exc:
        fail(exc)
    if json_wanted:
        shown: dict[str, Any] = {"counts": counts}
        shown |= {state: [as_json_row(one) for one in page] for state, page in pages.items()}
        if videos:
            shown["videos"] = {
                "counts": videos,
                **{one: [as_json_row(row) for row in page] for one, page in troubled.items()},
            }
        click.echo(json.dumps(shown, ensure_ascii=False))
        return
    click.echo(f"{sum(counts.values())}{of} rows: {_listed(counts)}")
    if videos:
        click.echo(f"{sum(videos.values())} videos: {_listed(videos)}")
    for state, page in pages.items():
        _tell([_told(one, ledger) for one in page], counts.get(state, 0), f"{state} rows", ledger)
    for one, page in troubled.items():
        told = [_told_video(row, ledger) for row in page]
        _tell(told, videos.get(one, 0), f"{one} videos", ledger)


@click.command("settle")
@click.argument("ledger", type=INPUT)
@click.argument("row")
@click.option("--adopt", metavar="AVATAR_ID", help="The row's avatar exists, and this is it.")
@click.option("--resend", is_flag=True, help="Send it again; it duplicates if it exists after all.")
@click.option("--abandon", is_flag=True, help="Leave it, whatever became of it.")
@click.option(
    "--adopt-task", metavar="TASK_ID", type=int, help="The row's video is this job at Kling."
)
@click.option(
    "--resend-video", is_flag=True, help="Send the job again; it is paid twice if it began."
)
@click.option("--abandon-video", is_flag=True, help="Leave the video, whatever became of it.")
def settle_command(
    ledger: Path,
    row: str,
    adopt: str | None,
    resend: bool,
    abandon: bool,
    adopt_task: int | None,
    resend_video: bool,
    abandon_video: bool,
) -> None:
    """Decide what became of ROW (its key) in LEDGER, whose outcome stayed unknown.

    The first three options are about a row's avatar, the others about its video.
    """
    of_avatar = sum((adopt is not None, resend, abandon))
    of_video = sum((adopt_task is not None, resend_video, abandon_video))
    if of_avatar + of_video != 1:
        raise click.UsageError(
            "give one of --adopt AVATAR_ID, --resend and --abandon, or for a video one of "
            "--adopt-task TASK_ID, --resend-video and --abandon-video"
        )
    if adopt is not None and (problem := Digits()(adopt)) is not None:
        raise click.UsageError(f"--adopt {problem}")
    try:
        with closing(LedgerView.read(ledger)) as view:
            service = view.fact("service") or ""
        with closing(Ledger.open(ledger, service=service)) as book, book.transaction():
            record = book.get(row)
            if of_video:
                _settle_video(book, record, adopt_task, resend=resend_video)
            else:
                _settle(book, record, adopt, resend=resend)
    except KlingError as exc:
        fail(exc)
    again = "the next `bulk run` sends it again" if resend else "settled"
    if resend_video:
        again = "the next `bulk run --video` sends its video again"
    elif adopt_task is not None:
        again = "settled; the next `bulk run --video` fetches its video"
    click.echo(f"row {row}: {again}")


def _settle(book: Ledger, record: Record, adopt: str | None, *, resend: bool) -> None:
    if record.state not in UNSETTLED:
        raise LedgerError(
            f"row {record.key} is {record.state}, not unknown; there is nothing to settle"
        )
    if adopt is not None:
        book.adopt(record.id, adopt, "settled")
    elif resend:
        book.resend(record.id, "by the user's word")
    else:
        book.abandon(record.id)


def _settle_video(book: Ledger, record: Record, adopt: int | None, *, resend: bool) -> None:
    video = record.video
    if video is None or video.state not in VIDEO_UNSETTLED:
        state = "not known here" if video is None else f"{video.state}, not unknown"
        raise LedgerError(f"the video of row {record.key} is {state}; there is nothing to settle")
    if adopt is not None:
        book.videos.adopt(record.id, record.account, adopt, "settled")
    elif resend:
        book.videos.resend(record.id, "by the user's word")
    else:
        book.videos.abandon(record.id)


@click.command("export")
@click.argument("ledger", type=INPUT)
@click.option("--to", required=True, type=INPUT, help="results.csv or results.jsonl")
def export_command(ledger: Path, to: Path) -> None:
    """Write every row of LEDGER with its result and the input's own columns."""
    try:
        with closing(LedgerView.read(ledger)) as book:
            written, of = export(book, to), _of_input(book)
    except KlingError as exc:
        fail(exc)
    click.echo(
        f"{written}{of} rows written to {to}" + ("; the others were not begun" if of else "")
    )


def as_json_row(record: Any) -> dict[str, Any]:
    """A ledger row as `status --json` shows it."""
    return flat(record.result())


def _of_input(book: LedgerView) -> str:
    """` of 300`, where the ledger knows that the input has more rows than were begun."""
    total = int(book.fact(ROWS_OF_INPUT) or 0)
    return f" of {total}" if book.count() < total else ""


def _listed(counts: dict[Any, int]) -> str:
    said = {"intent": "sent and not answered yet"}
    return ", ".join(f"{n} {said.get(state, state)}" for state, n in counts.items()) or "none"


def _tell(told: list[str], count: int, what: str, ledger: Path) -> None:
    for one in told:
        click.echo(one)
    if count > len(told):
        click.echo(f"... and more {what}; see `kling-async bulk export {ledger}`")


def _told(record: Record, ledger: Path) -> str:
    """A failed or unknown row, with what can be done."""
    account = record.account or "not named"
    head = f"{record.state}: row {record.key}, account {account}"
    if record.state == "failed":
        return f"{head}: {record.error}"
    settle = f"kling-async bulk settle {ledger} {record.key}"
    could_be = ", ".join(record.candidates) or "none listed"
    return "\n".join(
        (
            f"{head}, sent {moment(record.intent_at)}: {record.error}",
            f"  could be: {could_be}",
            "  may cost: one avatar more than wanted, if it exists and is sent again",
            f"  it exists:         {settle} --adopt AVATAR_ID",
            f"  send it again:     {settle} --resend",
            f"  leave it:          {settle} --abandon",
        )
    )


def _told_video(record: Record, ledger: Path) -> str:
    """A row whose video failed or is unknown, with what can be done."""
    video = record.video
    assert video is not None
    head = f"video {video.state}: row {record.key}, account {record.account or 'not named'}"
    if video.state == "failed":
        task = "" if video.task_id is None else f", task {video.task_id}"
        return f"{head}{task}: {video.error}"
    settle = f"kling-async bulk settle {ledger} {record.key}"
    could_be = ", ".join(video.candidates) or "none listed"
    return "\n".join(
        (
            f"{head}, sent {moment(video.intent_at)}: {video.error}",
            f"  could be: task {could_be}",
            "  may cost: the credits of one video more, if it began and is sent again",
            f"  it began:          {settle} --adopt-task TASK_ID",
            f"  send it again:     {settle} --resend-video",
            f"  leave it:          {settle} --abandon-video",
        )
    )


def moment(seconds: float | None) -> str:
    """A time as people read it, in UTC."""
    if seconds is None:
        return "never"
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
