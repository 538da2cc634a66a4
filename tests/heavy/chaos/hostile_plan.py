"""What goes wrong outside the calm assumptions? A plan, drawn from a seed and nothing else.

The ingredients are switched one by one, and each has dice of its own: switching one on or off does
not change the others. What a plan says is carried out by `hostile.py`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

from attrs import frozen
from chaos_plan import Kill

ACCOUNT = "ada@example.com"
DAY_S = 86_400.0

Tampering = Literal[
    "",
    "moved",
    "moved_bare",
    "copied",
    "copied_bare",
    "old_copy",
    "emptied",
    "hard_link",
    "symbolic_link",
    "deleted_under_run",
]
"""What is done to the ledger: between two runs, or, for the last three, during one.

`moved` and `copied` take the side files along, the `_bare` ones do not; `old_copy` puts the copy
that was made before the first run's end in place of the ledger; a link is a second name, under
which a second process begins the same job.
"""
BETWEEN: tuple[Tampering, ...] = (
    "moved",
    "moved_bare",
    "copied",
    "copied_bare",
    "old_copy",
    "emptied",
)
DURING: tuple[Tampering, ...] = ("hard_link", "symbolic_link", "deleted_under_run")


EditKind = Literal["insert", "remove", "move", "mend"]


@frozen
class Switches:
    """The ingredients."""

    foreign: bool = False
    equal_texts: bool = False
    listings: bool = False
    ledger: bool = False
    edits: bool = False
    second: bool = False


@frozen
class HostileRow:
    """One row; `image` is the number of a picture file, None where `image_url` is given."""

    tag: str
    """Whose it is: the key where there are keys, and what it says where it says anything."""
    image: int | None
    image_url: str | None
    nickname: str | None
    prompt: str | None


@frozen
class Edit:
    """A change of the input between two runs, at a place that is taken modulo its length."""

    what: EditKind
    place: int
    to: int


@frozen
class Act:
    """One run, what is done to it, and what is done before the next."""

    kill: Kill | None
    during: Tampering
    between: Tampering
    edits: tuple[Edit, ...]


@frozen
class HostilePlan:
    """One run of the program."""

    seed: int
    switches: Switches
    keys: bool
    rows: tuple[HostileRow, ...]
    spare: tuple[HostileRow, ...]
    """What is inserted."""
    faults: str
    views: str
    foreign: str
    foreign_before: tuple[tuple[int, float, bool], ...]
    """(row, age in seconds, whether the texts are equal) of what was made before the job."""
    acts: tuple[Act, ...]
    concurrency: int
    transport: str
    within_s: float
    lag_s: float


def hostile_plan(seed: int, rows: int, switches: Switches) -> HostilePlan:
    """The plan of that seed."""
    dice = random.Random(f"calm {seed} {rows}")
    made = tuple(_rows(dice, seed, 2 * rows, bare_urls=switches.equal_texts))
    kills = tuple(_kills(dice, rows))
    faults = _faults(dice)
    concurrency, transport = dice.choice((1, 4, 8)), dice.choice(("httpx", "aiohttp"))
    keys = random.Random(f"keys {seed}").random() < 0.5
    views, lag_s = _views(random.Random(f"views {seed}")) if switches.listings else ("", 0.0)
    writer: str = ""
    before: tuple[tuple[int, float, bool], ...] = ()
    if switches.listings and random.Random(f"earlier {seed}").random() < 0.5:
        # An earlier job of the same pictures and texts, which a listing may show late or not.
        before = tuple((row, 60 * DAY_S, True) for row in range(rows))
    if switches.foreign or switches.equal_texts:
        writer, more = _foreign(random.Random(f"foreign {seed}"), rows, switches.equal_texts)
        before = (*before, *more)
    return HostilePlan(
        seed=seed,
        switches=switches,
        keys=keys,
        rows=made[:rows],
        spare=made[rows:],
        faults=faults,
        views=views,
        foreign=writer,
        foreign_before=before,
        acts=tuple(_acts(seed, kills, rows, switches)),
        concurrency=concurrency,
        transport=transport,
        within_s=0.8,
        lag_s=lag_s,
    )


def edited(rows: list[HostileRow], spare: list[HostileRow], edit: Edit) -> list[HostileRow]:
    """The rows after an edit; an insertion takes the next of the spare ones."""
    place, to = edit.place % len(rows), edit.to % len(rows)
    changed = list(rows)
    if edit.what == "insert":
        if spare:
            changed.insert(place, spare.pop(0))
    elif edit.what == "remove":
        if len(changed) > 1:
            del changed[place]
    elif edit.what == "move":
        changed.insert(to, changed.pop(place))
    return changed


def _rows(dice: random.Random, seed: int, count: int, *, bare_urls: bool) -> Iterator[HostileRow]:
    pictures = dice.choice((0.2, 0.5, 0.8))
    shared = f"https://pictures.example/{seed}/shared.png"
    for number in range(count):
        tag = f"h{seed}-{number}"
        image = number if dice.random() < pictures else None
        url = None if image is not None else f"https://pictures.example/{seed}/{number}.png"
        # An address of the user's alone can't tell whose a thing is that says nothing else.
        silent, twin = dice.random() < 0.15, dice.random() < 0.15
        bare = silent and (image is not None or bare_urls)
        if url is not None and twin and not bare:
            url = shared
        yield HostileRow(
            tag, image, url, None if bare else tag, None if bare else f"Speaks as {tag}"
        )


def _kills(dice: random.Random, rows: int) -> Iterator[Kill]:
    for _ in range(3):
        yield Kill(
            after_calls=dice.randint(1, rows),
            wait_s=dice.choice((0.0, dice.uniform(0, 0.05))),
            signal="KILL" if dice.random() < 0.8 else "INT",
        )


def _faults(dice: random.Random) -> str:
    lost = dice.choice(("reset_after", "close_without_reply", "html_200", "status=502,after_work"))
    vain = dice.choice(("reset_before", "status=502,form=html", "close_without_reply,before_work"))
    return " ; ".join(
        (
            f"avatars.create:{lost}@p={dice.uniform(0.1, 0.3):.3f}",
            f"avatars.create:{vain}@p={dice.uniform(0.02, 0.1):.3f}",
            f"avatars.create:latency={dice.uniform(0.005, 0.05):.3f}@p=0.5",
            "avatars.list:reset_after@p=0.05",
        )
    )


def _views(dice: random.Random) -> tuple[str, float]:
    """Options of the emulator's views, and how late its listings are."""
    lag_s = dice.choice((0.0, 0.3, 1.5))
    words = [f"listing_lag_s={lag_s}"] if lag_s else []
    if (limit := dice.choice((None, 20, 50, 100))) is not None:
        words.append(f"listing_limit={limit}")
    if dice.random() < 0.5:
        words.append("listing_shuffled")
    if (empty := dice.choice((0, 1, 1, 2))) > 0:
        words.append(f"listing_empty={empty}")
    return ",".join(words), lag_s


def _foreign(
    dice: random.Random, rows: int, equal: bool
) -> tuple[str, tuple[tuple[int, float, bool], ...]]:
    """The writer's options, and what others made before: minutes, hours and months ago."""
    texts = "equal" if equal else "other"
    writer = f"every={dice.choice((1, 2, 3))},within_s={dice.choice((0.05, 0.3))},texts={texts}"
    some = dice.sample(range(rows), dice.randint(rows // 3, rows))
    return writer, tuple((row, dice.choice((120.0, 7200.0, 60 * DAY_S)), equal) for row in some)


def _acts(seed: int, kills: tuple[Kill, ...], rows: int, switches: Switches) -> Iterator[Act]:
    dice, pen = random.Random(f"ledger {seed}"), random.Random(f"edits {seed}")
    # What is done to a ledger is done once in a run: whether it was right shows at the end.
    at, what = dice.randrange(len(kills)), dice.choice((*BETWEEN, *DURING))
    kinds: tuple[EditKind, ...] = ("insert", "remove", "move", "mend")
    for number, kill in enumerate(kills):
        here: Tampering = what if switches.ledger and number == at else ""
        edits = tuple(
            Edit(pen.choice(kinds), pen.randrange(999), pen.randrange(999))
            for _ in range(pen.randint(1, 3))
        )
        yield Act(
            kill,
            during=here if here in DURING else "",
            between=here if here in BETWEEN else "",
            edits=edits if switches.edits else (),
        )
