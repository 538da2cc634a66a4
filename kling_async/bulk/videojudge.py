"""Which doubtful videos does a look at the jobs settle? The rules of evidence. No I/O but SQL.

Only presence concludes, and only an exact token does:

- the `replyRef` of the row, which the scheduler shows as long as it tracks the job;
- the address of audio that was uploaded or rendered for this row alone, or else of the portrait
  that was uploaded for it alone and that its avatar was made of; unique in the ledger, and shown by
  the tasks of the account among their inputs.

Texts and addresses of the user's own may be anybody's: they only make candidates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import define, field, frozen

from ..models.scheduler import RunningTask
from ..models.task_evidence import input_paths
from ..models.tasks import Task
from ..settings import CLOCK_SLACK_S
from .ledger import Ledger
from .ledgerview import LedgerView
from .records import Record
from .videorecords import OPEN, UNSETTLED, State, VideoRecord
from .videoview import VideoView

CANDIDATES = 5
"""Jobs that an unknown row lists at most."""


@frozen
class Jobs:
    """What a look shows: the jobs that are tracked, of all accounts, and one account's latest."""

    running: Sequence[RunningTask]
    tasks: Sequence[Task]


@define
class Verdicts:
    """What a look came to."""

    adopted: list[int] = field(factory=list)
    """Rows whose job is known now."""
    surplus: list[int] = field(factory=list)
    """Jobs that carry a row's token besides the one it got; reported, never touched."""


def judge_videos(
    ledger: Ledger, account: str | None, jobs: Jobs, *, restored: bool = False
) -> Verdicts:
    """Adopt what is proven among the rows of `account` that are not settled.

    Args:
        ledger: inside a transaction.
        account: whose rows.
        jobs: what there is.
        restored: look for rows as well that were never sent as far as this ledger knows: it may be
            an old copy.
    """
    states: tuple[State, ...] = (*OPEN, *UNSETTLED) if restored else UNSETTLED
    verdicts = Verdicts()
    with_path = _by_path(jobs.tasks)
    with_ref = _by_ref(jobs.running, account)
    for row in ledger.videos.of_account(account, states):
        found = _proven(ledger, row, with_ref, with_path)
        mine = [one for one in found if ledger.videos.owner_of(account, one) is None]
        if not mine or row.video is None:
            continue
        late = row.video.state == "unknown"
        ledger.videos.adopt(row.id, account, mine[0], "adopted-late" if late else "adopted")
        verdicts.adopted.append(row.id)
        verdicts.surplus += mine[1:]
    return verdicts


def video_candidates(view: VideoView, account: str | None, row: Record, jobs: Jobs) -> list[str]:
    """Ids of jobs that could be the row's, for the user to decide; the likeliest first."""
    video = row.video
    if video is None:
        return []
    alike = _by_path(jobs.tasks).get(video.token or "", [])
    found = dict.fromkeys(one.id for one in (*alike, *jobs.tasks) if _timely(video, one))
    free = [one for one in found if view.owner_of(account, one) is None]
    return [str(one) for one in free[:CANDIDATES]]


def _proven(
    view: LedgerView,
    row: Record,
    with_ref: Mapping[str, list[int]],
    with_path: Mapping[str, list[Task]],
) -> list[int]:
    """The jobs that are the row's beyond doubt, oldest first."""
    video = row.video
    if video is None:
        return []
    found = list(with_ref.get(video.reply_ref or "", ()))
    if (token := _own_token(view, row, video)) is not None:
        # Older ones can't be its: should equal files get one address, they are an earlier row's.
        found += (one.id for one in with_path.get(token, ()) if _timely(video, one))
    return sorted(dict.fromkeys(found))  # ids grow with time


def _own_token(view: LedgerView, row: Record, video: VideoRecord) -> str | None:
    """The path of what was uploaded or rendered for this row alone, audio before portrait."""
    if video.token is not None and video.token_kind in ("upload", "speech"):
        # That equal audio is stored apart is unproven, so it must be the only one here.
        return video.token if len(view.videos.with_token(video.token)) == 1 else None
    if (
        row.token is not None
        and row.token_kind == "upload"
        and len(view.with_token(row.token)) == 1
    ):
        return row.token
    return None


def _by_ref(running: Iterable[RunningTask], account: str | None) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for one in running:
        if one.reply_ref and (account is None or _same(one.email, account)):
            found.setdefault(one.reply_ref, []).append(one.id)
    return found


def _same(email: str | None, account: str) -> bool:
    return email is None or email.casefold() == account.casefold()


def _by_path(tasks: Iterable[Task]) -> dict[str, list[Task]]:
    found: dict[str, list[Task]] = {}
    for one in tasks:
        for path in set(input_paths(one)):
            found.setdefault(path, []).append(one)
    return found


def _timely(video: VideoRecord, task: Task) -> bool:
    """Whether the task was made after the video was sent, as far as clocks can tell."""
    if video.intent_at is None or task.create_time_ms is None:
        return False
    return task.create_time_ms / 1000 >= video.intent_at - CLOCK_SLACK_S
