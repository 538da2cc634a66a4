"""How is a bulk run driven from a terminal? Signals, progress, results and the exit code."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, get_args

import click
from attrs import evolve, frozen

from ..bulk.budget import Budget
from ..bulk.health import WAIT_FOR_SERVER_S
from ..bulk.inputs import steps_in
from ..bulk.jobs import BulkJob, Equipment, job_over, nameable
from ..bulk.ledger import Ledger
from ..bulk.places import Place
from ..bulk.recipes import AVATARS, TALKING, Recipe, chain_of
from ..bulk.records import Row
from ..bulk.results import flat_result, trouble_of
from ..bulk.runner import BulkRun
from ..bulk.task_group import Concurrency
from ..client import AsyncKlingClient
from ..models.operations import request_type
from ..models.prices import HUNDREDTHS
from ..settings import RECONCILE_WITHIN_S
from .conclusion import conclude
from .ending import Ended
from .progress import Display, Meter, Reach, Shape, display, going_on, many, shown
from .session import DONE, INTERRUPTED, TROUBLE
from .streams import echo_json

F = TypeVar("F", bound=Callable[..., Any])

FOLDER = "video folder"
"""The fact of a ledger that says where its files go."""
MOST_AT_ONCE = 1000
"""Rows under way that may be asked for."""
TOLD_AT_ONCE = 20
"""Failed rows that are shown while the run goes on; the rest is in the ledger."""


@frozen
class JobOptions:
    """What the options of a running job say."""

    concurrency: Concurrency
    as_json: bool
    progress: Shape
    on_done: str | None
    reconcile_within_s: float
    resend_after_absence: bool
    wait_for_server_s: float
    video: bool
    folder: Path | None
    operation: str | None
    again: bool
    pay_again: bool
    retry_failed: bool
    max_videos: int | None
    max_credits: float | None

    def recipe(self, input: Path) -> Recipe:
        """What each row of an input is; ConfigurationError where nobody knows the operation."""
        named: Sequence[str] = () if self.operation is None else self.operation.split(",")
        if not named and not self.video:
            named = steps_in(input)
        if not named:
            return TALKING if self.video else AVATARS
        types = [request_type(one.strip()) for one in named]
        return chain_of(types, saves=self.folder is not None)

    def begins_jobs(self, input: Path) -> bool:
        """Whether rows have steps that start tasks."""
        recipe = self.recipe(input)
        return any(one.request.starts_task for one in recipe.steps[: recipe.made])

    async def job(
        self, kling: AsyncKlingClient, ledger: Ledger, path: Place, recipe: Recipe | None
    ) -> BulkJob:
        """A job over `ledger`, as these options want it."""
        folder: Path | None = None
        if self.video or self.folder is not None:
            folder = await _folder(ledger, path, self.folder)
        budget = self.budget()
        if budget is not None and recipe is not None:
            await budget.less_spent(ledger, recipe)
        retry = evolve(
            kling._options.retry,
            reconcile_within_s=self.reconcile_within_s,
            resend_after_absence=self.resend_after_absence,
        )
        later = kling._later
        options = evolve(kling._options, retry=retry)
        return job_over(
            Equipment(kling._pipeline, options, later.waiting, later.downloads),
            *(ledger, recipe),
            folder=folder,
            concurrency=self.concurrency,
            again=self.again,
            pay_again=self.pay_again,
            wait_for_server_s=self.wait_for_server_s,
            budget=budget,
        )

    def budget(self) -> Budget | None:
        """What may be begun by all runs over a ledger together; None: anything."""
        credits = self.max_credits
        if credits is None and self.max_videos is None:
            return None
        return Budget(self.max_videos, None if credits is None else round(credits * HUNDREDTHS))


async def _folder(ledger: Ledger, path: Place, named: Path | None) -> Path:
    """Where files go: as named, else as in the run before, else beside the ledger."""
    known = await ledger.fact(FOLDER)
    if named is None:
        # A database has no folder: then beside the command.
        file = path if isinstance(path, Path) else Path(getattr(path, "name", "ledger"))
        beside = file.parent / f"{file.stem}-videos"
        named = Path(known) if known is not None else beside
    folder = nameable(named.absolute())
    await ledger.set_fact(FOLDER, str(folder))
    return folder


def with_job(command: F) -> F:
    """Give a command the options of a running job, as its argument `order`."""

    @wraps(command)
    def wrapped(
        *,
        concurrency: Concurrency,
        as_json: bool,
        progress: Shape,
        on_done: str | None,
        single_writer: bool,
        reconcile_within_s: float,
        resend_after_absence: bool,
        wait_for_server_s: float,
        video: bool,
        video_dir: Path | None,
        save_to: Path | None = None,
        operation: str | None = None,
        again: bool = False,
        pay_again: bool = False,
        retry_failed: bool = False,
        max_videos: int | None = None,
        max_credits: float | None = None,
        **options: Any,
    ) -> Any:
        if operation is not None and (video or video_dir is not None):
            raise click.UsageError("--video makes avatars talk; with --operation use --save-to")
        order = JobOptions(
            concurrency,
            as_json,
            "json" if as_json else progress,
            on_done,
            reconcile_within_s,
            resend_after_absence,
            wait_for_server_s,
            video or video_dir is not None,
            video_dir if save_to is None else save_to,
            operation,
            again,
            pay_again,
            retry_failed,
            max_videos,
            max_credits,
        )
        source = click.get_current_context().get_parameter_source
        asked = [source(one) for one in ("max_videos", "max_credits")]
        # As a setting it bounds those runs alone that begin jobs.
        bounded = click.core.ParameterSource.COMMANDLINE in asked
        if bounded and not order.begins_jobs(options["input"]):
            raise click.UsageError(
                "--max-videos and --max-credits bound jobs, and this run begins none: add --video, "
                "or an --operation that starts one"
            )
        return command(order=order, **options)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def _concurrency_of(_: click.Context, option: click.Parameter, text: str) -> Concurrency:
    if text == "auto":
        return "auto"
    if not text.isdecimal() or not 1 <= int(text) <= MOST_AT_ONCE:
        raise click.BadParameter(f"{text!r} is neither auto nor a number from 1 to {MOST_AT_ONCE}")
    return int(text)


_OPTIONS = (
    click.option(
        "--video",
        is_flag=True,
        help="Go on from each avatar to a talking video, for rows with text, audio or audio_url. "
        "Videos cost credits.",
    ),
    click.option(
        "--video-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="Where the videos go; implies --video. Default: beside the ledger, LEDGER-videos.",
    ),
    click.option(
        "--concurrency",
        callback=_concurrency_of,
        default="auto",
        show_default=True,
        metavar="auto|N",
        help="Rows under way at once; auto: as many as the rate and the time of the answers ask "
        "for. Videos: as many as the accounts have job slots.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Results and progress as JSON lines."),
    click.option(
        "--progress",
        type=click.Choice(get_args(Shape)),
        default="auto",
        show_default=True,
        help="How progress is shown on stderr: auto is a bar on a terminal, and lines in a pipe.",
    ),
    click.option(
        "--on-done",
        metavar="COMMAND",
        help="Run this command once the run is over, also where rows failed: it finds the ledger, "
        "the counts and the exit code in its environment (KLING_BULK_...).",
    ),
    click.option(
        "--reconcile-within",
        "reconcile_within_s",
        type=click.FloatRange(0),
        metavar="SECONDS",
        default=RECONCILE_WITHIN_S,
        show_default=True,
        help="Seconds to look for what was made when its answer was lost; later runs look again.",
    ),
    click.option(
        "--wait-for-server",
        "wait_for_server_s",
        type=click.FloatRange(0),
        metavar="SECONDS",
        default=WAIT_FOR_SERVER_S,
        show_default=True,
        help="Seconds to go on trying while the server can't be reached, before the run ends; what "
        "is on its way is tried five times in any case.",
    ),
    click.option(
        "--resend-after-absence",
        is_flag=True,
        help="Send avatars again that were looked for in vain for 30 minutes; it may duplicate.",
    ),
    click.option(
        "--single-writer",
        is_flag=True,
        hidden=True,
        help="Has no effect any more: texts alone settle no lost answer.",
    ),
)


async def drive(
    run: BulkRun,
    rows: AsyncGenerator[Sequence[Row], None],
    ledger: Place,
    total: int,
    *,
    as_json: bool,
    progress: Shape,
    emulated: bool,
    reach: Reach,
    lines: Sequence[int] = (),
) -> Ended:
    """Run to the end, or to Ctrl-C; its exit code, and where it stands then.

    Args:
        run: what to run.
        rows: in chunks, as the ledger has them.
        ledger: its ledger, for the commands that are shown.
        total: how many rows there are.
        as_json: results as JSON lines.
        progress: how it is shown.
        emulated: on the built-in emulator.
        reach: a hook of the run's client.
        lines: on which the rows of the input begin, in turn; filled while it is read.
    """
    screen = display(total, progress)
    meter = Meter(run, total, reach)
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        interrupted = True

    with _signals(run, screen, interrupt):
        async with shown(meter, screen), aclosing(run.results(rows)) as results:
            told = 0
            async for row in results:
                meter.saw(row)
                if as_json:
                    echo_json({"type": "row", **flat_result(row)})
                    continue
                line = next(iter(lines[row.row.position - 1 : row.row.position]), 0) or None
                trouble = trouble_of(row, line=line, before=meter.began_at)
                if trouble is not None and told < TOLD_AT_ONCE:
                    told += 1
                    screen.say(trouble)
    said = {"interrupted": interrupted, "as_json": as_json, "emulated": emulated}
    conclude(run, meter, ledger, total, **said)
    code = DONE if run.counts.done == total else TROUBLE
    return Ended(INTERRUPTED if interrupted else code, meter.now())


@contextmanager
def _signals(run: BulkRun, screen: Display, interrupt: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) stops the run cleanly, the second leaves at once."""
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()
    assert main is not None
    asked = 0

    def stop() -> None:
        nonlocal asked
        asked += 1
        interrupt()
        if asked > 1:
            screen.say(
                "left; run the same command again: it looks for what was in flight and goes on"
            )
            run.leave()
            main.cancel()
            return
        run.stop("it was interrupted")
        jobs = f"; {going_on(run.running)}" if run.running else ""
        rows = many(run.counts.under_way, "row")
        screen.say(
            f"stopping: {rows} under way will be finished and recorded{jobs}; "
            f"press Ctrl-C again to leave at once (what is in flight then counts as unknown)"
        )

    caught = []
    for one in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(one, stop)
            caught.append(one)
        except NotImplementedError:  # Windows: KeyboardInterrupt does what the second one does
            break
    try:
        yield
    finally:
        for one in caught:
            loop.remove_signal_handler(one)
