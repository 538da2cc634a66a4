"""Does anybody ever get somebody else's avatar, or is anything left open that could be decided?

The rules of evidence in random worlds of which the truth is known: creates of ours that were
answered, lost, or never sent; somebody else who makes avatars of the same pictures, with the same
texts or others; files that are equal and get one address; listings that are late, cut at a page,
shuffled, or say no time; clocks that differ; ledgers that are old copies.

What nobody can know is named in `nobody_could_know`, and counted. The rules are then broken one by
one: a check that does not notice could not fail.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Literal

import pytest
from attrs import define, evolve, field

from kling_async.models.evidence import Decided, Known, Sent, Sighting, complete_since, decide
from kling_async.settings import CLOCK_SLACK_S

WORLDS = 2_500
START_S = 1_784_000_000.0
ACCOUNT = "ada@example.com"
TEXTS: tuple[dict[str, str], ...] = (
    {}, {"nickname": "Ada"}, {"nickname": "Ada", "prompt": "Speaks"}, {"nickname": "Ben"},
)  # fmt: skip
Fate = Literal["answered", "lost", "in flight", "never sent", "forgotten by an old copy"]
FATES: tuple[Fate, ...] = ("answered", "answered", "lost", "lost", "lost", "in flight",
                           "never sent", "forgotten by an old copy")  # fmt: skip
Mistake = Callable[[dict[int, Sent], Known], tuple[dict[int, Sent], Known]]


@define(eq=False)
class Thing:
    """An avatar that is really there."""

    id: str
    maker: int | None
    """A create of ours, or somebody else."""
    path: str
    texts: Mapping[str, str]
    at_s: float
    """By our clock."""
    shows_s: float
    says_time: bool


@define(eq=False)
class Create:
    """A create of ours, as it really was."""

    number: int
    path: str
    is_own: bool
    texts: Mapping[str, str]
    fate: Fate
    at_s: float
    made: Thing | None = None


@define
class World:
    """One account, its writers, and the listing they get."""

    dice: random.Random
    others: bool
    skew_s: float = 0.0
    cut: int | None = None
    shuffled: bool = False
    creates: list[Create] = field(factory=list)
    things: list[Thing] = field(factory=list)
    claimed: dict[str, int] = field(factory=dict)

    def begin(self) -> None:
        """Things of long ago, and all creates of ours among those of others."""
        dice = self.dice
        self.skew_s = dice.choice([-500.0, 0.0, 0.0, 500.0])
        self.cut = dice.choice([None, None, None, 20, 50, 100])
        self.shuffled = dice.random() < 0.2
        for _ in range(dice.choice([0, 0, 3, 15, 19, 60])):
            own = self.others and dice.random() < 0.5
            self.make(None, self.some_path() if own else self.new_path(),
                      dice.choice(TEXTS), START_S - 30 * 86_400 - dice.random() * 1000)  # fmt: skip
        for number in range(dice.choice([1, 2, 3, 6, 12])):
            self.create(number, START_S + 5.0 * number)
            while self.others and dice.random() < 0.3:
                self.by_somebody_else(START_S + 5.0 * number + dice.choice([-900, -300, 1, 2, 30]))

    def some_path(self) -> str:
        """A picture that everybody knows, or an equal file's."""
        return self.dice.choice(["/a.png", "/b.png", "/c.png", "/upload/equal.png"])

    def new_path(self) -> str:
        """A file of which there is one."""
        return f"/upload/{self.dice.getrandbits(60)}.png"

    def create(self, number: int, at_s: float) -> None:
        """A create of ours, whatever becomes of it."""
        dice = self.dice
        path = self.new_path() if dice.random() < 0.3 else self.some_path()
        one = Create(number, path, path.startswith("/upload"), dice.choice(TEXTS),
                     dice.choice(FATES), at_s)  # fmt: skip
        self.creates.append(one)
        is_made = one.fate != "never sent" and (one.fate == "answered" or dice.random() < 0.6)
        if is_made:
            one.made = self.make(number, one.path, one.texts, at_s + dice.random() * 3)
        if one.fate == "answered" and one.made is not None:
            one.made.says_time = True
            self.claimed[one.made.id] = number

    def by_somebody_else(self, at_s: float) -> None:
        """One of the same pictures, now and then of the very texts of one of ours."""
        ours = self.dice.choice(self.creates)
        path, texts = self.dice.choice([
            (ours.path if not ours.path[8:9].isdigit() else "/a.png", ours.texts),
            (self.some_path(), self.dice.choice(TEXTS)),
        ])  # fmt: skip
        self.make(None, path, texts, at_s)

    def make(self, maker: int | None, path: str, texts: Mapping[str, str], at_s: float) -> Thing:
        """One more avatar. What was not said, is filled in by AI."""
        shown = {"nickname": f"AI {len(self.things)}", "prompt": "by AI", **texts}
        late_s = self.dice.choice([0.0, 0.0, 0.0, 40.0, 5000.0])
        says_time = self.dice.random() > 0.1
        made = Thing(str(len(self.things)), maker, path, shown, at_s, at_s + late_s, says_time)
        self.things.append(made)
        return made

    # --- what is known of it ---

    def listing(self, now_s: float) -> list[Sighting]:
        """What the account lists now."""
        there = [one for one in self.things if one.shows_s <= now_s]
        there.sort(key=lambda one: one.at_s, reverse=True)
        if self.shuffled:
            self.dice.shuffle(there)
        return [
            Sighting(
                id=one.id,
                account=ACCOUNT,
                paths=frozenset({one.path}),
                shown=one.texts,
                made_at_s=one.at_s + self.skew_s if one.says_time else None,
                thing=one,
            )
            for one in there[: self.cut]
        ]

    def sent(self, one: Create) -> Sent:
        """What the ledger has of it."""
        never = one.fate in ("never sent", "forgotten by an old copy")
        return Sent(
            kind="avatar",
            account=ACCOUNT,
            paths={"image_url": one.path},
            own=frozenset({"image_url"} if one.is_own else ()),
            stated=one.texts,
            since_s=(one.at_s - 1 if one.is_own else None) if never else one.at_s,
            likeness=True,
            never_sent=never,
        )

    def known(self, now_s: float, seen: list[Sighting]) -> Known:
        """What the ledger knows beside the creates that are looked for."""
        rivals = [self.sent(one) for one in self.creates if one.fate == "in flight"]
        settled = [self.sent(one) for one in self.creates if self.is_settled(one)]
        return Known(
            now_s=now_s, claimed=self.claimed, rivals=rivals, settled=settled, born_s=START_S,
            complete_since_s=complete_since(seen),
        )  # fmt: skip

    def is_settled(self, one: Create) -> bool:
        """Whether it has its own answer, or a thing that was found for it."""
        return one.number in self.claimed.values()

    def wanted(self) -> dict[int, Sent]:
        """The creates that are looked for, and those that only an old copy could miss."""
        looked_for = ("lost", "never sent", "forgotten by an old copy")
        return {
            one.number: self.sent(one)
            for one in self.creates
            if one.fate in looked_for and not self.is_settled(one)
        }


# --- the truth --------------------------------------------------------------------------------


def agrees(thing: Thing, one: Create) -> bool:
    """Whether it shows all that was sent."""
    return thing.path == one.path and all(thing.texts[k] == v for k, v in one.texts.items())


def is_one_files(path: str) -> bool:
    """Whether it is the address of one uploaded file, and of no other."""
    return path.startswith("/upload") and path != "/upload/equal.png"


def in_time(thing: Thing, one: Create, now_s: float, world: World) -> bool:
    """Whether its time lets it be made by that create, for who does not know the clocks."""
    apart_s = CLOCK_SLACK_S
    at_s = thing.at_s + world.skew_s
    return thing.says_time and one.at_s - 1 - apart_s <= at_s <= now_s + apart_s


def nobody_could_know(world: World, thing: Thing, one: Create, seen: list[Sighting]) -> bool:
    """Whether a thing of somebody else, or of an equal file, can't be told from the create's own.

    It is of the same address, which the user gave or an equal file has; it has all the texts that
    were sent; it was made in time; it is the only one that is shown. And nothing shows that others
    make such things: no thing that has no owner looks like a settled create of ours.
    """
    if is_one_files(one.path):
        return False
    shown = [each.thing for each in seen if agrees(each.thing, one)]
    mine = [each for each in shown if each.maker == one.number]
    return agrees(thing, one) and (not mine or one.is_own)


def sign_of_others(
    world: World, seen: list[Sighting], before: Mapping[str, int], proven: Collection[str]
) -> bool:
    """Whether something is shown that none of our creates can have made, and looks like ours."""
    free = [one.thing for one in seen if one.id not in before and one.thing.says_time]
    free = [one for one in free if one.id not in proven]
    makers = [
        one
        for one in world.creates
        if one.fate in ("lost", "in flight") and one.number not in before.values()
    ]
    settled = [one for one in world.creates if one not in makers]
    return any(
        agrees(thing, one)
        and thing.at_s + world.skew_s >= START_S - CLOCK_SLACK_S
        and not any(agrees(thing, maker) for maker in makers)
        for thing in free
        for one in settled
    )


def equal_files_are_seen(world: World, seen: list[Sighting], before: Mapping[str, int]) -> bool:
    """Whether a listed thing has the address of a file of ours, and is not what we made of it.

    Equal files have equal addresses, then: an address of its own may be another's as well.
    """
    for each in seen:
        thing: Thing = each.thing
        if not thing.says_time or thing.id in before:
            continue
        for one in world.creates:
            if not one.is_own or thing.path != one.path:
                continue
            is_open = one.fate in ("lost", "in flight") and one.number not in before.values()
            is_old = thing.at_s + world.skew_s < world.sent(one).since_s - CLOCK_SLACK_S
            if one.number in before.values() or (is_open and is_old):
                return True
    return False


@define
class Tally:
    """What came of all worlds."""

    found: Counter[str] = field(factory=Counter)
    faults: Counter[str] = field(factory=Counter)
    not_to_be_known: int = 0


def looked(world: World, tally: Tally, mistake: Mistake | None) -> Iterator[Decided]:
    """Three looks, each later; what is found has its owner from then on."""
    for now_s in (START_S + 70, START_S + 150, START_S + 7000):
        wanted, seen = world.wanted(), world.listing(now_s)
        known = world.known(now_s, seen)
        before = dict(world.claimed)
        asked, told = mistake(wanted, known) if mistake else (wanted, known)
        decided = decide(asked, seen, told)
        assert list(decided) == list(wanted)
        proven = {
            one.id
            for it in decided.values()
            if it.evidence != "adopted-by-likeness"
            for one in (it.found, *it.surplus)
            if one is not None
        }
        for number, it in decided.items():
            judge(world, tally, world.creates[number], it, seen, before, proven, now_s)
            yield it


def judge(
    world: World, tally: Tally, one: Create, it: Decided,
    seen: list[Sighting], before: Mapping[str, int], proven: Collection[str], now_s: float,
) -> None:  # fmt: skip
    """Hold a decision against the truth."""
    if it.found is None:
        if is_decidable(world, one, seen, before, now_s):
            tally.faults["left open"] += 1
        return
    thing: Thing = it.found.thing
    tally.found[str(it.evidence)] += 1
    if thing.id in world.claimed:
        tally.faults["taken from its owner"] += 1
    world.claimed[thing.id] = one.number
    if thing.maker == one.number:
        return
    if not in_time(thing, one, now_s, world):
        tally.faults["of another time"] += 1
    elif not nobody_could_know(world, thing, one, seen):
        tally.faults["another's"] += 1
    elif it.evidence == "adopted-by-likeness" and one.fate != "lost":
        tally.faults["never sent"] += 1
    elif it.evidence == "adopted-by-likeness" and sign_of_others(world, seen, before, proven):
        tally.faults["in spite of signs"] += 1
    elif it.evidence == "adopted-by-likeness" and thing.maker is not None:
        tally.faults["of another create of ours"] += 1
    else:
        tally.not_to_be_known += 1


def is_decidable(
    world: World, one: Create, seen: list[Sighting], before: Mapping[str, int], now_s: float
) -> bool:
    """Whether its own thing is shown, with its time, and nothing else could be it."""
    there = {each.id: each.thing for each in seen}
    if one.made is None or one.made.id not in there or not one.made.says_time:
        return False
    if is_one_files(one.path) and not equal_files_are_seen(world, seen, before):
        return True  # an address of its own decides, whatever else there is
    if one.fate != "lost" or world.others:
        return False
    if any(each.fate == "forgotten by an old copy" for each in world.creates):
        return False  # what they made looks like somebody else's
    alike = [each for each in world.creates if each is not one and agrees(one.made, each)]
    rivals = [each for each in alike if each.number not in before.values()]
    free = [each for each in there.values() if each is not one.made and each.id not in before]
    if any(agrees(each, one) for each in free):
        return False
    return not rivals and complete_since(seen) <= one.at_s - CLOCK_SLACK_S


def lived(mistake: Mistake | None = None, worlds: int = WORLDS) -> Tally:
    tally = Tally()
    for seed in range(worlds):
        dice = random.Random(seed)
        world = World(dice, others=dice.random() < 0.6)
        world.begin()
        for _ in looked(world, tally, mistake):
            pass
        owners = Counter(world.claimed.values())
        tally.faults["two of one create"] += sum(count > 1 for count in owners.values())
    return tally


def test_nobody_gets_somebody_elses_and_all_that_can_be_decided_is() -> None:
    tally = lived()
    print(tally)
    assert +tally.faults == {}
    assert tally.found["adopted"] > WORLDS / 10
    assert tally.found["adopted-by-likeness"] > WORLDS / 10
    assert tally.found["recovered"] > WORLDS / 20
    assert 0 < tally.not_to_be_known < sum(tally.found.values()) / 10


# --- each rule, broken ------------------------------------------------------------------------


def knowing(**changes: object) -> Mistake:
    return lambda wanted, known: (wanted, evolve(known, **changes))


def wanting(change: Callable[[Sent], Sent]) -> Mistake:
    return lambda wanted, known: ({key: change(one) for key, one in wanted.items()}, known)


MISTAKES: dict[str, tuple[Mistake, str]] = {
    "owners do not count": (knowing(claimed=()), "taken from its owner"),
    "texts do not count": (wanting(lambda one: evolve(one, stated={})), "another's"),
    "time does not count": (knowing(slack=lambda _: (-1e9, 1e9)), "of another time"),
    "calls in flight do not count": (knowing(rivals=()), "of another create of ours"),
    "signs of others do not count": (knowing(settled=()), "in spite of signs"),
    "what was never sent is looked for": (
        wanting(lambda one: evolve(one, never_sent=False, since_s=one.since_s or START_S)),
        "never sent",
    ),
    "each address is an own one": (
        wanting(lambda one: evolve(one, own=frozenset({"image_url"}))), "another's"),
    "no address is an own one": (
        wanting(lambda one: evolve(one, own=frozenset())), "left open"),
    "likeness never counts": (wanting(lambda one: evolve(one, likeness=False)), "left open"),
    "any list may be cut": (knowing(complete_since_s=float("inf")), "left open"),
    "no clock may differ": (knowing(slack=lambda _: (0.0, 0.0)), "left open"),
}  # fmt: skip


@pytest.mark.parametrize(("mistake", "fault"), MISTAKES.values(), ids=MISTAKES)
def test_a_broken_rule_is_noticed(mistake: Mistake, fault: str) -> None:
    assert lived(mistake, worlds=1_500).faults[fault] > 0
