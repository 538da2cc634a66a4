"""Does an adaptive rate find a quota nobody told it, keep near it, and follow it? On virtual time.

The server is a sliding window that counts what it admits; answers take a while, so that some are
under way when a quota is passed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import now_s, run

from kling_async import RateLimit, RateLimitedError
from kling_async._limits.admission import Admission
from kling_async._limits.cubic import FALL, FLAT, LEAST_PER_S, Cubic
from kling_async.clock import LoopClock

Sent = list[tuple[float, bool]]  # when, and whether it was admitted


class Window:
    """At most `quota` admitted in any second."""

    def __init__(self, quota: float) -> None:
        self.quota = quota
        self._admitted_s: deque[float] = deque()

    def admits(self, at_s: float) -> bool:
        while self._admitted_s and self._admitted_s[0] <= at_s - 1:
            self._admitted_s.popleft()
        if len(self._admitted_s) >= self.quota:
            return False
        self._admitted_s.append(at_s)
        return True


def played(
    limit: RateLimit,
    quotas: Mapping[float, float],
    until_s: float,
    *,
    answer_s: float = 0.05,
    callers: int = 64,
) -> Sent:
    """What `callers` send, who all always want more; `quotas` from which second on."""

    async def play() -> Sent:
        gate, server, sent = Admission(limit, LoopClock()), Window(0), []

        async def caller() -> None:
            while now_s() < until_s:
                permit = await gate.admit("ada@example.com")
                at_s = now_s()
                server.quota = [quota for from_s, quota in quotas.items() if from_s <= at_s][-1]
                good = server.admits(at_s)
                sent.append((at_s, good))
                await asyncio.sleep(answer_s)
                permit.release(None if good else RateLimitedError("no", status_code=429))

        await asyncio.gather(*(caller() for _ in range(callers)))
        return sent

    return run(play())


def per_s(sent: Sent, from_s: float, to_s: float) -> float:
    return sum(1 for at_s, good in sent if good and from_s <= at_s < to_s) / (to_s - from_s)


def refused(sent: Sent, from_s: float, to_s: float) -> float:
    goods = [good for at_s, good in sent if from_s <= at_s < to_s]
    return 1 - sum(goods) / len(goods)


@pytest.mark.parametrize("answer_s", [0.005, 0.05, 0.15])
def test_a_silent_quota_is_found_within_ten_seconds(answer_s: float) -> None:
    sent = played(RateLimit(1000, adaptive=True), {0: 40}, 30, answer_s=answer_s)
    assert per_s(sent, 7, 10) >= 0.9 * 40
    assert refused(sent, 0, 10) <= 0.02
    assert per_s(sent, 10, 30) >= 0.9 * 40
    assert refused(sent, 10, 30) <= 0.01


def test_it_follows_when_the_quota_is_halved_and_doubled() -> None:
    quotas = {0.0: 40.0, 20.0: 20.0, 40.0: 40.0, 75.0: 80.0}
    sent = played(RateLimit(1000, adaptive=True), quotas, 110)
    assert per_s(sent, 25, 40) >= 0.88 * 20
    assert refused(sent, 25, 40) <= 0.02
    assert per_s(sent, 65, 75) >= 0.85 * 40
    assert per_s(sent, 100, 110) >= 0.85 * 80
    assert refused(sent, 40, 110) <= 0.02


def test_the_limit_given_is_a_bound_that_holds_in_every_window() -> None:
    sent = played(RateLimit(15, adaptive=True), {0: 1000}, 30)
    times_s = [at_s for at_s, _ in sent]
    assert all(beyond - first >= 1 for first, beyond in zip(times_s, times_s[15:], strict=False))
    assert per_s(sent, 10, 30) >= 0.95 * 15


def test_a_low_bound_is_where_it_begins() -> None:
    sent = played(RateLimit(2, adaptive=True), {0: 1000}, 20, callers=3)
    assert per_s(sent, 0, 20) == pytest.approx(2, rel=0.05)


# --- the law ----------------------------------------------------------------------------------


def used(law: Cubic, from_s: float, to_s: float) -> float:
    """Send at the rate itself; when it ends."""
    at_s = from_s
    while at_s < to_s:
        law.sent(at_s, waited=True)
        at_s += 1 / law.per_s
    return at_s


def test_what_is_not_used_is_not_raised() -> None:
    law = Cubic(10, 1000)
    for n in range(100):
        law.sent(n * 1.0, waited=False)
    assert law.per_s == 10
    law.sent(3600.0, waited=True)  # an hour in which nobody wanted anything is no success
    assert law.per_s < 11


def test_a_refusal_falls_below_what_got_through() -> None:
    law = Cubic(10, 1000)
    at_s = used(law, 0, 4)
    before = law.per_s
    law.refused(at_s - 0.01, at_s)
    assert FALL * before / 2 <= law.per_s <= FALL * before
    flat = law.per_s / FALL * FLAT
    used(law, at_s, at_s + 8)
    assert law.per_s == pytest.approx(flat, rel=0.01)


def test_a_fall_and_the_climb_after_it_in_numbers() -> None:
    """The window of 2 a second is 4 s: what went out at its beginning is out of it."""
    law = Cubic(2, 1000)
    for at_s in (0.0, 1.0, 2.0, 3.0, 3.5, 4.0):
        law.sent(at_s, waited=False)
    law.refused(4.0, 4.1)
    assert law.per_s == pytest.approx(FALL * 5 / 4)
    law.refused(4.1, 4.2)  # it went out when the rate fell, and has the same cause
    assert law.per_s == pytest.approx(FALL * 5 / 4)
    flat = FLAT * 5 / 4
    law.sent(4.5, waited=True)
    climbed = flat + (flat - FALL * 5 / 4) * (0.5 / 8 - 1) ** 3
    assert law.per_s == pytest.approx(climbed, rel=1e-12)


def test_where_a_quota_has_grown_much_it_is_not_felt_for_but_run_after() -> None:
    law = Cubic(10, 10_000)
    at_s = used(law, 0, 4)
    law.refused(at_s - 0.01, at_s)
    flat = law.per_s / FALL * FLAT
    used(law, at_s, at_s + 24)
    assert law.per_s > 15 * flat  # by the cubic alone it would not have doubled


def test_a_rate_for_the_whole_client_learns_too() -> None:
    async def play() -> float:
        gate = Admission(None, LoopClock(), client_limiter=RateLimit(1000, adaptive=True))
        server, goods = Window(40), 0

        async def caller(account: str) -> None:
            nonlocal goods
            while now_s() < 20:
                permit = await gate.admit(account)
                good = server.admits(now_s())
                goods += good
                await asyncio.sleep(0.05)
                permit.release(None if good else RateLimitedError("no", status_code=429))

        await asyncio.gather(*(caller(f"a{n % 3}@example.com") for n in range(60)))
        return goods / 20

    assert 0.8 * 40 <= run(play()) <= 40


def test_refusals_of_what_was_under_way_count_once() -> None:
    law = Cubic(10, 1000)
    at_s = used(law, 0, 4)
    law.refused(at_s - 0.1, at_s)
    once = law.per_s
    for n in range(20):
        law.refused(at_s - 0.1 + n / 200, at_s + 0.1)
    assert law.per_s == once


def test_a_chance_refusal_soon_after_a_pause_at_most_halves() -> None:
    law = Cubic(40, 1000)
    at_s = used(law, 0, 2)
    before = law.per_s
    law.sent(at_s + 60, waited=False)
    law.refused(at_s + 60, at_s + 60.1)
    assert law.per_s >= FALL * before / 2


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans(), st.booleans()), max_size=200))
def test_the_rate_stays_between_its_bounds(events: list[tuple[float, bool, bool]]) -> None:
    law, at_s = Cubic(10, 50), 0.0
    for wait_s, bad, waited in events:
        at_s += wait_s
        law.sent(at_s, waited=waited)
        if bad:
            law.refused(at_s, at_s)
        assert LEAST_PER_S <= law.per_s <= 50
