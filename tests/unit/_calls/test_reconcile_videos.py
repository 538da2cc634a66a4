"""Whatever happens in whatever order, nobody gets somebody else's job, and no two calls the same.

A machine of Hypothesis plays calls of one client, other writers on the same accounts, and a server
that may give equal files equal addresses. Jobs start late, end early, and are listed as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from attrs import define, evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kling_async import CreateAvatarVideo, ListRunning, Request, RunningTask, Task
from kling_async._calls.reconcile import PendingCreate, Reconciler
from kling_async.emulator import sample_png
from kling_async.models.task_evidence import TaskEvidence

ADA, BEN = "ada@example.com", "ben@example.com"
MP3 = b"ID3\x04\0\0" + b"\0" * 64
START_S = 1_784_000_000.0


@define(eq=False)
class Job:
    """A job at Kling."""

    id: int
    account: str | None
    ref: str | None
    urls: tuple[str, ...]
    at_s: float
    runs: bool


@define(eq=False)
class Call:
    """A call of ours, and the job it made, if it did."""

    pending: PendingCreate[Task]
    sent_s: float
    own_mark: bool
    job: Job | None = None


class StandingClock:
    """Time passes when it is told to, and while one looks."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return START_S + self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


HOW = st.sampled_from(["given", "uploaded", "of an equal file", "of an equal file"])
WHICH = st.integers(0, 5)
SELDOM = st.sampled_from([False, False, False, True])  # a job that runs is told by its mark alone
some_are_open = precondition(lambda self: self.open)


class Calls(RuleBasedStateMachine):
    """The client, its accounts, and everybody else."""

    @initialize(skew_s=st.sampled_from([-500, 0, 500]))
    def begin_world(self, skew_s: float) -> None:
        self.clock = StandingClock()
        self.reconciler = Reconciler(self.clock)
        self.skew_s = skew_s
        self.jobs: list[Job] = []
        self.open: list[Call] = []
        self.left: list[Call] = []
        self.taken: list[int] = []
        self.files = 0

    # --- calls ---

    @rule(
        account=st.sampled_from((ADA, ADA, BEN)),
        image=HOW,
        audio=HOW,
        ref=st.sampled_from([None, "mine"]),
        arrives=st.booleans(),
        runs=SELDOM,
    )
    def send(
        self, account: str, image: str, audio: str, ref: str | None, arrives: bool, runs: bool
    ) -> None:
        given = CreateAvatarVideo(
            image_url=self._address("i", image), audio_url=self._address("a", audio), reply_ref=ref
        )
        sent = TaskEvidence().marked(given)
        files = {"image_url": {"image": sample_png()}, "audio_url": {"audio": MP3}}
        for name, how in (("image_url", image), ("audio_url", audio)):
            if how != "given":
                given = evolve(given, **{name: None}, **files[name])
        pending = self.reconciler.begin(sent, account, given)
        assert pending is not None
        call = Call(pending, self.clock.wall(), own_mark=ref is None)
        self.open.append(call)
        if arrives:
            self._carry_out(call, runs)

    def _address(self, kind: str, how: str) -> str:
        if how != "uploaded":
            return f"https://x.y/{kind}" if how == "given" else f"https://kling/same-{kind}"
        self.files += 1
        return f"https://kling/{kind}{self.files}"

    def _carry_out(self, call: Call, runs: bool) -> None:
        if call.job is None:
            call.job = self._job(call.pending.account, call.pending.request, runs)

    @some_are_open
    @rule(which=WHICH, runs=SELDOM)
    def arrive(self, which: int, runs: bool) -> None:
        self._carry_out(self.open[which % len(self.open)], runs)

    @precondition(lambda self: self.left)
    @rule(which=WHICH, runs=SELDOM)
    def arrive_late(self, which: int, runs: bool) -> None:
        """Its caller has left long ago."""
        self._carry_out(self.left[which % len(self.left)], runs)

    @some_are_open
    @rule(which=WHICH)
    def answer(self, which: int) -> None:
        """With its result, or plainly refused."""
        call = self.open[which % len(self.open)]
        if call.pending.in_doubt:
            return
        if call.job is not None:
            self.reconciler.answered(call.pending, Task(id=call.job.id))
            self.taken.append(call.job.id)
        self._end(call, lost=False)

    @some_are_open
    @rule(which=WHICH)
    def leave(self, which: int) -> None:
        """Its caller is cancelled, or told that the outcome is unknown."""
        call = self.open[which % len(self.open)]
        self._end(call, lost=True)
        self.left.append(call)

    def _end(self, call: Call, *, lost: bool) -> None:
        self.reconciler.end(call.pending, lost=lost)
        self.open.remove(call)

    @some_are_open
    @rule(which=WHICH)
    def look(self, which: int) -> None:
        """Its answer is lost; one look at both lists."""
        call = self.open[which % len(self.open)]
        shown = self._listed_for(call)
        lookup = asyncio.run(self.reconciler.follow(call.pending, call.sent_s, 0.2, shown))
        if lookup.found is not None:
            assert call.job is not None, "it took a job, and has none"
            assert lookup.found.id == call.job.id, "it took somebody else's job"
            self.taken.append(lookup.found.id)
            self._end(call, lost=False)
        elif call.job is not None and call.job.runs:
            assert not call.own_mark, "its own mark was shown, and not recognised"

    def _listed_for(self, call: Call) -> Any:
        async def listed(listing: Request[Any]) -> Sequence[Any]:
            if isinstance(listing, ListRunning):
                return [
                    RunningTask(id=one.id, email=one.account, reply_ref=one.ref)
                    for one in self.jobs
                    if one.runs
                ]
            return [
                Task.from_api(
                    {
                        "task": {
                            "id": one.id,
                            "createTime": round(one.at_s * 1000),
                            "taskInfo": {"inputs": [{"url": url} for url in one.urls]},
                        }
                    }
                )
                for one in reversed(self.jobs)
                if one.account == call.pending.account
            ]

        return listed

    # --- the server, and everybody else ---

    def _job(self, account: str | None, request: Request[Any], runs: bool) -> Job:
        assert isinstance(request, CreateAvatarVideo)
        urls = (str(request.image_url), str(request.audio_url))
        at_s = self.clock.wall() + self.skew_s
        job = Job(len(self.jobs) + 1, account, request.reply_ref, urls, at_s, runs)
        self.jobs.append(job)
        return job

    @rule(account=st.sampled_from((ADA, BEN)), runs=st.booleans())
    def elsewhere(self, account: str, runs: bool) -> None:
        """Another process makes one of the given addresses, with a reply_ref that is used twice."""
        urls = {"image_url": "https://x.y/i", "audio_url": "https://x.y/a"}
        self._job(account, CreateAvatarVideo(**urls, reply_ref="mine"), runs)

    @rule(account=st.sampled_from((ADA, BEN)))
    def long_ago(self, account: str) -> None:
        """An earlier run made one of equal files, of which the server knows the addresses."""
        urls = {"image_url": "https://kling/same-i", "audio_url": "https://kling/same-a"}
        job = self._job(account, CreateAvatarVideo(**urls), False)
        job.at_s = START_S - 1300 + self.skew_s

    @rule(account=st.sampled_from((ADA, BEN)))
    def elsewhere_of_equal_files(self, account: str) -> None:
        """Another process makes one now, of equal files; that it runs under another mark tells."""
        urls = {"image_url": "https://kling/same-i", "audio_url": "https://kling/same-a"}
        self._job(account, CreateAvatarVideo(**urls, reply_ref="theirs"), True)

    @rule(which=WHICH)
    def finish(self, which: int) -> None:
        for job in self.jobs[which : which + 1]:
            job.runs = job.ref == "theirs"

    @rule(seconds=st.sampled_from([0.5, 5.0]))
    def time_passes(self, seconds: float) -> None:
        if self.clock.now_s < 60:  # so that what is long ago stays so
            self.clock.now_s += seconds

    @invariant()
    def no_job_has_two_callers(self) -> None:
        taken = getattr(self, "taken", [])
        assert len(taken) == len(set(taken))


# --- what the machine finds only now and then -------------------------------------------------


class Pair:
    """Two calls with files that the server keeps under one address, and the job of the second."""

    def __init__(self) -> None:
        self.machine = Calls()
        self.machine.begin_world(0)
        for arrives in (False, True):
            self.machine.send(ADA, "of an equal file", "given", None, arrives, False)
        self.lost, self.other = self.machine.open

    def look(self) -> Any:
        """What the first one finds, whose own job was never made."""
        shown = self.machine._listed_for(self.lost)
        follow = self.machine.reconciler.follow
        return asyncio.run(follow(self.lost.pending, self.lost.sent_s, 0.2, shown))


def test_an_equal_file_of_a_call_whose_answer_is_awaited_proves_nothing() -> None:
    lookup = Pair().look()
    assert lookup.found is None
    assert [one.id for one in lookup.candidates] == [1]


def test_nor_that_of_a_call_that_was_lost() -> None:
    pair = Pair()
    pair.machine._end(pair.other, lost=True)
    assert pair.look().found is None


def test_what_was_answered_is_its_callers() -> None:
    pair = Pair()
    pair.machine.answer(1)
    lookup = pair.look()
    assert (lookup.found, lookup.candidates) == (None, ())


def test_what_runs_under_another_mark_is_its_callers() -> None:
    pair = Pair()
    pair.machine._end(pair.other, lost=False)  # so that the address is the first one's alone
    assert pair.look().found.id == 1
    again = Pair()
    again.machine._end(again.other, lost=False)
    again.machine.jobs[0].runs = True
    lookup = again.look()
    assert (lookup.found, lookup.candidates) == (None, ())


@pytest.mark.heavy
def test_nobody_takes_what_is_not_theirs() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Calls, settings=settings(max_examples=600, stateful_step_count=20, deadline=None)
    )
