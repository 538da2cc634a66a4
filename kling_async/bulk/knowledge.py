"""What does the ledger know of who could have made what a look shows? In the terms of evidence."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from attrs import evolve, frozen

from .._calls.pipeline import Pipeline
from ..errors import KlingError
from ..models.evidence import Known
from ..models.sightings import Sent, Sighting
from .ledger import Ledger
from .machine import State
from .outgoing import StepRequests
from .records import ANSWER, GIVEN, Step


@frozen
class Look:
    """What the listings of one account and kind show."""

    seen: Sequence[Sighting]
    complete_since_s: float
    cut: bool
    """Whether a listing looks like a page: then what is not there proves less than nothing."""


class Knowledge:
    """What is known of the steps of one ledger.

    Args:
        ledger: which.
        requests: say what was sent.
        pipeline: knows the time, the clocks' difference, and what single calls have.
    """

    def __init__(self, ledger: Ledger, requests: StepRequests, pipeline: Pipeline) -> None:
        self._ledger = ledger
        self._requests = requests
        self._pipeline = pipeline

    async def of(self, account: str | None, kind: str, look: Look, wants: Collection[int]) -> Known:
        """What else there is: whose the things are, and who could have made them."""
        ledger = self._ledger
        ids = {sighting.id for sighting in look.seen}
        owned = await ledger.owners(account, kind, ids)
        claimed = {one for one in ids if one in owned or (kind, one) in self._pipeline.claims}
        paths = {p for s in look.seen if s.id not in claimed for p in s.paths}
        may_have_made = {step.id: step for step in await ledger.sent(account, kind)}
        likely = {step.id: step for step in await ledger.uses(account, kind, paths)}
        others = {**likely, **may_have_made}
        rivals, settled = list[Sent](), list[Sent]()
        for step in may_have_made.values():
            rivals += await self._borrowed(step)
        for step_id, step in others.items():
            if step_id in wants or (sent := await self.sent(step)) is None:
                continue
            if step_id in may_have_made:
                rivals.append(sent)
            elif step.evidence == ANSWER or step.first_intent_at is None:
                settled.append(sent)
        born = await ledger.fact("born_at")
        return Known(
            now_s=self._pipeline.clock.wall(),
            claimed=claimed,
            before=await ledger.listed_before(account, kind, ids),
            rivals=rivals,
            settled=settled,
            born_s=float(born or 0.0),
            complete_since_s=look.complete_since_s,
            slack=self._pipeline.clock_skew.slack,
        )

    async def sent(self, step: Step) -> Sent | None:
        """A step in the terms of evidence; None where nothing of it can be known again."""
        evidence = self._requests.type_of(step).evidence
        if evidence is None or step.evidence == GIVEN:
            return None
        earlier: Sequence[Step] = ()
        if step.number > 1:
            earlier = (await self._ledger.row_of(step.row_id)).steps[: step.number - 1]
        try:
            request = await self._requests.of(step, step.account, earlier)
        except KlingError:
            return None  # its file is gone, and it has no address yet
        never = step.first_intent_at is None
        since_s = step.changed_at if never else step.first_intent_at
        sent = evidence.sent(
            request,
            account=step.account,
            own=step.own,
            own_mark=step.mark is not None,
            since_s=since_s,
            never_sent=never,
        )
        if self._requests.spec(step).shares_tokens and not step.own:
            shared = {
                f"{one.number}.{name}": path
                for one in earlier
                if (before := await self.sent(one)) is not None
                for name, path in before.paths.items()
                if name in before.own
            }
            paths = {**sent.paths, **shared}
            sent = evolve(sent, paths=paths, own=sent.own | frozenset(shared))
        return sent

    async def _borrowed(self, step: Step) -> list[Sent]:
        """Of a video of another row's avatar: the addresses that were made for that avatar.

        The video shows them as well, so they are not that row's alone any more.
        """
        if step.kind != "task":
            return []
        named = step.payload.get("avatar_id")
        if step.number > 1:
            first = (await self._ledger.row_of(step.row_id)).steps[0]
            named = first.remote_id if first.evidence == GIVEN else None
        if not isinstance(named, str):
            return []
        found = await self._ledger.owners(step.account, "avatar", [named])
        borrowed = list[Sent]()
        for owner in found.values():
            made = await self.sent(await self._ledger.step(owner))
            paths = {} if made is None else {name: made.paths[name] for name in made.own}
            borrowed.append(
                Sent(
                    kind=step.kind, account=step.account, paths=paths, since_s=step.first_intent_at
                )
            )
        return borrowed

    def begun(self, step: Step) -> State:
        """Where a step goes on whose result was found."""
        return "running" if self._requests.type_of(step).starts_task else "done"
