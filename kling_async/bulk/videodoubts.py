"""What becomes of videos whose answer was lost? Jobs are looked at; `videojudge.py` decides.

A video is never sent again by itself: it costs credits, and an absence proves nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from .._calls.pipeline import Options, Pipeline
from ..clock import Clock
from ..models.history import earlier
from ..models.scheduler import ListRunning
from ..models.tasks import ListTasks, Task
from ..settings import CLOCK_SLACK_S, LOOK_PAGES
from .crew import Crew
from .journal import Journal
from .ledger import Ledger
from .records import Record
from .videojudge import Jobs, judge_videos, video_candidates
from .videorecords import UNSETTLED
from .watch import Watch


class VideoDoubts(Watch[Jobs]):
    """Looks for the doubtful videos of one run.

    Args:
        pipeline: lists.
        options: of each call.
        journal: the ledger.
        settled: is given each row when its video is settled, one way or another.
        crew: looks.
        clock: sleeps.
        within_s: how long a row is looked for before its video is unknown.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        options: Options,
        journal: Journal,
        settled: Callable[[Record], Awaitable[None]],
        crew: Crew,
        *,
        clock: Clock,
        within_s: float,
    ) -> None:
        super().__init__(crew, clock=clock, within_s=within_s)
        self._pipeline = pipeline
        self._options = options
        self._journal = journal
        self._settled = settled
        self.surplus: list[int] = []

    async def look(self, account: str | None) -> Jobs:
        """The jobs that are tracked, then the account's tasks since the oldest doubt."""
        running = await self._pipeline.send(ListRunning(), self._options)
        oldest_s = await self._journal.read(lambda ledger: _oldest_s(ledger, account))
        since_ms = None if oldest_s is None else int((oldest_s - CLOCK_SLACK_S) * 1000)
        return Jobs(running, await self._tasks(account, since_ms))

    async def prepare(self, account: str | None, seen: Jobs) -> None:
        """What an earlier run left is judged, and what an old copy of a ledger does not know of."""
        await self._judge(account, seen, restored=True)

    async def judge(self, account: str | None, seen: Jobs) -> Sequence[int]:
        """Adopt what is proven."""
        return await self._judge(account, seen, restored=False)

    async def give_up(self, account: str | None, row_ids: Sequence[int], seen: Jobs | None) -> None:
        """Unknown: only the user may send it again."""
        jobs, within_s = seen or Jobs((), ()), self._within_s
        await self._journal.write(
            lambda ledger: _given_up(ledger, account, row_ids, jobs, within_s)
        )

    async def settled(self, row_id: int) -> None:
        """Hand the row on as the ledger has it."""
        await self._settled(await self._journal.read(lambda ledger: ledger.row(row_id)))

    async def _judge(self, account: str | None, seen: Jobs, *, restored: bool) -> Sequence[int]:
        verdicts = await self._journal.write(
            lambda ledger: judge_videos(ledger, account, seen, restored=restored)
        )
        self.surplus += verdicts.surplus
        return verdicts.adopted

    async def _tasks(self, account: str | None, since_ms: int | None) -> list[Task]:
        """The account's tasks made after `since_ms`, newest first; None: the latest page alone."""
        found: dict[int, Task] = {}
        request = ListTasks(content_type="video", email=account)
        for _ in range(LOOK_PAGES):
            page = await self._pipeline.send(request, self._options)
            new = [one for one in page if one.id not in found]
            found.update((one.id, one) for one in new)
            further = None if since_ms is None else earlier(request, page, since_ms)
            if not new or further is None:
                break
            request = further
        return list(found.values())


def _oldest_s(ledger: Ledger, account: str | None) -> float | None:
    """When the oldest of the doubtful videos was sent."""
    rows = ledger.videos.of_account(account, UNSETTLED)
    sent = [one.video.intent_at for one in rows if one.video and one.video.intent_at is not None]
    return min(sent, default=None)


def _given_up(
    ledger: Ledger, account: str | None, row_ids: Sequence[int], jobs: Jobs, within_s: float
) -> None:
    """Doubt -> unknown."""
    for row in map(ledger.row, row_ids):
        if row.video is None or row.video.state not in UNSETTLED:
            continue
        found = video_candidates(ledger.videos, account, row, jobs)
        text = f"{len(found)} jobs could be it" if found else "no job that is shown could be it"
        ledger.videos.unknown(
            row.id,
            f"{row.video.error}; its job was looked for, for {within_s:.0f} s: {text}",
            found,
        )
