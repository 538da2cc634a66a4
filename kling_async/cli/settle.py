"""What does the user say of rows whose outcome stayed unknown? `bulk settle`, one or many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from ..bulk.decisions import Decision
from ..bulk.places import Place
from ..bulk.records import Row, Step
from ..bulk.results import noun_of
from ..bulk.settle import settle, settle_many, words_of
from ..models.checks import Digits
from .ledger import INPUT, LEDGER
from .progress import many
from .session import run
from .streams import echo


@click.command("settle")
@click.argument("ledger", type=LEDGER)
@click.argument("rows", nargs=-1, metavar="[ROW]...")
@click.option("--all-unknown", is_flag=True, help="All rows whose outcome is unknown.")
@click.option(
    "--from",
    "decisions",
    type=INPUT,
    help="A table with the columns key and decision: an export, filled in. A decision is resend, "
    "abandon, adopt ID, or adopt where the row has one candidate; blank: the row stays.",
)
@click.option("--adopt", metavar="ID", help="What the row asked for exists, and this is it.")
@click.option("--resend", is_flag=True, help="Send it again; it duplicates if it exists after all.")
@click.option("--abandon", is_flag=True, help="Leave it, whatever became of it.")
@click.option(
    "--step",
    type=click.IntRange(1),
    help="Which request of a row: 1 the avatar, 2 its video. Default: 1; with --all-unknown and "
    "--from the first that is unknown.",
)
@click.option(
    "--adopt-task", metavar="TASK_ID", type=int, help="The row's video is this job at Kling."
)
@click.option(
    "--resend-video", is_flag=True, help="Send the job again; it is paid twice if it began."
)
@click.option("--abandon-video", is_flag=True, help="Leave the video, whatever became of it.")
def settle_command(
    ledger: Place,
    rows: tuple[str, ...],
    all_unknown: bool,
    decisions: Path | None,
    adopt: str | None,
    resend: bool,
    abandon: bool,
    step: int | None,
    adopt_task: int | None,
    resend_video: bool,
    abandon_video: bool,
) -> None:
    """Decide what became of each ROW (its key) in LEDGER, whose outcome stayed unknown.

    All of what is said is checked first: where a part of it can't be, nothing is settled. The last
    three options are about a row's video: other names of --step 2.
    """
    of_row = sum((adopt is not None, resend, abandon))
    of_video = sum((adopt_task is not None, resend_video, abandon_video))
    if bool(rows) + all_unknown + (decisions is not None) != 1:
        raise click.UsageError("name rows by their keys, or give --all-unknown, or --from FILE")
    if decisions is not None and of_row + of_video:
        raise click.UsageError("--from says by itself what becomes of each row; give no other word")
    if decisions is None and of_row + of_video != 1:
        raise click.UsageError(
            "give one of --adopt ID, --resend and --abandon, or for a video one of "
            "--adopt-task TASK_ID, --resend-video and --abandon-video"
        )
    if adopt is not None and (problem := Digits()(adopt)) is not None:
        raise click.UsageError(f"--adopt {problem}")
    named = adopt if adopt_task is None else str(adopt_task)
    if named is not None and len(rows) != 1:
        raise click.UsageError("one thing is one row's: adopt for one row, or use --from FILE")
    number = 2 if of_video else step
    decision: Decision = "abandon"
    if named is not None:
        decision = "adopt"
    elif resend or resend_video:
        decision = "resend"

    async def one() -> int:
        at = number or 1
        settled = await settle(ledger, rows[0], decision, adopt=named, step=at)
        echo(f"row {rows[0]}: {_what_now(settled, settled.steps[at - 1], decision)}")
        return 0

    async def several() -> int:
        words = await words_of(
            ledger,
            decision=decision,
            keys=rows or None,
            decisions=decisions,
            step=(number or 1) if rows else number,
        )
        settled = await settle_many(ledger, words, file=decisions, again=decisions is not None)
        for line in _summary(settled, len(words)):
            echo(line)
        return 0

    run(one() if len(rows) == 1 else several())


def _summary(settled: Sequence[tuple[Row, Step, Decision]], said: int) -> list[str]:
    """What was settled, by what comes next."""
    nexts = Counter(_what_now(row, step, decision) for row, step, decision in settled)
    lines = [f"{len(settled)} of {said} rows settled"] if said else ["there is nothing to settle"]
    if len(settled) < said:
        lines[0] += f"; the other {said - len(settled)} were settled before"
    return [*lines, *(f"  {many(count, 'row')}: {text}" for text, count in nexts.items())]


def _what_now(row: Row, step: Step, decision: Decision) -> str:
    video = step.number > 1
    if decision == "resend":
        if video:
            return f"the next `bulk run --video` sends its {noun_of(step)} again"
        return "the next `bulk run` sends it again"
    if decision == "adopt" and video:
        return "settled; the next `bulk run --video` fetches its video"
    if decision == "adopt" and step.state == "running":
        return "settled; the next `bulk run` fetches what it makes"
    return "settled"
