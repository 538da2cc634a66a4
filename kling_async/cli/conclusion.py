"""What is said when a bulk run has ended? How much was made, what is left, and what can be done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
from attrs import asdict

from ..bulk.runner import BulkRun
from .progress import Meter, going_on, many


def conclude(
    run: BulkRun,
    meter: Meter,
    ledger: Path,
    total: int,
    *,
    interrupted: bool,
    as_json: bool,
    emulated: bool,
) -> None:
    """Say it, on stdout.

    Args:
        run: that has ended.
        meter: measured it.
        ledger: for the commands that are shown.
        total: how many rows there are.
        interrupted: by Ctrl-C.
        as_json: as one object.
        emulated: on the built-in emulator, so the commands that are shown need it, too.
    """
    if as_json:
        summary = {"type": "summary", **asdict(meter.now()), "interrupted": interrupted}
        click.echo(json.dumps({**summary, "stopped_because": run.stopped_because}))
        return
    for line in _lines(run, meter, ledger, total, " --emulator" if emulated else ""):
        click.echo(line)


def _lines(run: BulkRun, meter: Meter, ledger: Path, total: int, there: str) -> Iterator[str]:
    tally = run.tally
    parts = [f"{tally.created} of {total} rows created"]
    parts += _counted(
        (tally.failed, "failed"), (tally.unknown, "unknown"), (tally.skipped, "skipped")
    )
    # A row that waits for its video is not settled, though its avatar may have been made just now.
    idle = tally.settled == tally.resumed and (tally.settled == total or not run.makes_videos)
    took = "in earlier runs; nothing was sent" if idle else f"in {meter.elapsed_s:.1f} s"
    yield f"{', '.join(parts)} {took}."
    if run.makes_videos:
        yield from _of_videos(run, ledger, there)
    if run.stopped_because:
        yield f"The run ended early: {run.stopped_because.removesuffix('.')}."
    for reason in run.parked:
        yield f"Parked: {reason}"
    if tally.failed:
        yield f"Failed rows are tried again by: kling-async bulk retry {ledger}{there}"
    if tally.adopted:
        yield f"{tally.adopted} of them lost their answer and were found in the account's list."
    if run.surplus:
        yield f"Avatars beside those of the rows, with the same image: {', '.join(run.surplus)}"
    if tally.unknown or tally.videos_unknown:
        yield (
            f"Unknown rows may exist at Kling and are never sent again by themselves. What can be "
            f"done is shown by: kling-async bulk status {ledger}"
        )
    if tally.settled < total or tally.skipped or tally.videos_left:
        when = "Once the account can be used, run" if run.parked else "Run"
        yield f"{when} the same command again to go on where it stopped."
    yield f"Results: kling-async bulk export {ledger} --to results.csv"


def _of_videos(run: BulkRun, ledger: Path, there: str) -> Iterator[str]:
    tally = run.tally
    parts = [f"{many(tally.saved, 'video')} saved" + (f" in {run.folder}" if tally.saved else "")]
    parts += _counted((tally.videos_failed, "failed"), (tally.videos_unknown, "unknown"))
    parts += _counted((tally.videos_left, "to be gone on with"))
    yield f"{', '.join(parts)}."
    if run.left_running:
        one = run.left_running == 1
        yield f"{going_on(run.left_running)}; the next run waits for {'it' if one else 'them'}."
    if tally.videos_failed:
        yield f"Failed videos are tried again by: kling-async bulk retry {ledger} --video{there}"
    if run.surplus_tasks:
        jobs = ", ".join(map(str, run.surplus_tasks))
        yield f"Jobs beside those of the rows, with the same name or audio: {jobs}"


def _counted(*counts: tuple[int, str]) -> list[str]:
    return [f"{n} {name}" for n, name in counts if n]
