"""Whose account does a call use, and is nothing sent when that is open?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from kling_async import (
    Account,
    AccountRegistry,
    AccountRequiredError,
    AsyncKlingClient,
    ConfigurationError,
    ListAvatars,
    ServerAccount,
)
from kling_async.accounts import as_listed
from kling_async.emulator import EmulatedAccount, Emulator, Fault

ADA, BEN, EVE = "ada@example.com", "ben+1@example.com", "eve@example.com"
URL = "https://x.y/a.png"
Open = Callable[..., Awaitable[AsyncKlingClient]]


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(accounts=[ADA, EmulatedAccount(BEN, max_jobs=7)])


# --- the registry alone -----------------------------------------------------------------------


def test_none_known_leaves_it_to_the_server() -> None:
    assert AccountRegistry().choose(None) is None


def test_the_only_one_is_filled_in() -> None:
    assert AccountRegistry([ADA]).choose(None) == ADA


@pytest.mark.parametrize("known", [[], [ADA], [ADA, BEN]])
@pytest.mark.parametrize("choose", [None, "round_robin"])
def test_a_named_one_is_taken_known_or_not(known: list[str], choose: Any) -> None:
    assert AccountRegistry(known, choose=choose).choose(EVE) == EVE


def test_several_and_none_named() -> None:
    with pytest.raises(AccountRequiredError) as caught:
        AccountRegistry([ADA, BEN]).choose(None)
    assert caught.value.accounts == (ADA, BEN)
    for part in (ADA, BEN, "nothing was sent", "email="):
        assert part in str(caught.value)


@pytest.mark.parametrize("unseen", ["\u200b", "\u202a", "\ufeff", "\x1b", "\xad"])
def test_an_invisible_character_is_refused_and_shown(unseen: str) -> None:
    """It comes with what was pasted, and would name an account that nobody has."""
    with pytest.raises(ConfigurationError, match=r"invisible character: '.*type the") as got:
        AccountRegistry([f"ada@example.com{unseen}x"])
    assert repr(unseen)[1:-1] in str(got.value)
    assert str(got.value).isprintable()


def test_round_robin_takes_turns() -> None:
    registry = AccountRegistry([ADA, BEN, EVE], choose="round_robin")
    assert [registry.choose(None) for _ in range(7)] == [ADA, BEN, EVE, ADA, BEN, EVE, ADA]


def test_naming_one_takes_no_turn() -> None:
    registry = AccountRegistry([ADA, BEN], choose="round_robin")
    assert [registry.choose(email) for email in (None, EVE, None)] == [ADA, EVE, BEN]


def test_least_busy_follows_calls_under_way() -> None:
    registry = AccountRegistry([ADA, BEN, EVE], choose="least_busy")
    assert registry.choose(None) == ADA
    with registry.busy(ADA), registry.busy(None):
        assert registry.choose(None) == BEN
        with registry.busy(BEN), registry.busy(ADA):
            assert registry.choose(None) == EVE
    assert registry.choose(None) == ADA


def test_least_busy_counts_failed_calls_down() -> None:
    registry = AccountRegistry([ADA, BEN], choose="least_busy")
    with pytest.raises(KeyError), registry.busy(ADA):
        raise KeyError
    assert registry.choose(None) == ADA


@pytest.mark.parametrize("answer", [BEN, Account(BEN)])
def test_callable_is_given_the_accounts(answer: Any) -> None:
    seen: list[Sequence[Account]] = []

    def choose(accounts: Sequence[Account]) -> Any:
        seen.append(accounts)
        return answer

    assert AccountRegistry([ADA, Account(BEN, 3)], choose=choose).choose(None) == BEN
    assert seen == [(Account(ADA), Account(BEN, 3))]


@pytest.mark.parametrize("choose", ["random", "", 5])
def test_unknown_strategy(choose: Any) -> None:
    with pytest.raises(ConfigurationError, match="round_robin"):
        AccountRegistry([ADA], choose=choose)


@pytest.mark.parametrize("email", ["", "ada", "a b@c.d", "@x", "a@"])
def test_what_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(ConfigurationError, match="e-mail"):
        AccountRegistry([email])


@pytest.mark.parametrize("max_jobs", [0, -1, "5", 2.5, True])
def test_what_is_no_number_of_jobs_is_refused(max_jobs: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_jobs: "):
        Account(ADA, max_jobs)


@pytest.mark.parametrize(("listed", "known"), [(5, 5), (80, 80), (0, None), (None, None)])
def test_a_number_of_jobs_that_cannot_be_counts_as_unknown(
    listed: int | None, known: int | None
) -> None:
    assert as_listed([ServerAccount(email=ADA, max_jobs=listed)]) == [Account(ADA, known)]


def test_text_is_split_at_commas_and_repeats_count_once() -> None:
    registry = AccountRegistry(f" {ADA}, {BEN} ,{ADA}")
    assert [one.email for one in registry] == [ADA, BEN]
    assert len(registry) == 2
    assert ADA in registry
    assert EVE not in registry


def test_update_replaces_by_email() -> None:
    registry = AccountRegistry([ADA])
    registry.update([Account(ADA, 9), Account(BEN)])
    assert list(registry) == [Account(ADA, 9), Account(BEN)]


# --- in a call --------------------------------------------------------------------------------


async def test_nothing_is_sent_when_the_account_is_open(
    open_client: Open, emulator: Emulator
) -> None:
    kling = await open_client(accounts=[ADA, BEN])
    for call in (
        kling.avatars.create(image_url=URL),
        kling.avatars.list(),
        kling.tts.voices(),
        kling.avatars.delete("300137233318846"),
        kling.assets.upload(b"ID3\0\0\0"),
        kling.accounts.get(),
    ):
        with pytest.raises(AccountRequiredError):
            await call
    assert emulator.calls == []


@pytest.mark.parametrize(("known", "named", "sent"), [
    ([], None, None), ([], ADA, ADA), ([BEN], None, BEN), ([BEN], ADA, ADA), ([ADA, BEN], BEN, BEN),
])  # fmt: skip
async def test_the_email_that_goes_out(
    open_client: Open, known: list[str], named: str | None, sent: str | None
) -> None:
    emulator = Emulator(accounts=[ADA] if sent is None else [ADA, BEN])
    kling = await open_client(accounts=known, transport=emulator.transport())
    avatar = await kling.avatars.create(image_url=URL, email=named)
    await kling.avatars.list(email=named)
    create, listing = emulator.calls
    assert (create.fields or {}).get("email") == sent
    assert listing.query.get("email") == sent
    assert avatar.meta.account == sent


async def test_round_robin_in_calls(open_client: Open, emulator: Emulator) -> None:
    kling = await open_client(accounts=AccountRegistry([ADA, BEN], choose="round_robin"))
    for _ in range(4):
        await kling.avatars.create(image_url=URL)
    assert [one.account for one in emulator.avatars] == [ADA, BEN, ADA, BEN]


async def test_least_busy_in_calls(open_client: Open, emulator: Emulator) -> None:
    emulator.add_faults([Fault("avatars.create", "latency", delay_s=60, account=ADA)])
    kling = await open_client(accounts=AccountRegistry([ADA, BEN], choose="least_busy"))
    slow = asyncio.create_task(kling.avatars.create(image_url=URL))
    while not emulator.calls:
        await asyncio.sleep(0)
    for _ in range(3):
        await kling.avatars.create(image_url=URL)
    emulator.clock.advance(60)
    await slow
    assert [one.account for one in emulator.avatars] == [BEN, BEN, BEN, ADA]
    found = [(await kling.avatars.list())[0].meta for _ in range(5)]
    assert [one.account for one in found] == [ADA] * 5  # nobody is busy any more


async def test_retries_of_a_call_keep_its_account(
    open_client: Open, emulator: Emulator, no_waiting: Any
) -> None:
    emulator.add_faults([Fault("avatars.create", "refuse_connection", times=2)])
    kling = await open_client(
        accounts=AccountRegistry([ADA, BEN], choose="round_robin"), clock=no_waiting
    )
    first = await kling.avatars.create(image_url=URL)
    assert (first.meta.account, first.meta.attempts) == (ADA, 3)


async def test_a_result_remembers_its_account(open_client: Open, emulator: Emulator) -> None:
    kling = await open_client(accounts=AccountRegistry([ADA, BEN], choose="round_robin"))
    await kling.avatars.create(image_url=URL)
    made = await kling.avatars.create(image_url=URL)
    found = await kling.avatars.get(made)
    assert found.id == made.id
    again = await kling.avatars.get(found)
    await kling.avatars.delete(again)
    assert [call.query["email"] for call in emulator.calls[2:]] == [BEN, BEN, BEN]
    assert [one.account for one in emulator.avatars] == [ADA]


async def test_a_named_account_wins_over_the_remembered_one(
    open_client: Open, emulator: Emulator
) -> None:
    kling = await open_client()
    made = await kling.avatars.create(image_url=URL, email=ADA)
    await kling.avatars.delete(made, email=ADA)
    made = await kling.avatars.create(image_url=URL, email=ADA)
    with pytest.raises(Exception, match="404"):
        await kling.avatars.delete(made, email=BEN)
    assert emulator.calls[-1].query["email"] == BEN


async def test_sync_learns_the_servers_accounts(open_client: Open) -> None:
    kling = await open_client(accounts=[EVE, ADA])
    synced = await kling.accounts.sync()
    assert synced == [Account(EVE), Account(ADA, 5), Account(BEN, 7)]
    assert list(kling.accounts) == synced


async def test_sync_of_none_is_empty(open_client: Open) -> None:
    kling = await open_client(transport=Emulator(accounts=[]).transport())
    assert await kling.accounts.sync() == []


async def test_after_sync_of_one_it_is_filled_in(open_client: Open) -> None:
    emulator = Emulator(accounts=[BEN])
    kling = await open_client(transport=emulator.transport())
    await kling.accounts.sync()
    await kling.send(ListAvatars())
    assert emulator.calls[-1].query == {"email": BEN}


async def test_account_with_plus_in_the_path(open_client: Open) -> None:
    kling = await open_client(accounts=[BEN])
    account = await kling.accounts.get()
    assert (account.email, account.max_jobs) == (BEN, 7)
    assert account.balance is not None


async def test_get_without_any_account_sends_nothing(open_client: Open, emulator: Emulator) -> None:
    kling = await open_client()
    with pytest.raises(ConfigurationError, match="sync"):
        await kling.accounts.get()
    assert emulator.calls == []
