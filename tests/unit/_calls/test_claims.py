"""Is what is forgotten never taken again, and is nothing else decided otherwise than before?

Two reconcilers live through the same calls of one client, among other writers and odd servers: one
remembers every result, the other as few as it may.
"""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Sequence
from typing import Any, Literal

import pytest
from attrs import define, evolve, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kling_async import Avatar, CreateAvatar, CreateAvatarVideo, ListRunning, RunningTask, Task
from kling_async._calls.claims import Claims
from kling_async._calls.reconcile import PendingCreate, Reconciler
from kling_async.emulator import sample_png
from kling_async.models.avatars import CreatedAvatar
from kling_async.models.media import inspect
from kling_async.settings import RESULTS_REMEMBERED

ADA, BEN = "ada@example.com", "ben@example.com"
EVER = 10**9
PORTRAIT = inspect(sample_png(), only="image")
Kind = Literal["avatar", "video"]


class StandingClock:
    """Time passes when it is told to, and while one looks."""

    def __init__(self) -> None:
        self.now_s = 1_784_000_000.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@define(eq=False)
class Thing:
    """An avatar or a job at Kling."""

    id: int
    kind: Kind
    account: str
    request: Any
    at_s: float
    runs: bool


@define(eq=False)
class Call:
    """A call of ours as both reconcilers know it, and what it made, if anything."""

    kind: Kind
    request: Any
    pendings: tuple[PendingCreate[Any], PendingCreate[Any]]
    sent_s: float
    made: Thing | None = None


@define(slots=False)
class World:
    """Kling, the client's calls, and everybody else."""

    skew_s: float
    states_times: bool
    remembers: int = 0
    clock: StandingClock = field(factory=StandingClock)
    things: list[Thing] = field(factory=list)
    open: list[Call] = field(factory=list)
    left: list[Call] = field(factory=list)
    taken: set[int] = field(factory=set)
    files: int = 0
    apart: bool = False
    """The two decided differently once, so that they do not know the same any more."""

    def __attrs_post_init__(self) -> None:
        self.whole = Reconciler(self.clock, EVER)
        self.brief = Reconciler(self.clock, self.remembers)

    # --- calls ---

    def send(
        self, kind: Kind, how: str, account: str = ADA, *, arrives: bool = True, runs: bool = False
    ) -> Call:
        request, given = self._request(kind, how)
        pendings = [one.begin(request, account, given) for one in (self.whole, self.brief)]
        assert pendings[0] is not None
        assert pendings[1] is not None
        call = Call(kind, request, (pendings[0], pendings[1]), self.clock.wall())
        self.open.append(call)
        if arrives:
            self.carry_out(call, runs=runs)
        return call

    def _request(self, kind: Kind, how: str) -> tuple[Any, Any]:
        """As it goes out, and as it was given."""
        if how == "of a new file":
            self.files += 1
        urls = {"given": "https://x.y/a", "of an equal file": "https://kling/equal"}
        url = urls.get(how, f"https://kling/{self.files}")
        request: Any = CreateAvatar(image_url=url, nickname="Ada")
        if kind == "video":
            request = CreateAvatarVideo(image_url=url, audio_url="https://x.y/mp3")
        file = {} if how == "given" else {"image_url": None, "image": PORTRAIT}
        return request.evidence.marked(request), evolve(request, **file)

    def carry_out(self, call: Call, *, runs: bool = False) -> None:
        if call.made is None:
            call.made = self.make(call.kind, call.pendings[0].account or ADA, call.request, runs)

    def make(self, kind: Kind, account: str, request: Any, runs: bool) -> Thing:
        at_s = self.clock.wall() + self.skew_s
        made = Thing(10**9 + len(self.things), kind, account, request, at_s, runs)
        self.things.append(made)
        return made

    def elsewhere(self, kind: Kind, how: str, account: str) -> None:
        self.make(kind, account, self._request(kind, how)[0], False)

    def answer(self, call: Call) -> None:
        """With its result, or plainly refused."""
        if (made := call.made) is not None:
            result = (
                CreatedAvatar(id=str(made.id), status="SUCCESS")
                if call.kind == "avatar"
                else Task(id=made.id)
            )
            self.whole.answered(call.pendings[0], result)
            self.brief.answered(call.pendings[1], result)
            self.taken.add(made.id)
        self.end(call, lost=False)

    def end(self, call: Call, *, lost: bool) -> None:
        self.whole.end(call.pendings[0], lost=lost)
        self.brief.end(call.pendings[1], lost=lost)
        self.open.remove(call)
        if lost:
            self.left.append(call)

    # --- looking ---

    def look(self, call: Call) -> Any:
        """One look at each listing; what the brief one found."""

        async def shown(listing: Any) -> Sequence[Any]:
            return self._listed(call, running=isinstance(listing, ListRunning))

        began_s, found = self.clock.now_s, []
        for reconciler, pending in zip((self.whole, self.brief), call.pendings, strict=True):
            self.clock.now_s = began_s
            lookup = asyncio.run(reconciler.follow(pending, call.sent_s, 0.2, shown))
            found.append(None if lookup.found is None else int(lookup.found.id))
        self._compare(call, *found)
        if found[1] is not None:
            self.taken.add(found[1])
        if found != [None, None]:
            self.end(call, lost=False)
        return found[1]

    def _compare(self, call: Call, ever: int | None, brief: int | None) -> None:
        made = None if call.made is None else call.made.id
        assert brief is None or brief not in self.taken, "it took what has a caller"
        if self.apart:
            return
        assert brief in (None, made, ever), "it took what nobody would have taken"
        if brief != ever:
            self.apart = True
            thing = self.things[(ever or 10**9) - 10**9]
            timely = self.states_times and thing.at_s - self.skew_s >= call.sent_s
            assert brief is not None or not timely, "it does not take what is certainly its own"

    def _listed(self, call: Call, *, running: bool) -> Sequence[Any]:
        if running:
            return [
                RunningTask(id=one.id, email=one.account, reply_ref=one.request.reply_ref)
                for one in self.things
                if one.runs
            ]
        shown = _avatar if call.kind == "avatar" else _task
        mine = call.kind, call.pendings[0].account
        there = [one for one in reversed(self.things) if (one.kind, one.account) == mine]
        return [shown(one, self._time(one)) for one in there]

    def _time(self, thing: Thing) -> Any:
        return {"createTime": round(thing.at_s * 1000)} if self.states_times else {}


def _avatar(one: Thing, time: dict[str, Any]) -> Avatar:
    shown = {"id": str(one.id), "nickname": "Ada", "prompt": "by AI"}
    images = [{"url": one.request.image_url}]
    return Avatar.from_api({**shown, **time, "imageResources": images})


def _task(one: Thing, time: dict[str, Any]) -> Task:
    inputs = [{"url": one.request.image_url}, {"url": one.request.audio_url}]
    return Task.from_api({"task": {"id": one.id, **time, "taskInfo": {"inputs": inputs}}})


# --- whatever happens -------------------------------------------------------------------------

KINDS: tuple[Kind, ...] = ("avatar", "video")
A_KIND = st.sampled_from(KINDS)
HOW = st.sampled_from(["given", "of an equal file", "of an equal file", "of a new file"])
ACCOUNTS = st.sampled_from([ADA, ADA, BEN])
WHICH = st.integers(0, 4)
some_are_open = precondition(lambda self: self.world.open)


class Lives(RuleBasedStateMachine):
    """The same life, remembered wholly and in brief."""

    @initialize(
        skew_s=st.sampled_from([-590, 0, 590]),
        states_times=st.sampled_from([True, True, False]),
        remembers=st.sampled_from([0, 0, 3]),
    )
    def begin_world(self, skew_s: float, states_times: bool, remembers: int) -> None:
        self.world = World(skew_s, states_times, remembers)

    @rule(kind=A_KIND, how=HOW, account=ACCOUNTS)
    def make(self, kind: Kind, how: str, account: str) -> None:
        """A call that is answered at once, as most are."""
        self.world.answer(self.world.send(kind, how, account))

    @rule(kind=A_KIND, how=HOW, account=ACCOUNTS, arrives=st.booleans(), runs=st.booleans())
    def send(self, kind: Kind, how: str, account: str, arrives: bool, runs: bool) -> None:
        self.world.send(kind, how, account, arrives=arrives, runs=runs and kind == "video")

    @some_are_open
    @rule(which=WHICH)
    def arrive(self, which: int) -> None:
        self.world.carry_out(self.one(which))

    @precondition(lambda self: self.world.left)
    @rule(which=WHICH)
    def arrive_late(self, which: int) -> None:
        self.world.carry_out(self.world.left[which % len(self.world.left)])

    @some_are_open
    @rule(which=WHICH)
    def answer(self, which: int) -> None:
        if not self.one(which).pendings[0].in_doubt:
            self.world.answer(self.one(which))

    @some_are_open
    @rule(which=WHICH)
    def leave(self, which: int) -> None:
        self.world.end(self.one(which), lost=True)

    @some_are_open
    @rule(which=WHICH)
    def look(self, which: int) -> None:
        self.world.look(self.one(which))

    def one(self, which: int) -> Call:
        return self.world.open[which % len(self.world.open)]

    @rule(kind=A_KIND, how=HOW, account=ACCOUNTS)
    def elsewhere(self, kind: Kind, how: str, account: str) -> None:
        self.world.elsewhere(kind, how, account)

    @rule(seconds=st.sampled_from([1.0, 310.0, 1300.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.now_s += seconds


@pytest.mark.heavy
def test_who_remembers_little_takes_nothing_that_the_other_would_not() -> None:
    run_state_machine_as_test(
        Lives, settings=settings(max_examples=400, stateful_step_count=25, deadline=None)
    )


# --- what the machine finds only now and then -------------------------------------------------


def forgetful(*, skew_s: float = 0.0, states_times: bool = True) -> World:
    """A world whose brief reconciler forgot two avatars and two jobs, of equal files and others."""
    world = World(skew_s, states_times)
    for how in ("of an equal file", "given"):
        for kind in KINDS:
            world.answer(world.send(kind, how))
    forgotten = [(one.request.evidence.kind, str(one.id)) for one in world.things]
    for later_s in (310, 1300):
        world.clock.now_s += later_s
        world.answer(world.send("avatar", "of a new file"))
    assert all(one in world.whole.claims for one in forgotten)
    assert not any(one in world.brief.claims for one in forgotten)
    return world


@pytest.mark.parametrize("skew_s", [-590.0, 0.0, 590.0])
@pytest.mark.parametrize("states_times", [True, False])
@pytest.mark.parametrize("how", ["given", "of an equal file"])
@pytest.mark.parametrize("kind", ["avatar", "video"])
def test_what_is_forgotten_is_not_taken(
    kind: Kind, how: str, states_times: bool, skew_s: float
) -> None:
    world = forgetful(skew_s=skew_s, states_times=states_times)
    assert world.look(world.send(kind, how, arrives=False)) is None


@pytest.mark.parametrize("skew_s", [-590.0, 0.0, 590.0])
def test_what_is_certainly_its_own_is_taken_as_ever(skew_s: float) -> None:
    ways: list[tuple[Kind, str]] = [
        ("avatar", "given"),
        ("avatar", "of a new file"),
        ("video", "of a new file"),
    ]
    for kind, how in ways:
        world = forgetful(skew_s=skew_s)
        call = world.send(kind, how)
        assert call.made is not None
        assert world.look(call) == call.made.id


@pytest.mark.parametrize("skew_s", [-590.0, 590.0])
@pytest.mark.parametrize("age_s", [310, 610, 910, 1190, 1210, 1510])
def test_nothing_is_forgotten_that_could_hide_its_own(age_s: float, skew_s: float) -> None:
    world = World(skew_s, states_times=True)
    world.answer(world.send("avatar", "of a new file"))
    world.clock.now_s += age_s
    world.answer(world.send("avatar", "of a new file"))
    for one in world.things:
        one.account = BEN  # so that the clocks' difference can't be learned
    call = world.send("avatar", "given")
    assert call.made is not None
    assert world.look(call) == call.made.id


@pytest.mark.parametrize("skew_s", [-1e5, 1e5])
def test_a_clock_that_is_far_off_is_learned_before_anything_is_taken(skew_s: float) -> None:
    world = forgetful(skew_s=skew_s)
    assert world.look(world.send("avatar", "given", arrives=False)) is None
    world.end(world.open[0], lost=False)
    call = world.send("avatar", "given")
    assert call.made is not None
    assert world.look(call) == call.made.id


def test_its_mark_is_proof_whatever_is_forgotten() -> None:
    world = forgetful(states_times=False)
    call = world.send("video", "given", runs=True)
    assert call.made is not None
    assert world.look(call) == call.made.id


def test_one_that_may_be_forgotten_leaves_those_like_it_undecided() -> None:
    """Or an earlier call's would be left out of the count, and somebody else's be taken."""
    world = forgetful()
    call = world.send("avatar", "given")
    world.elsewhere("avatar", "given", ADA)
    old, mine, theirs = world.things[2], *world.things[-2:]
    assert old.request.image_url == mine.request.image_url
    (pending, _) = reversed(call.pendings)
    world.states_times = False
    untimed = world._listed(call, running=False)
    world.states_times = True
    listed = [one for one in untimed if int(one.id) == mine.id]
    listed += [one for one in world._listed(call, running=False) if int(one.id) == theirs.id]

    async def shown(_: Any) -> Sequence[Any]:
        return listed

    lookup = asyncio.run(world.brief.follow(pending, call.sent_s, 0.2, shown))
    assert lookup.found is None
    assert {int(one.id) for one in lookup.candidates} == {mine.id, theirs.id}


# --- memory -----------------------------------------------------------------------------------


def test_memory_stays_flat() -> None:
    """Ten a second for five and a half hours: 200,000 creates."""
    clock = StandingClock()
    reconciler = Reconciler(clock)
    request = CreateAvatar(image_url="https://x.y/a.png")
    remembered: list[int] = []
    for number in range(200_000):
        pending = reconciler.begin(request, ADA, request)
        clock.now_s += 0.1
        reconciler.answered(pending, CreatedAvatar(id=str(10**14 + number), status="SUCCESS"))
        reconciler.end(pending, lost=False)
        if number % 20_000 == 19_999:
            remembered.append(len(reconciler.claims))
    assert max(remembered) < 16_000  # less than half an hour of them


def test_its_size_in_bytes() -> None:
    now_s = 0.0
    tracemalloc.start()
    try:
        taken = Claims(lambda: now_s, RESULTS_REMEMBERED)
        for number in range(30_000):
            now_s += 1.0
            taken.add("avatar", str(10**14 + number), now_s)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 1_000_000


def test_the_latest_are_remembered_whatever_their_age() -> None:
    now_s = 0.0
    taken = Claims(lambda: now_s, 1000)
    for number in range(5000):
        now_s += 86_400.0
        taken.add("avatar", str(number), now_s)
    assert all(("avatar", str(number)) in taken for number in range(4000, 5000))
    assert len(taken) < 1600
    assert taken.forgotten_s is not None
    assert ("avatar", "0") not in taken


def test_nothing_is_forgotten_while_a_call_from_before_is_under_way() -> None:
    now_s = oldest_s = 0.0
    taken = Claims(lambda: oldest_s, 0)
    for number in range(1000):
        now_s += 60.0
        taken.add("avatar", str(number), now_s)
    assert len(taken) == 1000
    oldest_s = now_s
    taken.add("avatar", "the last", now_s + 400)
    assert len(taken) < 40


def test_a_clock_that_was_set_back_forgets_nothing_too_early() -> None:
    now_s = 0.0
    taken = Claims(lambda: now_s, 8)
    for name, at_s in (("first", 0), ("ahead", 90_000), ("set back", 400)):
        taken.add("avatar", name, at_s)
    for number in range(1000):
        now_s += 60.0
        taken.add("avatar", str(number), now_s)
    assert ("avatar", "ahead") in taken
    assert taken.forgotten_s is None


def test_what_was_made_since_a_call_began_is_remembered_for_it() -> None:
    world = World(0.0, states_times=True)
    call = world.send("avatar", "given")
    for _ in range(20):
        world.clock.now_s += 310
        world.answer(world.send("avatar", "of a new file"))
    assert call.made is not None
    assert world.look(call) == call.made.id
