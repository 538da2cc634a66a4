"""How does one step go on? From its state to the next one, until it is over or has to wait.

This is the only code of bulk that sends. What differs between operations is said by the request's
class, its evidence and the recipe. Each arrow is in the ledger, so a run goes on where one ended.

    planned, ready  -> `_begin`     files go up once, the intent is on disk, the request goes out
    running         -> `_wait`      for the end of its task
    made            -> `_save`      each work becomes a file
    doubt, unknown  -> `_look`      what was lost is looked for by `doubts.py`

What an error means for a step is said once, in `_write_down`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from attrs import evolve

from .._calls.pipeline import Options, Pipeline
from .._calls.preparations import prepared
from .._calls.retry import parks
from ..errors import (
    JSON,
    ConfigurationError,
    DeadlineExceededError,
    GoneError,
    InsufficientCreditsError,
    InvalidRequestError,
    KlingError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitedError,
    TaskFailedError,
)
from ..models.checks import url_path
from ..models.requests import Request, address_at
from ..models.sightings import Evidence
from ..models.tasks import Task
from .doubts import Doubts
from .health import WAIT_FOR_SLOT_S, AccountHealth, NotKeptError, ends_the_run
from .ledger import Ledger
from .machine import PAID, Event, State
from .outcomes import Done, Failed, InDoubt, Outcome, PutOff, Stopped, Unknown, outcome_of
from .outgoing import StaleStepError, StepIntent, StepRequests, StoppingError
from .records import ANSWER, INVALID, MISSING, Applied, Change, Step
from .slots import SharedSlots
from .task_group import Hold
from .works import Works

log: Final = logging.getLogger("kling_async")

MOST_OVERTAKEN = 3
"""How often in a row the ledger may say otherwise of a step before it is left to the next run."""


class Stepper:
    """Carries steps on, for any number of workers.

    Args:
        pipeline: sends.
        options: of each call; a lost answer is not looked for call by call.
        ledger: remembers.
        requests: say what a step sends.
        doubts: looks for what was lost.
        health: knows what stops more than one step.
        works: waits for tasks and brings their files.
        stopping: whether the run begins nothing any more.
        pay_again: a task that was begun and is not to be found is begun once more.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        options: Options,
        ledger: Ledger,
        requests: StepRequests,
        doubts: Doubts,
        health: AccountHealth,
        works: Works,
        stopping: Callable[[], bool],
        *,
        pay_again: bool = False,
    ) -> None:
        self.running: int = 0
        """Tasks at Kling that are waited for."""
        self.left_running: int = 0
        """Tasks at Kling that were not waited for to their end."""
        self._begun: dict[int, Task] = {}
        """By step: the task that began in this run, and is not waited for yet."""
        self._pipeline = pipeline
        self._options = options
        self._ledger = ledger
        self._requests = requests
        self._doubts = doubts
        self._health = health
        self._works = works
        self._slots = SharedSlots(pipeline, ledger)
        self._stopping = stopping
        self._pay_again = pay_again
        self._paid_again: set[int] = set()
        self._handlers: dict[State, Callable[[Step, Hold], Awaitable[Outcome | None]]] = {
            "planned": self._begin,
            "ready": self._begin,
            "running": self._wait,
            "made": self._save,
            "doubt": self._look,
            "unknown": self._look,
        }

    async def advance(self, step: Step, hold: Hold) -> Outcome:
        """Carry the step on as far as it goes now.

        Args:
            step: as the ledger has it.
            hold: is set while the step must not be interrupted.

        Raises:
            KlingError: one after which no step can go on; the ledger's, first of all.
        """
        hold.overtaken, hold.account = 0, None
        while True:
            if self._stopping():
                self.left_running += step.state == "running"
                return Stopped(step)
            try:
                outcome = await self._handlers[step.state](step, hold)
            except KlingError as exc:
                hold.settling = True
                outcome = await self._write_down(step, exc, hold)
            if outcome is None:
                step = await self._ledger.step(step.id)
                outcome = outcome_of(step)
            hold.settling = False
            if outcome is not None:
                return outcome

    def account_of(self, step: Step, earlier: Sequence[Step] = ()) -> str | None:
        """Whose the step is: as the ledger says, as its row says, or as the registry chooses.

        Args:
            step: which.
            earlier: the steps before it in its row; it goes where they went.
        """
        for known in (step, *reversed(earlier)):
            if known.account is not None:
                return known.account
        named = self._requests.named_account(step, earlier)
        chosen = self._pipeline.choose(named)
        if named is None:
            for _ in range(len(self._pipeline.accounts)):
                if chosen not in self._health.parked:
                    break
                chosen = self._pipeline.choose(None)
        return chosen

    async def contest(self, step: Step) -> None:
        """Intent -> unknown: the id that the server answered with is another step's."""
        text = f"the server answered with id {step.remote_id}, which is another row's"
        await self._apply(step, "contested", error=text, candidates=[str(step.remote_id)])

    # --- the handlers -------------------------------------------------------------------------

    async def _begin(self, step: Step, hold: Hold) -> Outcome | None:
        """Planned, ready -> intent -> running | done: the request that is paid for."""
        earlier: Sequence[Step] = ()
        if step.number > 1:
            earlier = (await self._ledger.row_of(step.row_id)).steps[: step.number - 1]
        if hold.account is None:  # chosen once, however often it is looked at again
            hold.account = self.account_of(step, earlier)
        account = hold.account
        kind = self._requests.type_of(step)
        if (why := self._health.put_off(account, costs_credits=kind.starts_task)) is not None:
            return PutOff(evolve(step, account=account), why)
        evidence = kind.evidence
        if evidence is not None and not self._doubts.is_prepared(account, evidence):
            if (why := await self._first_look(account, evidence)) is not None:
                return PutOff(evolve(step, account=account), why)
            return None  # an old copy of a ledger: it may be there already
        request = await self._requests.of(step, account, earlier)
        self._doubts.check_new(step, request, account)
        request, values = await self._prepare(step, request, account)
        if kind.starts_task:
            await self._slots.take(step, request, account)
        rated = self._pipeline.admission.keeps_rate
        intent = StepIntent(self._ledger, step, values, hold, self._stopping, keeps_rate=rated)
        retry, clock = self._options.retry, self._pipeline.clock
        until_s = clock.monotonic() + WAIT_FOR_SLOT_S
        result: Any = None
        while True:
            began_s = clock.wall()
            try:
                result = await self._pipeline.send(request, self._options, intent)
            except RateLimitedError as exc:  # a pause, or no job slot is free: its turn comes
                too_long = (exc.retry_after_s or 0) > retry.retry_after_max_s
                if retry.attempts == 1 or too_long or clock.monotonic() >= until_s:
                    raise
            else:
                break
        remote_id = str(result.id)
        self._pipeline.clock_skew.answered(remote_id, began_s, clock.wall())
        state: State = "running" if kind.starts_task else "done"
        begun = evolve(
            step, account=account, state=state, remote_id=remote_id,
            attempts=intent.attempts, evidence=ANSWER, error=None,
        )  # fmt: skip
        answered = Change(step_id=step.id, event="answered", to=state, claim=remote_id)
        if not kind.starts_task:
            # Nobody waits for this one: the worker's next intent comes into the same commit.
            written = self._ledger.post(answered)
            hold.in_flight = False
            return Done(begun, written)
        hold.settling = True
        if await self._ledger.apply(answered) is Applied.CLAIMED:
            await self.contest(begun)
        task_type = result.type if isinstance(result, Task) else None
        self._begun[step.id] = Task(id=int(remote_id), type=task_type)
        hold.in_flight = False
        return None

    async def _wait(self, step: Step, hold: Hold) -> Outcome | None:
        """Running -> made, or done where no file is wanted."""
        hold.account = step.account
        self.running += 1
        try:
            task = await self._works.wait(step, self._options, self._begun.get(step.id))
        except asyncio.CancelledError:
            self.left_running += 1
            raise
        finally:
            self.running -= 1
            self._begun.pop(step.id, None)
        works = self._works.records(task)
        saves = self._requests.saves(step)
        if saves and not works:
            raise DeadlineExceededError(
                f"task {task.id} has succeeded and shows no work yet", task=task
            )
        hold.settling = True
        to: State = "made" if saves else "done"
        await self._ledger.apply(Change(step_id=step.id, event="finished", to=to, works=works))
        return None

    async def _save(self, step: Step, hold: Hold) -> Outcome | None:
        """Made -> done: every work that has no file yet is brought."""
        hold.account = step.account
        if not self._requests.saves(step):
            return PutOff(step, "its files are still to be fetched: say where to (--save-to)")
        await self._works.save(step, self._options, label=self._requests.spec(step).label)
        return None

    async def _look(self, step: Step, hold: Hold) -> Outcome | None:
        """What an earlier run left unsettled: one look more, or many while it is in doubt."""
        evidence = self._requests.type_of(step).evidence
        if evidence is None:
            return Unknown(step)
        if not self._doubts.is_prepared(step.account, evidence):
            try:
                await self._doubts.prepared(step.account, evidence)
            except KlingError as exc:
                if ends_the_run(exc):
                    raise
                log.info("what was lost could not be looked for: %s", type(exc).__name__)
        now = await self._ledger.step(step.id)
        if now.state == "doubt":
            self._doubts.add(now, evidence)
            return InDoubt(now)
        return outcome_of(now)

    # --- around them --------------------------------------------------------------------------

    async def _first_look(self, account: str | None, evidence: Evidence) -> str | None:
        """See what there is before anything is sent for the account; why nothing may be.

        Where a look is only wanted for what might get lost, the step is sent all the same.
        """
        try:
            await self._doubts.prepared(account, evidence)
        except KlingError as exc:
            if ends_the_run(exc):
                raise
            if isinstance(exc, NotSentError):
                self._health.server_unreachable(exc)
            elif evidence.likeness or parks(exc):
                self._health.park(account, exc)
            else:
                self._doubts.go_without(account, evidence)
                return None
            return f"its account can't be listed: {exc}"
        return None

    async def _prepare(
        self, step: Step, request: Request[Any], account: str | None
    ) -> tuple[Request[Any], dict[str, JSON]]:
        """The request as it goes out, and what its intent says beside the time.

        What was uploaded or rendered for it is in the ledger before it is used, and is used again.
        """
        values: dict[str, JSON] = {"account": account}
        ready, filled = await prepared(
            request, account, lambda part: self._pipeline.send(part, self._options)
        )
        evidence = type(ready).evidence
        if evidence is not None and step.mark is None:
            marked = evidence.marked(ready)
            if marked is not ready:
                ready, values["mark"] = marked, evidence.sent(marked, account=account).mark
        if filled:
            addresses = {name: address_at(ready, name) for name in filled}
            values |= {
                "addresses": {**step.addresses, **addresses},
                "own": sorted({*step.own, *filled}),
                "tokens": {url_path(url): True for url in addresses.values()},
            }
            applied = await self._ledger.apply(
                Change(step_id=step.id, event="prepared", values=values, digest=step.digest)
            )
            if applied is not Applied.YES:
                raise StaleStepError("the ledger says otherwise of it by now")
            values = {"account": account}
        if ready.email != account:
            ready = evolve(ready, email=account)
        return ready, values

    async def _write_down(self, step: Step, error: KlingError, hold: Hold) -> Outcome | None:
        """What an error means in bulk: for this step, its account and the run. The one table."""
        if ends_the_run(error):
            raise error
        if isinstance(error, StoppingError):
            return Stopped(step)
        if isinstance(error, StaleStepError):
            hold.overtaken += 1
            return await self._overtaken(step, hold)
        account, text = hold.account, str(error)
        if hold.in_flight and isinstance(error, DeadlineExceededError):  # before the first byte
            await self._apply(step, "retracted", error=text)
            hold.in_flight = False
        if hold.in_flight and isinstance(error, OutcomeUnknownError):
            await self._apply(step, "lost", error=text)
            hold.in_flight = False
            if parks(error.__cause__):
                self._health.park(account, error)
            return await self._look(await self._ledger.step(step.id), hold)
        hold.in_flight = False
        why = self._put_off(step, account, error)
        over = isinstance(error, (TaskFailedError, NotFoundError, GoneError))
        if why is None and step.state == "running" and not over:
            why = text  # it is paid for: as long as it may end well, it stays
        if why is not None:
            await self._apply(step, "put_off", error=why)
            return PutOff(evolve(await self._ledger.step(step.id), account=account), why)
        missing = step.state == "running" and not isinstance(error, TaskFailedError)
        # What was refused here before it was ever sent (its file is gone) is looked at again by
        # the next run.
        local = not step.attempts and isinstance(error, InvalidRequestError)
        evidence = MISSING if missing else INVALID if local else None
        await self._apply(step, "failed", error=text, evidence=evidence)
        if missing and self._pay_again and step.id not in self._paid_again:
            self._paid_again.add(step.id)  # once: the next one may be missing as well
            again = Change(step_id=step.id, event="reopened", to="planned")
            await self._ledger.apply(again)
        return None

    def _put_off(self, step: Step, account: str | None, error: KlingError) -> str | None:
        """Why the step stays to be done, though nothing is wrong with it; None: it has failed."""
        health = self._health
        if isinstance(error, (NotSentError, ConfigurationError)):
            return health.server_unreachable(error)
        if isinstance(error, NotKeptError):
            return health.unwritable(error)
        if isinstance(error, DeadlineExceededError):
            return str(error)
        if isinstance(error, RateLimitedError):
            if (error.retry_after_s or 0) > health.longest_wait_s:
                return health.park(account, error)
            return f"it was refused for now, and stays to be done: {error}"
        costs = step.state not in PAID and self._requests.type_of(step).starts_task
        if isinstance(error, InsufficientCreditsError) and costs:
            return health.no_credits(account, error)
        if parks(error):
            health.park(account, error)
        return None

    async def _overtaken(self, step: Step, hold: Hold) -> Outcome | None:
        """The ledger let nothing go out: it is settled by now, or says something else."""
        now = await self._ledger.step(step.id)
        if now.digest == step.digest:
            if hold.overtaken <= MOST_OVERTAKEN:
                return None
            return PutOff(now, "the ledger does not let it out; the next run tries again")
        text = "its key was given again with another content; keys must differ. Nothing was sent"
        return Failed(evolve(now, state="failed", error=text))

    async def _apply(self, step: Step, event: Event, **values: Any) -> Applied:
        return await self._ledger.apply(Change(step_id=step.id, event=event, values=values))
