"""What goes wrong in one chaos run? A plan, drawn from a seed: equal seeds, equal plans.

The plan says which rows there are, what the server does to its answers, when the runner is killed
and what strangers do meanwhile. When the kills strike within a request is up to the machine.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from attrs import evolve, frozen

ACCOUNTS = ("ada@example.com", "bob@example.com", "eve@example.com")
STRANGE_URL = "https://strangers.example/"


@frozen
class Row:
    """One row of the input; `image` is the number of a picture file, else `image_url` is given."""

    key: str
    nickname: str
    prompt: str
    account: str | None
    image: int | None
    image_url: str | None


@frozen
class Kill:
    """The runner dies `wait_s` after the server has seen `after_calls` of its requests."""

    after_calls: int
    wait_s: float
    signal: str


@frozen
class Stranger:
    """Somebody else makes an avatar with the texts of a row and another picture."""

    after_calls: int
    row: int


@frozen
class Plan:
    """One chaos run."""

    seed: int
    rehost: bool
    rows: tuple[Row, ...]
    accounts: tuple[str, ...]
    listed_before: tuple[tuple[str, str], ...]
    """(account, image URL) of avatars that exist before the job."""
    faults: str
    latency_s: float
    listing_lag_s: float
    shuffled: bool
    kills: tuple[Kill, ...]
    strangers: tuple[Stranger, ...]
    real_cli: bool
    """The command itself, from a cold start; else a fork of a process that has it imported."""
    transport: str
    concurrency: int
    within_s: float
    patient: bool
    """One more run when all that was made is listed."""


def plan_of(seed: int, rows: int = 24, *, rehost: bool = False) -> Plan:
    """The plan of that seed."""
    dice = random.Random(f"{seed}:{rows}:{rehost}")
    real_cli = dice.random() < 0.1
    accounts = ACCOUNTS[: dice.choice((1, 1, 2, 3))]
    made = tuple(_rows(dice, seed, rows, accounts, rehost=rehost))
    known = [one for one in made if one.image_url is not None and dice.random() < 0.06]
    lag_s = dice.choice((0.0, 0.0, 0.1, 0.4, 1.0, 4.0))
    return Plan(
        seed=seed,
        rehost=rehost,
        rows=made,
        accounts=accounts,
        listed_before=tuple((_account_of(one, accounts), one.image_url or "") for one in known),
        faults=" ; ".join(_faults(dice, real_cli=real_cli)),
        latency_s=dice.choice((0.0, 0.003, 0.01, 0.03)),
        listing_lag_s=lag_s,
        shuffled=dice.random() < 0.3,
        kills=tuple(_kills(dice, rows))[: 3 if real_cli else None],
        strangers=()
        if rehost  # there the rows' owner is the only writer
        else tuple(Stranger(dice.randint(1, 2 * rows), dice.randrange(rows)) for _ in range(3)),
        real_cli=real_cli,
        transport=dice.choice(("httpx", "aiohttp")),
        concurrency=dice.choice((1, 2, 4, 8, 8, 16)),
        within_s=2.0 if real_cli else dice.choice((0.3, 0.8, 1.5)),
        patient=dice.random() < 0.5,
    )


def decidable(plan: Plan) -> Plan:
    """`plan` where the listing can tell of each row: what was lost was made, and is listed in time.

    Left out are faults before the work, addresses that prove nothing and listings that lag for
    longer than they are looked at; kept are all lost answers, kills and strangers.
    """
    in_vain = {f"avatars.create:{one}" for one in _VAIN} | {"avatars.create:stall,before_work"}
    faults = [one for one in plan.faults.split(" ; ") if one.split("@")[0] not in in_vain]
    return evolve(
        plan,
        faults=" ; ".join(faults),
        rows=tuple(
            one
            if one.image_url is None
            else evolve(one, image_url=f"https://pictures.example/{plan.seed}/{one.key}.png")
            for one in plan.rows
        ),
        listed_before=(),
        listing_lag_s=min(plan.listing_lag_s, 0.1),
        within_s=2.0,
    )


def _rows(
    dice: random.Random, seed: int, count: int, accounts: tuple[str, ...], *, rehost: bool
) -> Iterator[Row]:
    shared = f"https://pictures.example/{seed}/shared.png"
    twins = 0.2 if rehost else 0.0  # equal texts, which only pictures tell apart
    pictures, naming, before = dice.random(), dice.choice((0.0, 0.5, 1.0)), None
    for number in range(count):
        key = f"row-{number}"
        nickname, account = key, dice.choice(accounts) if dice.random() < naming else None
        if before is not None and dice.random() < twins:
            nickname, account = before.nickname, before.account
        image = number if dice.random() < pictures else None
        url = None
        if image is None:
            url = f"https://pictures.example/{seed}/{number}.png"
            # Twins of texts and address could be told apart by nobody, not by this test either.
            if dice.random() < 0.06 and nickname == key:
                url = shared
        prompt = f"Speaks as {nickname}"
        before = Row(key, nickname, prompt, account, image, url)
        yield before


def _account_of(row: Row, accounts: tuple[str, ...]) -> str:
    return row.account or accounts[0]


def _kills(dice: random.Random, rows: int) -> Iterator[Kill]:
    for _ in range(dice.randint(2, 6)):
        late = dice.random() < 0.2
        yield Kill(
            after_calls=dice.randint(0, rows // 2) if not late else dice.randint(rows, 3 * rows),
            wait_s=dice.choice((0.0, 0.0, dice.uniform(0, 0.01), dice.uniform(0, 0.1))),
            signal="KILL" if dice.random() < 0.85 else "INT",
        )


# After each of them the avatar exists, and nobody has told the runner.
_LOST = (
    "reset_after",
    "close_without_reply",
    "truncated_body",
    "wrong_length",
    "bad_chunk",
    "bad_chunk,malformed",
    "invalid_json",
    "html_200",
    "garbage",
    "status=500,after_work",
    "status=502,form=html,after_work",
    "status=503,retry_after_s=0.2,after_work",
    "status=504,after_work",
    "status=408,after_work",
    "redirect,after_work",
    "reset_after,delay_s=0.2",
    "status=502,form=html,after_work,delay_s=0.1",
)
# The runner can't tell these from the others; nothing was made.
_VAIN = (
    "reset_before",
    "close_without_reply,before_work",
    "html_200,before_work",
    "garbage,before_work",
    "refuse_connection",
    "status=502,form=html",
    "status=503,retry_after_s=0.2",
    "status=409",
    "redirect",
)
_LATER = ("seconds", "decimal", "date", "body", "epoch_ms")
_LATER_BY_DEFAULT = ("none", "negative", "past", "garbage")  # 10 and 30 s, shortened in victim.py


def _faults(dice: random.Random, *, real_cli: bool) -> Iterator[str]:
    yield from _rare(dice)
    lost = [*_LOST] if real_cli else [*_LOST, "stall", "stall", "slow_loris=0.002"]
    vain = [*_VAIN] if real_cli else [*_VAIN, "stall,before_work"]
    share, picked = dice.uniform(0.05, 0.4), dice.sample(lost, dice.randint(2, 6))
    yield from (f"avatars.create:{one}@p={share / len(picked):.4f}" for one in picked)
    share, picked = dice.uniform(0.0, 0.08), dice.sample(vain, 3)
    yield from (f"avatars.create:{one}@p={share / len(picked):.4f}" for one in picked)
    forms = _LATER if real_cli else (*_LATER, *_LATER_BY_DEFAULT)
    for form in dice.sample(forms, 2):
        # 1 s of pause each, for the whole account.
        yield (
            f"avatars.create:status=429,form={form},retry_after_s=0.3@p={dice.uniform(0, 0.06):.4f}"
            f",times=2"
        )
    yield f"avatars.create:latency={dice.uniform(0.01, 0.15):.3f}@p=0.3"
    yield f"avatars.create:latency={dice.uniform(0.01, 0.15):.3f},after_work@p=0.2"
    for operation in ("avatars.list", "assets.upload"):
        for one in dice.sample(("reset_before", "reset_after", "truncated_body", "html_200"), 2):
            yield f"{operation}:{one}@p=0.05"
        yield f"{operation}:status=502,form=html@p={dice.choice((0.0, 0.1)):.2f}"
        yield f"{operation}:status=429,form=decimal,retry_after_s=0.2@p=0.03,times=3"
        yield f"{operation}:latency={dice.uniform(0.01, 0.1):.3f}@p=0.2"


def _rare(dice: random.Random) -> Iterator[str]:
    """What stops more than a row; each strikes once, in few runs."""
    place = dice.randint(1, 40)
    if dice.random() < 0.15:
        yield f"avatars.create:status=596@at={place}"
    if dice.random() < 0.1:
        yield f"avatars.create:status=596,after_work@at={place + 1}"
    if dice.random() < 0.1:
        yield f"avatars.list:status=596@at={dice.randint(1, 6)}"
    if dice.random() < 0.1:
        yield f"avatars.create:status={dice.choice((401, 402, 403))}@at={place + 2}"
    if dice.random() < 0.1:
        yield f"avatars.create:status=429,form=absurd@at={place + 3}"
    if dice.random() < 0.2:
        yield f"avatars.create:status={dice.choice((400, 422))}@at={place + 4}"
    if dice.random() < 0.1:
        yield f"avatars.create:failed_status@at={place + 5}"
