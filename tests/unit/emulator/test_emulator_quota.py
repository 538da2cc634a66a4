"""The quota: a sliding window per account, and every form of 429 that says when to come back."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from kling_async._limits.limits import RateLimit
from kling_async.emulator import Emulator, EmulatorClock
from kling_async.emulator.quota import Quota

PICTURE = {"imageUrl": "https://pictures.example/ada.png"}


async def test_requests_above_get_429_and_nothing_is_made(connect):
    emulator = Emulator(quota=RateLimit(3, per_s=1000))
    async with connect(emulator) as client:
        statuses = [(await client.post("/avatars", json=PICTURE)).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    assert len(emulator.avatars) == 3
    assert [call.worked for call in emulator.calls] == [True] * 3 + [False] * 2


def test_no_window_ever_holds_more():
    clock = EmulatorClock()
    quota = Quota(RateLimit(4, per_s=10), clock)
    admitted: list[float] = []
    for step in range(400):
        clock.advance(0.1 + step % 7 / 10)
        if quota.admit("avatars.create", "a@x.org") is None:
            admitted.append(clock.monotonic())
    assert len(admitted) > 50
    for start in admitted:
        assert sum(start <= moment < start + 9.99 for moment in admitted) <= 4


def test_spacing_by_the_window_is_always_admitted():
    clock = EmulatorClock()
    quota = Quota(RateLimit(5, per_s=1), clock)
    for _ in range(100):
        assert quota.admit("avatars.create", "a@x.org") is None
        clock.advance(0.2)


def test_it_opens_exactly_when_it_said():
    clock = EmulatorClock()
    quota = Quota(RateLimit(2, per_s=10), clock)
    for _ in range(2):
        assert quota.admit("avatars.create", "a@x.org") is None
        clock.advance(3)
    assert quota.admit("avatars.create", "a@x.org") is not None
    clock.advance(3.9)
    assert quota.admit("avatars.create", "a@x.org") is not None
    clock.advance(0.1)
    assert quota.admit("avatars.create", "a@x.org") is None
    assert quota.admit("avatars.create", "a@x.org") is not None


class StillClock(EmulatorClock):
    """Moves by hand alone."""

    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.mark.parametrize("requests", [3, 5, 7, 10])
def test_float_rounding_refuses_nobody(requests):
    clock = StillClock()
    quota = Quota(RateLimit(requests, per_s=1), clock)
    for _ in range(1000):
        assert quota.admit("avatars.create", "a@x.org") is None
        clock.now_s += 1 / requests


def test_after_a_pause_the_whole_window_is_free_again():
    clock = EmulatorClock()
    quota = Quota(RateLimit(3, per_s=10), clock)
    for _ in range(2):
        replies = [quota.admit("avatars.create", "a@x.org") for _ in range(4)]
        assert [reply is None for reply in replies] == [True, True, True, False]
        clock.advance(20)


async def test_a_reset_empties_the_windows(in_process):
    emulator = Emulator(quota=RateLimit(1, per_s=1000))
    async with in_process(emulator) as client:
        assert (await client.get("/avatars")).status_code == 200
        emulator.reset()
        assert (await client.get("/avatars")).status_code == 200


async def test_accounts_have_windows_of_their_own(in_process):
    emulator = Emulator(accounts=["a@x.org", "b@x.org", "c@x.org"])
    emulator.set_quota({"a@x.org": RateLimit(1, per_s=1000), "b@x.org": RateLimit(2, per_s=1000)})
    async with in_process(emulator) as client:
        statuses: dict[str, list[int]] = {}
        for email in ("a@x.org", "b@x.org", "c@x.org"):
            replies = [await client.get("/avatars", params={"email": email}) for _ in range(3)]
            statuses[email] = [reply.status_code for reply in replies]
        account = await client.get("/accounts/a@x.org")
        accounts = await client.get("/accounts")
    assert statuses == {
        "a@x.org": [200, 429, 429],
        "b@x.org": [200, 200, 429],
        "c@x.org": [200, 200, 200],
    }
    assert account.status_code == 429
    assert accounts.status_code == 200  # belongs to no account


async def test_it_may_count_some_operations_only(in_process):
    emulator = Emulator(quota=RateLimit(1, per_s=1000), quota_operations=["avatars.create"])
    async with in_process(emulator) as client:
        creates = [(await client.post("/avatars", json=PICTURE)).status_code for _ in range(2)]
        lists = [(await client.get("/avatars")).status_code for _ in range(3)]
    assert creates == [200, 429]
    assert lists == [200] * 3


async def test_it_can_be_changed_while_running(in_process):
    emulator = Emulator(quota=RateLimit(1, per_s=1000))
    async with in_process(emulator) as client:
        first = [(await client.get("/avatars")).status_code for _ in range(2)]
        emulator.set_quota(None)
        free = [(await client.get("/avatars")).status_code for _ in range(3)]
        emulator.set_quota(RateLimit(2, per_s=1000))
        again = [(await client.get("/avatars")).status_code for _ in range(3)]
    assert first + free + again == [200, 429, 200, 200, 200, 200, 200, 429]


async def test_refused_requests_do_not_count(in_process):
    emulator = Emulator(quota=RateLimit(1, per_s=1000))
    async with in_process(emulator) as client:
        wrong = await client.get("/avatars?email=nobody@x.org")
        anonymous = await client.get("/avatars", headers={"Authorization": "x"})
        right = await client.get("/avatars")
    assert [wrong.status_code, anonymous.status_code, right.status_code] == [404, 401, 200]


@pytest.mark.parametrize("form", ["seconds", "date", "body", "none"])
async def test_forms(connect, form):
    clock = EmulatorClock(start_ms=1_780_000_000_000)
    emulator = Emulator(quota=RateLimit(1, per_s=30), quota_form=form, clock=clock)
    async with connect(emulator) as client:
        await client.get("/avatars")
        reply = await client.get("/avatars")
    assert reply.status_code == 429
    header, stamp = reply.headers.get("retry-after"), reply.json().get("retryAfter")
    assert (header is None) == (form in ("body", "none"))
    assert (stamp is None) == (form == "none")
    opens = datetime.fromtimestamp(1_780_000_030, tz=UTC)
    if form == "seconds":
        assert 29 <= int(header) <= 30
    if form == "date":
        assert 0 <= (parsedate_to_datetime(header) - opens).total_seconds() < 3
    if stamp:
        told = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
        assert abs((told - opens).total_seconds()) < 2


def test_unknown_form():
    with pytest.raises(ValueError, match="seconds, date, body, none"):
        Emulator(quota_form="soon")
