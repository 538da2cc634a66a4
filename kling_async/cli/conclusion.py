"""What is said when a bulk run has ended? How much was made, what is left, and what can be done."""

from __future__ import annotations

from collections.abc import Iterator

from ..bulk.places import Place
from ..bulk.runner import BulkRun
from .progress import Meter, going_on, many
from .streams import echo, echo_json


def conclude(
    run: BulkRun,
    meter: Meter,
    ledger: Place,
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
        summary = {"type": "summary", **meter.now().facts(), "interrupted": interrupted}
        echo_json({**summary, "stopped_because": run.stopped_because})
        return
    for line in _lines(run, meter, ledger, total, " --emulator" if emulated else ""):
        echo(line)


def _lines(run: BulkRun, meter: Meter, ledger: Place, total: int, there: str) -> Iterator[str]:
    counts, rows, videos = run.counts, run.counts.of(1), run.counts.of(2)
    made, talks = "created" if run.makes_avatars else "done", run.made == 2
    parts = [f"{rows.done} of {total} rows {made}"]
    parts += _counted((rows.failed, "failed"), (rows.unknown, "unknown"), (rows.left, "skipped"))
    # A row that waits for its video is not settled, though its avatar may have been made just now.
    idle = counts.settled == counts.resumed and (counts.settled == total or not talks)
    took = "in earlier runs; nothing was sent" if idle else f"in {meter.elapsed_s:.1f} s"
    yield f"{', '.join(parts)} {took}."
    if talks:
        yield from _of_videos(run, ledger, there)
    elif run.folder is not None:
        yield f"Files are in {run.folder}."
        yield from _left_running(run)
    if run.stopped_because:
        yield f"The run ended early: {run.stopped_because.removesuffix('.')}."
    for reason in run.health.given_up:
        yield f"Parked: {reason}"
    if rows.failed:
        yield f"Failed rows are tried again by: kling-async bulk retry {ledger}{there}"
    if rows.found:
        where = "the account's list" if run.makes_avatars else "what the account shows"
        yield f"{rows.found} of them lost their answer and were found in {where}."
    if surplus := run.surplus("avatar"):
        yield f"Avatars beside those of the rows, with the same image: {', '.join(surplus)}"
    if not talks and (surplus := run.surplus("task")):
        yield f"Jobs beside those of the rows, with the same name or input: {', '.join(surplus)}"
    if rows.unknown or videos.unknown:
        yield (
            f"Unknown rows may exist at Kling and are never sent again by themselves. What can be "
            f"done is shown by: kling-async bulk status {ledger}"
        )
    if counts.settled < total or rows.left or videos.left:
        when = "Once the account can be used, run" if run.health.given_up else "Run"
        yield f"{when} the same command again to go on where it stopped."
    yield f"Results: kling-async bulk export {ledger} --to results.csv"


def _of_videos(run: BulkRun, ledger: Place, there: str) -> Iterator[str]:
    videos = run.counts.of(2)
    parts = [f"{many(videos.done, 'video')} saved" + (f" in {run.folder}" if videos.done else "")]
    parts += _counted((videos.failed, "failed"), (videos.unknown, "unknown"))
    parts += _counted((videos.left, "to be gone on with"))
    yield f"{', '.join(parts)}."
    yield from _left_running(run)
    if videos.failed:
        yield f"Failed videos are tried again by: kling-async bulk retry {ledger} --video{there}"
    if surplus := run.surplus("task"):
        yield f"Jobs beside those of the rows, with the same name or audio: {', '.join(surplus)}"


def _left_running(run: BulkRun) -> Iterator[str]:
    if run.left_running:
        one = run.left_running == 1
        yield f"{going_on(run.left_running)}; the next run waits for {'it' if one else 'them'}."


def _counted(*counts: tuple[int, str]) -> list[str]:
    return [f"{n} {name}" for n, name in counts if n]
