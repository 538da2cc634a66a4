"""When are lost creates looked for? One look per account and kind serves all its steps in doubt.

What a look proves is decided by `models/evidence.py`, with what the ledger knows; each decision is
applied as a compare-and-set, so one that comes too late changes nothing and is taken again at the
next look. Only presence concludes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from attrs import define, field

from .. import settings
from .._calls.pipeline import Options, Pipeline
from ..errors import KlingError
from ..models.evidence import Decided, complete_since, decide, look_alikes, looks_cut
from ..models.requests import Request
from ..models.sightings import Evidence, Sighting
from .health import LooksMadeError
from .knowledge import Knowledge, Look
from .ledger import Ledger
from .machine import UNSETTLED
from .outgoing import StepRequests
from .records import RECOVERED, Applied, Change, Listed, Step
from .task_group import TaskGroup

log: Final = logging.getLogger("kling_async")

ABSENCE_AFTER_S = 1800.0
"""How long an absence must last at least before `resend_after_absence` believes it."""
CANDIDATES = 5
"""Things that an unknown step lists at most."""


@define(eq=False)
class _Watched:
    """One account and kind."""

    account: str | None
    evidence: Evidence
    waiting: dict[int, float] = field(factory=dict)
    """Step id -> when to give it up, on the monotonic clock."""
    news: asyncio.Event = field(factory=asyncio.Event)
    watcher: asyncio.Task[None] | None = None
    preparing: asyncio.Task[None] | None = None
    prepared: bool = False
    longest: int = 0
    """The most that its listing was ever seen to show."""
    free: dict[str, list[Sighting]] = field(factory=dict)
    """Path -> things that the first look of this run showed, and that no step has."""


class Doubts:
    """Looks for the steps in doubt of one run.

    Args:
        pipeline: lists, sleeps and tells the time.
        options: of each call.
        ledger: what is known.
        requests: say what was sent.
        settled: is given each step when it is settled, one way or another.
        group: does the looking; its tasks end when nothing is in doubt.
        again: rows that look as if they were made already are made.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        options: Options,
        ledger: Ledger,
        requests: StepRequests,
        settled: Callable[[Step], Awaitable[None]],
        group: TaskGroup,
        *,
        again: bool = False,
    ) -> None:
        retry = options.retry
        self.surplus: dict[str, list[str]] = {}
        """Kind -> things found beside those that steps got, with their marks; nobody's."""
        self._resend = retry.resend_after_absence
        self._within_s = retry.reconcile_within_s
        if self._resend:
            self._within_s = max(self._within_s, ABSENCE_AFTER_S)
        self._pipeline = pipeline
        self._options = options
        self._clock = pipeline.clock
        self._ledger = ledger
        self._knowledge = Knowledge(ledger, requests, pipeline)
        self._settled = settled
        self._group = group
        self._again = again
        self._watched: dict[tuple[str | None, str], _Watched] = {}

    @property
    def open(self) -> int:
        """How many steps are in doubt now."""
        return sum(len(one.waiting) for one in self._watched.values())

    @property
    def open_s(self) -> float:
        """Seconds until the last step that is in doubt now is given up; 0 where none is."""
        until_s = [at for one in self._watched.values() for at in one.waiting.values()]
        return max(0.0, max(until_s) - self._clock.monotonic()) if until_s else 0.0

    def is_prepared(self, account: str | None, evidence: Evidence) -> bool:
        """Whether `prepared` has looked at what is there; cheap."""
        one = self._watched.get((account, evidence.kind))
        return one is not None and one.prepared

    async def prepared(self, account: str | None, evidence: Evidence) -> None:
        """Once in a run, before anything of this kind is sent for `account`: see what is there.

        What an earlier run left unsettled is looked for as well.

        Raises:
            KlingError: the account can't be listed; the next call tries again. `LooksMadeError`:
                rows of the input seem to be made already.
        """
        one = self._of(account, evidence)
        task = one.preparing
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = one.preparing = asyncio.create_task(self._prepare(one))
        await asyncio.shield(task)

    def go_without(self, account: str | None, evidence: Evidence) -> None:
        """The first look is not to be had, and not needed."""
        self._of(account, evidence).prepared = True

    def check_new(self, step: Step, request: Request[Any], account: str | None) -> None:
        """Raise LooksMadeError where a step that was never sent looks as if it was made already.

        For rows that come after the first look: it has checked all that were known by then.
        """
        if (
            step.first_intent_at is not None
            or self._again
            or (evidence := type(request).evidence) is None
        ):
            return
        free = self._of(account, evidence).free
        if free:
            sent = evidence.sent(request, account=account)
            there = [one for path in sent.paths.values() for one in free.get(path, ())]
            if found := look_alikes({step.id: sent}, there, frozenset()):
                raise LooksMadeError(account, evidence.kind, {step.key: found[step.id][0].id})

    def add(self, step: Step, evidence: Evidence) -> None:
        """A step is in doubt from now on."""
        one = self._of(step.account, evidence)
        one.waiting[step.id] = self._clock.monotonic() + self._within_s
        one.news.set()
        if one.watcher is None or one.watcher.done():
            one.watcher = self._group.start(self._watch(one))

    async def aclose(self) -> None:
        """Prepare nothing any more; the steps in doubt stay so for the next run."""
        tasks = [one.preparing for one in self._watched.values() if one.preparing is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- looking ------------------------------------------------------------------------------

    def _of(self, account: str | None, evidence: Evidence) -> _Watched:
        key = (account, evidence.kind)
        if key not in self._watched:
            self._watched[key] = _Watched(account, evidence)
        return self._watched[key]

    async def _prepare(self, one: _Watched) -> None:
        """The first look of a run, the baseline of a ledger, and what an old copy may not know."""
        wanted = await self._ledger.unsettled(
            one.account, one.evidence.kind, states=(*UNSETTLED, "ready")
        )
        look = await self._look(one, wanted)
        if not await self._ledger.was_listed(one.account, one.evidence.kind):
            await self._ledger.keep_listing(one.account, one.evidence.kind, map(_listed, look.seen))
        else:
            await self._decide(one, look, wanted)
        if not self._again and one.evidence.likeness:
            await self._refuse_made(one, look)
        one.prepared = True

    async def _watch(self, one: _Watched) -> None:
        """Look until nothing is in doubt; soon again when another step is."""
        looks = 0
        while one.waiting:
            if one.news.is_set():
                one.news.clear()
                looks = 0
            waits = settings.LOOK_AFTER_S
            left_s = min(one.waiting.values()) - self._clock.monotonic()
            await self._clock.sleep(max(0.0, min(waits[min(looks, len(waits) - 1)], left_s)))
            looks += 1
            look: Look | None = None
            # What comes into doubt meanwhile is not looked for by this look, however long it takes.
            looked_for = frozenset(one.waiting)
            undecided: dict[int, Decided] = {}
            try:
                wanted = await self._ledger.unsettled(one.account, one.evidence.kind)
                left = {step.id for step in wanted}
                for step_id in [step_id for step_id in one.waiting if step_id not in left]:
                    await self._tell(one, step_id)  # another worker has settled it
                look = await self._look(one, wanted)
            except KlingError as exc:
                log.info("steps in doubt could not be looked for: %s", type(exc).__name__)
            else:
                undecided = await self._decide(one, look, wanted)
            await self._give_up(one, looked_for, look, undecided)

    async def _look(self, one: _Watched, wanted: Sequence[Step]) -> Look:
        """What is there now, back to the oldest sending among `wanted`."""
        sent_s = [step.first_intent_at for step in wanted if step.first_intent_at is not None]
        since_s = min(sent_s) - settings.CLOCK_SLACK_S if sent_s else None
        seen: dict[tuple[str, str], Sighting] = {}
        cut, complete_since_s = False, float("-inf")
        for listing in one.evidence.listings(one.account):
            shown: dict[str, Sighting] = {}
            page: Request[Any] | None = listing
            for _ in range(settings.LOOK_PAGES):
                if page is None:
                    break
                listed = await self._pipeline.send(page, self._options)
                known = len(shown)
                there = [one.evidence.sighting(thing, one.account) for thing in listed]
                self._pipeline.clock_skew.listed(there)
                shown |= {sighting.id: sighting for sighting in there}
                go_on = since_s is not None and len(shown) > known
                page = one.evidence.next_page(page, listed, since_s or 0.0) if go_on else None
            here = list(shown.values())
            complete_since_s = max(complete_since_s, complete_since(here, one.longest))
            cut = cut or looks_cut(len(here), one.longest)
            one.longest = max(one.longest, len(here))
            seen |= {(listing.operation, name): sighting for name, sighting in shown.items()}
        return Look(tuple(seen.values()), complete_since_s, cut)

    # --- deciding -----------------------------------------------------------------------------

    async def _decide(
        self, one: _Watched, look: Look, wanted: Sequence[Step]
    ) -> dict[int, Decided]:
        """Apply what is proven; what is not, by step."""
        wants = {
            step.id: step
            for step in wanted
            if step.state != "ready" or step.own or step.first_intent_at is not None
        }
        if not wants:
            return {}
        sent = {step.id: await self._knowledge.sent(step) for step in wants.values()}
        known = await self._knowledge.of(one.account, one.evidence.kind, look, wants)
        decided = decide({key: s for key, s in sent.items() if s is not None}, look.seen, known)
        left: dict[int, Decided] = {}
        for step_id, of_step in decided.items():
            if of_step.found is None:
                left[step_id] = of_step
                continue
            step, found = wants[step_id], of_step.found
            evidence: str = of_step.evidence or "adopted"
            if step.state == "ready":  # to be sent again, or by an old copy of the ledger
                evidence = RECOVERED
            elif step.state == "unknown":
                evidence = "adopted-late"
            change = Change(
                step_id=step_id,
                event="found",
                to=self._knowledge.begun(step),
                values={"account": step.account or one.account, "evidence": evidence},
                claim=found.id,
            )
            if await self._ledger.apply(change) is not Applied.YES:
                continue  # somebody else has it by now: the next look decides again
            more = [s.id for s in of_step.surplus]
            self.surplus.setdefault(one.evidence.kind, []).extend(more)
            await self._tell(one, step_id)
        return left

    # --- what was looked for in vain ----------------------------------------------------------

    async def _give_up(
        self,
        one: _Watched,
        looked_for: frozenset[int],
        look: Look | None,
        undecided: dict[int, Decided],
    ) -> None:
        """Doubt -> unknown, or ready where the user wanted absence to count."""
        now_s = self._clock.monotonic()
        late = [key for key, until_s in one.waiting.items() if now_s >= until_s]
        for step_id in looked_for.intersection(late):
            step = await self._ledger.step(step_id)
            if step.state != "doubt":
                await self._tell(one, step_id)
                continue
            of_step = undecided.get(step_id, Decided())
            if self._may_resend(step, one, look, of_step):
                why = f"absent from a whole listing for {self._within_s:.0f} s, as you opted for"
                change = Change(step_id=step_id, event="resent", values={"error": why})
            else:
                change = self._given_up(step, one, look, of_step)
            await self._ledger.apply(change)
            await self._tell(one, step_id)

    def _may_resend(self, step: Step, one: _Watched, look: Look | None, decided: Decided) -> bool:
        """Only a step that its own address would have shown, and nothing could be it."""
        there = look is not None and not look.cut and not decided.candidates
        return self._resend and there and one.evidence.likeness and bool(step.own)

    def _given_up(self, step: Step, one: _Watched, look: Look | None, decided: Decided) -> Change:
        candidates = [sighting.id for sighting in decided.candidates[:CANDIDATES]]
        avatar = one.evidence.kind != "task"
        thing, its = ("avatar" if one.evidence.kind == "avatar" else "thing", "it")
        if not avatar:
            thing, its = "job", "its job"
        count = f"1 {thing}" if len(candidates) == 1 else f"{len(candidates)} {thing}s"
        text = f"{count} could be it, but {decided.why}"
        if look is None:
            text = "at its end no listing was had"
        elif not candidates:
            text = "nothing listed could be it" if avatar else "no job that is shown could be it"
        error = f"{step.error}; {its} was looked for, for {self._within_s:.0f} s: {text}"
        values = {"error": error, "candidates": candidates}
        return Change(step_id=step.id, event="given_up", values=values)

    async def _tell(self, one: _Watched, step_id: int) -> None:
        if one.waiting.pop(step_id, None) is not None:  # else nobody of this run waits for it
            await self._settled(await self._ledger.step(step_id))

    # --- what was never sent, and is there ----------------------------------------------------

    async def _refuse_made(self, one: _Watched, look: Look) -> None:
        """Raise where rows that were never sent look as if they were made already."""
        account, kind = one.account, one.evidence.kind
        claimed = await self._ledger.owners(account, kind, {s.id for s in look.seen})
        free = [s for s in look.seen if s.id not in claimed]
        users = await self._ledger.uses(account, kind, {p for s in free for p in s.paths})
        named = [step for step in users if not step.own]
        sent = {step.id: await self._knowledge.sent(step) for step in named}
        known = {step.id: s for step in named if (s := sent[step.id]) is not None}
        begun = {step.id for step in named if step.first_intent_at is not None}
        # What a step that was sent may have made is most likely that.
        explained = look_alikes({k: s for k, s in known.items() if k in begun}, free, frozenset())
        theirs = {s.id for there in explained.values() for s in there}
        free = [s for s in free if s.id not in theirs]
        for sighting in free:
            for path in sighting.paths:
                one.free.setdefault(path, []).append(sighting)
        new = {
            step.id: known[step.id]
            for step in named
            if step.state in ("planned", "ready") and step.id in known and step.id not in begun
        }
        found = look_alikes(new, free, frozenset())
        if found:
            keys = {step.id: step.key for step in named}
            raise LooksMadeError(
                account, kind, {keys[k]: there[0].id for k, there in found.items()}
            )


def _listed(sighting: Sighting) -> Listed:
    return Listed(
        remote_id=sighting.id,
        paths=sorted(sighting.paths),
        shown={
            name: value
            for name, value in sighting.shown.items()
            if isinstance(value, (str, int, float))
        },
        made_at_s=sighting.made_at_s,
    )
