"""Which listed avatar is a lost call's? Unit tests on a clock of their own; no call is sent here.

The last class drives whole calls, for what only the pipeline can show.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from attrs import evolve

from kling_async import Avatar, CreateAvatar, OutcomeUnknownError, Request, RetryPolicy
from kling_async._calls.reconcile import Lookup, PendingCreate, Reconciler
from kling_async.emulator import EmulatedAccount, Emulator, Fault, sample_png
from kling_async.errors import ConfigurationError, ServerError
from kling_async.models.avatars import AvatarEvidence, CreatedAvatar, ImageResource, ListAvatars

ADA = "ada@example.com"
URL = "https://example.com/ada.png"


def request(url: str = URL, nickname: str | None = "Ada", prompt: str | None = "p") -> CreateAvatar:
    return CreateAvatar(image_url=url, nickname=nickname, prompt=prompt)


def listed(
    avatar_id: str, at_s: float | None, *, url: str = URL, nickname: str = "Ada", prompt: str = "p"
) -> Avatar:
    return Avatar(
        id=avatar_id,
        prompt=prompt,
        nickname=nickname,
        image_resources=(ImageResource(url=url),),
        create_time_ms=None if at_s is None else round(at_s * 1000),
    )


def given_as_file(sent: CreateAvatar) -> CreateAvatar:
    """What a user gives whose picture is uploaded for the call."""
    return evolve(sent, image_url=None, image=sample_png())


class Following:
    """A reconciler, its clock, and what it is shown: one listing per look, the last for ever."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.reconciler = Reconciler(clock)
        self.looks = 0

    def begin(
        self, *, account: str | None = ADA, own_token: bool = False, **how: Any
    ) -> PendingCreate[Any]:
        sent = request(**how)
        given = given_as_file(sent) if own_token else sent
        pending = self.reconciler.begin(sent, account, given)
        assert pending is not None
        return pending

    async def follow(
        self,
        pending: PendingCreate[Any],
        *listings: Sequence[Avatar] | Exception,
        within_s: float = 120,
    ) -> Lookup[Any]:
        async def look(listing: Request[Any]) -> Sequence[Avatar]:
            assert listing == ListAvatars(email=pending.account)
            found = listings[min(self.looks, len(listings) - 1)]
            self.looks += 1
            if isinstance(found, Exception):
                raise found
            return found

        self.looks = 0
        return await self.reconciler.follow(pending, self.now_s, within_s, look)

    @property
    def now_s(self) -> float:
        return float(self.clock.wall())

    def learn(self, ahead_s: float | None, *, took_s: float = 0.0) -> None:
        """An answered create of ours, made at Kling's `ahead_s` before the answer came."""
        pending = self.begin(nickname="another")
        self.clock.now_s += took_s
        self.reconciler.answered(pending, CreatedAvatar(id="known", status="SUCCESS"))
        self.reconciler.end(pending, lost=False)
        made_s = None if ahead_s is None else self.now_s + ahead_s - took_s
        evidence = AvatarEvidence()
        self.reconciler.clock_skew.listed([evidence.sighting(listed("known", made_s))])


@pytest.fixture
def it(no_waiting: Any) -> Following:
    return Following(no_waiting)


class TestLooking:
    async def test_it_looks_soon_and_then_ever_more_patiently(self, it: Following) -> None:
        lookup = await it.follow(it.begin(), [])
        assert lookup == Lookup(None, ())
        assert it.clock.waits_s == pytest.approx([0.2, 1, 2, 5, 15, 30, 60, 6.8])

    async def test_it_stops_when_it_has_found(self, it: Following) -> None:
        made = listed("1", it.now_s)
        lookup = await it.follow(it.begin(), [], [], [made])
        assert lookup.found.id == "1"
        assert it.looks == 3

    async def test_0_is_not_at_all(self, it: Following) -> None:
        lookup = await it.follow(it.begin(), [listed("1", it.now_s)], within_s=0)
        assert lookup == Lookup(None, listed=False)
        assert it.looks == 0
        assert it.clock.waits_s == []

    async def test_a_listing_that_fails_is_asked_for_again(self, it: Following) -> None:
        failed = ServerError("500", status_code=500)
        lookup = await it.follow(it.begin(), failed, failed, [listed("1", it.now_s)])
        assert lookup.found.id == "1"

    async def test_a_closed_client_ends_the_looking(self, it: Following) -> None:
        with pytest.raises(ConfigurationError):
            await it.follow(it.begin(), ConfigurationError("closed"))
        assert it.looks == 1

    async def test_other_errors_pass_through(self, it: Following) -> None:
        with pytest.raises(ZeroDivisionError):
            await it.follow(it.begin(), ZeroDivisionError())

    def test_what_nothing_lists_has_no_pending(self, it: Following) -> None:
        assert it.reconciler.begin(ListAvatars(), ADA, ListAvatars()) is None
        it.reconciler.end(None, lost=True)
        it.reconciler.answered(None, None)


class TestWhatResembles:
    @pytest.mark.parametrize("other", [{"nickname": "Ben"}, {"prompt": "another"}])
    async def test_another_text_is_not_it(self, it: Following, other: dict[str, str]) -> None:
        assert await it.follow(it.begin(), [listed("1", it.now_s, **other)]) == Lookup(None)

    async def test_another_image_is_only_shown_while_none_is_known_to_be_kept(
        self, it: Following
    ) -> None:
        """Or the user would not see it where the server keeps pictures under its own addresses."""
        made = listed("1", it.now_s, url="https://example.com/ben.png")
        assert await it.follow(it.begin(), [made]) == Lookup(None, (made,))
        kept = listed("2", it.now_s - 5000)
        assert await it.follow(it.begin(), [made, kept]) == Lookup(None)

    async def test_the_host_and_the_query_of_the_image_may_change(self, it: Following) -> None:
        made = listed("1", it.now_s, url="http://cdn.example.org/ada.png?signature=1")
        assert (await it.follow(it.begin(), [made])).found.id == "1"

    async def test_texts_that_were_left_out_are_not_compared(self, it: Following) -> None:
        pending = it.begin(nickname=None, prompt=None)
        assert (await it.follow(pending, [listed("1", it.now_s)])).found.id == "1"


class TestTime:
    @pytest.mark.parametrize(
        ("apart_s", "found"),
        [(-599, True), (-601, False), (599, True), (5000, False), (-30 * 86_400, False)],
    )
    async def test_10_minutes_either_way_until_something_is_known(
        self, it: Following, apart_s: float, found: bool
    ) -> None:
        lookup = await it.follow(it.begin(), [listed("1", it.now_s + apart_s)])
        assert (lookup.found is not None) is found

    @pytest.mark.parametrize("ahead_s", [-3600, -300, 0, 300, 3600])
    async def test_an_answered_call_tells_how_far_the_clocks_are_apart(
        self, it: Following, ahead_s: float
    ) -> None:
        it.learn(ahead_s)
        older, made = listed("1", it.now_s + ahead_s - 5), listed("2", it.now_s + ahead_s + 0.1)
        lookup = await it.follow(it.begin(), [older, made])
        assert lookup.found.id == "2"
        assert lookup.candidates == (made,)

    async def test_slow_answers_never_hide_the_own_avatar(self, it: Following) -> None:
        it.learn(60, took_s=170)  # the avatar was made 170 s before its answer came
        it.learn(60, took_s=3)
        it.learn(60, took_s=40)
        pending = it.begin()
        assert await it.follow(pending, [listed("2", it.now_s + 50)]) == Lookup(None)
        assert (await it.follow(pending, [listed("1", it.now_s + 60)])).found.id == "1"

    async def test_an_answer_that_took_too_long_teaches_nothing(self, it: Following) -> None:
        it.learn(0, took_s=700)  # or the true difference might be more than is reckoned with
        assert await it.follow(it.begin(), [listed("1", it.now_s - 650)]) == Lookup(None)

    async def test_an_answered_one_without_a_time_teaches_nothing(self, it: Following) -> None:
        it.learn(None)
        lookup = await it.follow(it.begin(), [listed("1", it.now_s - 300)])
        assert lookup.found.id == "1"

    @pytest.mark.parametrize("own_token", [False, True])
    async def test_without_a_time_it_is_only_shown(self, it: Following, own_token: bool) -> None:
        made = listed("1", None)
        pending = it.begin(own_token=own_token)
        assert await it.follow(pending, [made]) == Lookup(None, (made,))


class TestOthers:
    async def test_more_candidates_than_callers_are_undecided(self, it: Following) -> None:
        older, newer = listed("1", it.now_s), listed("2", it.now_s + 1)
        lookup = await it.follow(it.begin(), [newer, older])
        assert lookup == Lookup(None, (older, newer))

    @pytest.mark.parametrize("count", [1, 2])
    async def test_alike_callers_in_doubt_are_undecided(self, it: Following, count: int) -> None:
        one, two = it.begin(), it.begin()
        two.in_doubt = True
        there = [listed(f"{n}", it.now_s + n) for n in range(count)]
        for each in (one, two):
            assert await it.follow(each, there) == Lookup(None, tuple(there))

    async def test_who_can_be_told_apart_gets_their_own(self, it: Following) -> None:
        one, two = it.begin(), it.begin(nickname="Ben")
        both = [listed("2", it.now_s, nickname="Ben"), listed("1", it.now_s)]
        assert (await it.follow(one, both)).found.id == "1"
        assert (await it.follow(two, both)).found.id == "2"

    async def test_who_makes_things_like_ours_makes_likeness_worthless(self, it: Following) -> None:
        done = it.begin(url=URL + "x")
        it.reconciler.answered(done, CreatedAvatar(id="7", status="SUCCESS"))
        it.reconciler.end(done, lost=False)
        ours, made = listed("7", it.now_s, url=URL + "x"), listed("1", it.now_s)
        theirs = listed("8", it.now_s + 1, url=URL + "x")
        assert await it.follow(it.begin(), [ours, theirs, made]) == Lookup(None, (made,))
        it.reconciler.end(next(iter(it.reconciler._open)), lost=False)
        made = listed("2", it.now_s)
        assert (await it.follow(it.begin(), [ours, made])).found.id == "2"

    async def test_a_list_that_may_be_cut_decides_nothing_by_likeness(self, it: Following) -> None:
        others = [listed(f"9{n}", it.now_s - n, url=URL + f"{n}") for n in range(19)]
        made, pending = listed("1", it.now_s), it.begin()
        assert await it.follow(pending, [*others, made], within_s=1) == Lookup(None, (made,))
        back = [*others[:-1], listed("0", it.now_s - 700, url=URL + "x")]  # the newest first
        assert (await it.follow(pending, [made, *back])).found.id == "1"

    async def test_nothing_is_taken_while_a_like_call_awaits_its_answer(
        self, it: Following
    ) -> None:
        lost, awaiting = it.begin(), it.begin()
        made = listed("1", it.now_s)
        assert await it.follow(lost, [made]) == Lookup(None, (made,))
        it.reconciler.answered(awaiting, CreatedAvatar(id="1", status="SUCCESS"))
        it.reconciler.end(awaiting, lost=False)
        assert await it.follow(lost, [made]) == Lookup(None)  # it is the other's
        assert (await it.follow(lost, [made, listed("2", it.now_s)])).found.id == "2"

    @pytest.mark.parametrize("in_doubt", [False, True])
    async def test_a_call_with_fewer_texts_may_have_made_it(
        self, it: Following, in_doubt: bool
    ) -> None:
        lost, other = it.begin(nickname=None, prompt=None), it.begin()
        other.in_doubt = in_doubt
        made = listed("1", it.now_s)
        assert await it.follow(lost, [made]) == Lookup(None, (made,))
        assert (await it.follow(other, [made])).found is None
        it.reconciler.end(other, lost=False)  # plainly refused, say
        assert (await it.follow(lost, [made])).found.id == "1"

    @pytest.mark.parametrize("how", [{}, {"nickname": None}, {"account": None}])
    async def test_what_a_like_call_may_have_left_is_not_taken(
        self, it: Following, how: dict[str, Any]
    ) -> None:
        it.reconciler.end(it.begin(**how), lost=True)
        made = listed("1", it.now_s)
        assert await it.follow(it.begin(), [made]) == Lookup(None, (made,))

    @pytest.mark.parametrize(
        "how", [{"account": "ben@example.com"}, {"nickname": "Ben"}, {"url": URL + "x"}]
    )
    async def test_what_is_not_alike_does_not_disturb(
        self, it: Following, how: dict[str, Any]
    ) -> None:
        it.begin(**how)
        it.reconciler.end(it.begin(**how), lost=True)
        assert (await it.follow(it.begin(), [listed("1", it.now_s)])).found.id == "1"

    async def test_what_is_gone_is_no_candidate(self, it: Following) -> None:
        pending, awaiting = it.begin(), it.begin()
        lookup = await it.follow(pending, [listed("1", it.now_s)], [listed("2", it.now_s)], [])
        assert lookup == Lookup(None, ())
        it.reconciler.end(awaiting, lost=False)


class TestOwnToken:
    async def test_all_that_carry_it_are_ours_and_the_oldest_counts(self, it: Following) -> None:
        pending = it.begin(own_token=True)
        surplus, oldest = listed("2", it.now_s + 5), listed("1", it.now_s + 1)
        lookup = await it.follow(pending, [surplus, oldest])
        assert lookup.found.id == "1"
        assert lookup.candidates == (oldest, surplus)

    async def test_what_is_older_is_an_equal_files_of_long_ago(self, it: Following) -> None:
        """The server may give equal files equal addresses; that it does not is not documented."""
        older, mine = listed("1", it.now_s - 30 * 86_400), listed("2", it.now_s + 5)
        assert await it.follow(it.begin(own_token=True), [older]) == Lookup(None)
        it.reconciler.end(next(iter(it.reconciler._open)), lost=False)
        assert (await it.follow(it.begin(own_token=True), [older, mine])).found.id == "2"

    async def test_with_another_text_it_is_an_equal_files_of_somebody_else(
        self, it: Following
    ) -> None:
        made = listed("1", it.now_s, nickname="Ben")
        assert await it.follow(it.begin(own_token=True), [made]) == Lookup(None, (made,))

    @pytest.mark.parametrize("lost", [False, True])
    async def test_one_that_another_call_has_too_proves_nothing(
        self, it: Following, lost: bool
    ) -> None:
        # The server may give equal files equal addresses; that it does not is not documented.
        other, pending = it.begin(own_token=True), it.begin(own_token=True)
        if lost:
            it.reconciler.end(other, lost=True)
        assert (await it.follow(pending, [listed("1", it.now_s)])).found is None


Open = Callable[..., Awaitable[Any]]


@pytest.mark.looptime
class TestWholeCalls:
    @pytest.fixture
    def emulator(self) -> Emulator:
        return Emulator(accounts=[EmulatedAccount(ADA)])

    async def test_a_deadline_while_looking_tells_what_was_found(
        self, open_client: Open, emulator: Emulator
    ) -> None:
        kling = await open_client(deadline_s=10, accounts=[ADA])
        elsewhere = await open_client(accounts=[ADA])
        foreign = await elsewhere.send(request())  # by another client: it could be ours
        emulator.add_faults([Fault("avatars.create", "reset_after", at=1)])
        with pytest.raises(OutcomeUnknownError, match="deadline of 10 s") as caught:
            await kling.send(request())
        assert foreign.id in {one.id for one in caught.value.candidates}
        assert len(caught.value.candidates) == 2
        assert emulator.counts["avatars.create"] == 2

    async def test_a_call_that_found_nothing_says_so_and_blocks_no_other(
        self, open_client: Open, emulator: Emulator
    ) -> None:
        kling = await open_client(accounts=[ADA], retry=RetryPolicy(reconcile_within_s=5))
        emulator.add_faults([Fault("avatars.create", "reset_before", at=1)])
        with pytest.raises(OutcomeUnknownError, match="nothing that could be it") as caught:
            await kling.send(request())
        assert caught.value.request == request()
        assert caught.value.account == ADA
        assert (await kling.send(request())).meta.adopted is False

    async def test_a_call_whose_account_could_not_be_listed_says_so(
        self, open_client: Open, emulator: Emulator
    ) -> None:
        kling = await open_client(accounts=[ADA], retry=RetryPolicy(reconcile_within_s=5))
        emulator.add_faults([Fault("avatars.create", "reset_after", at=1),
                             Fault("avatars.list", "status", status=403)])  # fmt: skip
        with pytest.raises(OutcomeUnknownError, match="no listing of its account was had"):
            await kling.send(request())

    async def test_after_an_unknown_one_a_like_call_takes_nothing(
        self, open_client: Open, emulator: Emulator
    ) -> None:
        """The first one's avatar shows up late; the second one was never made."""
        emulator = Emulator(accounts=[ADA], listing_lag_s=60)
        kling = await open_client(
            transport=emulator.transport(),
            accounts=[ADA],
            retry=RetryPolicy(reconcile_within_s=50),
        )
        emulator.add_faults(
            [
                Fault("avatars.create", "reset_after", at=1),
                Fault("avatars.create", "reset_before", at=2),
            ]
        )
        for candidates in (0, 1):
            with pytest.raises(OutcomeUnknownError) as caught:
                await kling.send(request())
            assert len(caught.value.candidates) == candidates
        assert len(emulator.avatars) == 1

    async def test_what_was_found_stands_in_no_later_ones_way(
        self, open_client: Open, emulator: Emulator
    ) -> None:
        kling = await open_client(accounts=[ADA])
        emulator.add_faults([Fault("avatars.create", "reset_after", at=(1, 2, 3))])
        made = [await kling.send(request()) for _ in range(3)]
        assert [one.id for one in made] == [one.id for one in emulator.avatars]
        assert all(one.meta.adopted for one in made)
