"""What proves that a listed thing is a lost create's? A table: each row is one rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from attrs import evolve

from kling_async import CreateAvatar, CreateAvatarVideo
from kling_async.models.avatars import Avatar, AvatarEvidence, ImageResource
from kling_async.models.evidence import (
    Decided,
    Known,
    Sent,
    Sighting,
    complete_since,
    decide,
    look_alikes,
    looks_cut,
)
from kling_async.models.sightings import addresses, new_mark

ADA, BEN = "ada@example.com", "ben@example.com"
NOW_S = 1_784_000_000.0
MONTH_S = 30 * 86_400.0
TEXTS = {"nickname": "Ada", "prompt": "Speaks"}
KNOWN = Known(now_s=NOW_S, born_s=NOW_S - 3600)

GIVEN = Sent(
    kind="avatar",
    account=ADA,
    paths={"image_url": "/ada.png"},
    stated=TEXTS,
    since_s=NOW_S - 60,
    likeness=True,
)
"""An avatar of an address that the user gave, sent a minute ago."""
OWN = evolve(GIVEN, paths={"image_url": "/up/1.png"}, own=frozenset({"image_url"}))
"""The same of a file that was uploaded for it."""
TASK = evolve(OWN, kind="task", mark="ka-1", own_mark=True, stated={}, likeness=False)
LIKE = Sighting(
    id="1",
    account=ADA,
    paths=frozenset({"/ada.png"}),
    shown=TEXTS,
    made_at_s=NOW_S - 59,
)
"""What the first would have made."""
CARRIES = evolve(LIKE, paths=frozenset({"/up/1.png"}))
"""What the second would have made."""
MARKED = Sighting(id="1", account=ADA, mark="ka-1")
OTHER = evolve(GIVEN, paths={"image_url": "/ben.png"})
"""Another create of the same job; and what looks like its, but is not:"""
OTHERS = evolve(LIKE, id="9", paths=frozenset({"/ben.png"}))


def like(**changes: Any) -> Sighting:
    return evolve(LIKE, **changes)


def carries(**changes: Any) -> Sighting:
    return evolve(CARRIES, **changes)


def sent(want: Sent = GIVEN, **changes: Any) -> Sent:
    return evolve(want, **changes)


def knowing(**changes: Any) -> Known:
    return evolve(KNOWN, **changes)


def texts(**changes: Any) -> dict[str, Any]:
    return {**TEXTS, **changes}


ADOPTED, BY_LIKENESS, RECOVERED = "adopted", "adopted-by-likeness", "recovered"
SHOWN, NOTHING = "candidate", "nothing"
RULES: dict[str, tuple[Sent, Sequence[Sighting], Known, str]] = {
    # 1: likeness needs all of it
    "like": (GIVEN, [LIKE], KNOWN, BY_LIKENESS),
    "1a: claimed": (GIVEN, [LIKE], knowing(claimed={"1"}), NOTHING),
    "1b: another picture": (GIVEN, [like(paths=frozenset({"/b.png"})), like(id="2", made_at_s=1)],
                            KNOWN, NOTHING),
    "1b: another nickname": (GIVEN, [like(shown=texts(nickname="Ben"))], KNOWN, NOTHING),
    "1b: another prompt": (GIVEN, [like(shown=texts(prompt="Sings"))], KNOWN, NOTHING),
    "1b: another scene": (sent(stated=texts(scene="all")), [like(shown=texts(scene="business"))],
                          KNOWN, NOTHING),
    "1b: another voice": (sent(stated=texts(tts_speaker="a")),
                          [like(shown=texts(tts_speaker="b"))], KNOWN, NOTHING),
    "1b: another speed": (sent(stated=texts(tts_speed=1)), [like(shown=texts(tts_speed=1.2))],
                          KNOWN, NOTHING),
    "1b: the same speed": (sent(stated=texts(tts_speed=1.2)),
                           [like(shown=texts(tts_speed=1.2000000477))], KNOWN, BY_LIKENESS),
    "1b: what is not shown says nothing": (GIVEN, [like(shown={"prompt": None})], KNOWN,
                                           BY_LIKENESS),
    "1b: what was not sent says nothing": (sent(stated={}), [LIKE], KNOWN, BY_LIKENESS),
    "1c: a month old": (GIVEN, [like(made_at_s=NOW_S - MONTH_S)], KNOWN, NOTHING),
    "1c: within the slack": (GIVEN, [like(made_at_s=NOW_S - 659)], KNOWN, BY_LIKENESS),
    "1c: at its end": (GIVEN, [like(made_at_s=NOW_S - 660)], KNOWN, BY_LIKENESS),
    "1c: before the slack": (GIVEN, [like(made_at_s=NOW_S - 661)], KNOWN, NOTHING),
    "1c: at its other end": (GIVEN, [like(made_at_s=NOW_S + 600)], KNOWN, BY_LIKENESS),
    "1c: after it": (GIVEN, [like(made_at_s=NOW_S + 601)], KNOWN, NOTHING),
    "1c: no time": (GIVEN, [like(made_at_s=None)], KNOWN, SHOWN),
    "1d: another open one": (GIVEN, [LIKE], knowing(rivals=[sent()]), SHOWN),
    "1d: another with fewer texts": (GIVEN, [LIKE], knowing(rivals=[sent(stated={})]), SHOWN),
    "1d: another of a server's choice": (GIVEN, [LIKE], knowing(rivals=[sent(account=None)]),
                                         SHOWN),
    "1d: one that was forgotten but for its hash": (
        sent(stated=texts(prompt="p" * 99)), [like(shown=texts(prompt="p" * 99))],
        knowing(rivals=[sent(stated=texts(prompt="p" * 99)).brief()]), SHOWN),
    "1d: not of another text": (GIVEN, [LIKE],
                                knowing(rivals=[sent(stated=texts(nickname="Ben"))]), BY_LIKENESS),
    "1d: not one sent since": (GIVEN, [like(made_at_s=NOW_S - 59)],
                               knowing(rivals=[sent(since_s=NOW_S + 600)]), BY_LIKENESS),
    "1d: not on another account": (GIVEN, [LIKE], knowing(rivals=[sent(account=BEN)]),
                                   BY_LIKENESS),
    "1d: one whose other address is not shown": (
        GIVEN, [LIKE], knowing(rivals=[sent(paths={"a": "/x.png", "image_url": "/ada.png"})]),
        SHOWN),
    "1d: not one of no address": (GIVEN, [LIKE, OTHERS],
                                  knowing(rivals=[sent(paths={}, account=BEN)]), BY_LIKENESS),
    "1d: one of no address": (GIVEN, [LIKE], knowing(rivals=[sent(paths={})]), SHOWN),
    "1b: a number is no text": (sent(stated=texts(tts_speed=1.2)),
                                [like(shown=texts(tts_speed="1.2"))], KNOWN, NOTHING),
    "1b: nor a text a number": (sent(stated=texts(tts_speed="1.2")),
                                [like(shown=texts(tts_speed=1.2))], KNOWN, NOTHING),
    "another account": (GIVEN, [like(account=BEN)], KNOWN, NOTHING),
    # 2: an own address
    "2": (OWN, [CARRIES], KNOWN, ADOPTED),
    "2: a month old": (OWN, [carries(made_at_s=NOW_S - MONTH_S)], KNOWN, NOTHING),
    "2: no time": (OWN, [carries(made_at_s=None)], KNOWN, SHOWN),
    "2: another text": (OWN, [carries(shown=texts(nickname="Ben"))], KNOWN, SHOWN),
    "2: claimed": (OWN, [CARRIES], knowing(claimed={"1"}), NOTHING),
    "2: an equal file of another open one": (OWN, [CARRIES], knowing(rivals=[OWN]), SHOWN),
    "2: which has other texts, so that likeness decides": (
        OWN, [CARRIES], knowing(rivals=[sent(OWN, stated=texts(nickname="Ben"))]), BY_LIKENESS),
    "2: of strangers in the account": (OWN, [CARRIES, OTHERS], knowing(settled=[OTHER]), ADOPTED),
    "2: in a list that may be cut": (OWN, [CARRIES], knowing(complete_since_s=math.inf), ADOPTED),
    "2: a task's": (TASK, [carries(shown={})], KNOWN, ADOPTED),
    "2: a task's with another picture beside": (
        sent(TASK, paths={"audio_url": "/up/1.png", "image_url": "/ada.png"},
             own=frozenset({"audio_url"})),
        [carries(paths=frozenset({"/up/1.png", "/ben.png"}))], KNOWN, SHOWN),
    "2: a task's of another content": (sent(TASK, stated={"content_type": "video"}),
                                       [carries(shown={"content_type": "image"})], KNOWN, SHOWN),
    "2: its address is its own, whatever its query": (
        sent(OWN, stated={"image_url": "https://k/up/1.png?a=1"}),
        [carries(shown={"image_url": frozenset({"https://k/up/1.png?a=2"})})], KNOWN, ADOPTED),
    # 3: a mark
    "3": (TASK, [MARKED], KNOWN, ADOPTED),
    "3: however old": (TASK, [evolve(MARKED, made_at_s=1.0)], KNOWN, ADOPTED),
    "3: not claimed": (TASK, [MARKED], knowing(claimed={"1"}), NOTHING),
    "3: on another account": (TASK, [evolve(MARKED, account=BEN)], KNOWN, SHOWN),
    "3: of the user's": (sent(TASK, own_mark=False), [MARKED], KNOWN, SHOWN),
    "3: another's": (TASK, [evolve(MARKED, mark="ka-2")], KNOWN, NOTHING),
    "3: another's, and our address": (TASK, [evolve(MARKED, mark="ka-2"), carries(shown={})],
                                      KNOWN, NOTHING),
    # 4: likeness
    "4: several": (GIVEN, [LIKE, like(id="2")], KNOWN, SHOWN),
    "4: one of them without a time": (GIVEN, [LIKE, like(id="2", made_at_s=None)], KNOWN, SHOWN),
    "4: never for a task": (sent(TASK, own=frozenset()), [carries(shown={})], KNOWN, SHOWN),
    "4: somebody makes what a settled one looks like": (
        GIVEN, [LIKE, OTHERS], knowing(settled=[OTHER]), SHOWN),
    "4: or what was never sent looks like": (
        GIVEN, [LIKE, OTHERS], knowing(settled=[sent(OTHER, since_s=None, never_sent=True)]),
        SHOWN),
    "4: or what is planned looks like": (
        GIVEN, [LIKE], knowing(settled=[sent(since_s=None, never_sent=True)]), SHOWN),
    "4: but not what is planned on another account": (
        GIVEN, [LIKE], knowing(settled=[sent(account=BEN, since_s=None, never_sent=True)]),
        BY_LIKENESS),
    "4: nor what has no address": (
        GIVEN, [LIKE], knowing(settled=[sent(paths={}, since_s=None, never_sent=True)]),
        BY_LIKENESS),
    "4: not where that is the settled one's own": (
        GIVEN, [LIKE, OTHERS], knowing(settled=[OTHER], claimed={"9"}), BY_LIKENESS),
    "4: nor where it has other texts": (
        GIVEN, [LIKE, evolve(OTHERS, shown=texts(nickname="Ben"))], knowing(settled=[OTHER]),
        BY_LIKENESS),
    "4: nor from before the ledger": (
        GIVEN, [LIKE, evolve(OTHERS, made_at_s=NOW_S - MONTH_S)], knowing(settled=[OTHER]),
        BY_LIKENESS),
    "4: nor where an open one may have made it": (
        GIVEN, [LIKE, OTHERS], knowing(settled=[OTHER], rivals=[OTHER]), BY_LIKENESS),
    "4: the path alone": (sent(stated={}), [LIKE, OTHERS],
                          knowing(settled=[sent(OTHER, stated={})]), SHOWN),
    # 5: what is not there
    "5: listed before the job": (GIVEN, [LIKE], knowing(before={"1"}), NOTHING),
    "5: a cut list may hide another": (GIVEN, [LIKE], knowing(complete_since_s=math.inf), SHOWN),
    "5: but not of that time": (GIVEN, [LIKE], knowing(complete_since_s=NOW_S - 700),
                                BY_LIKENESS),
    "5: nor since the create": (GIVEN, [LIKE], knowing(complete_since_s=NOW_S - 660),
                                BY_LIKENESS),
    "5: nor is all that time shown": (GIVEN, [LIKE], knowing(complete_since_s=NOW_S - 600), SHOWN),
    # 2: where equal files get equal addresses, an address of its own is one that others have, too
    "2: an older thing carries it": (OWN, [CARRIES, carries(id="9", made_at_s=NOW_S - 3000)], KNOWN,
                                     BY_LIKENESS),
    "2: listed before": (OWN, [CARRIES, carries(id="9", made_at_s=NOW_S - 3000)],
                         knowing(before=frozenset({"9"})), BY_LIKENESS),
    "2: another's is not its own": (
        OWN, [CARRIES, carries(id="9", paths=frozenset({"/up/2.png"}))],
        knowing(settled=[evolve(OWN, paths={"image_url": "/up/2.png"})]), SHOWN),
    "2: another's is not its own, beside a claimed one of both": (
        OWN,
        [CARRIES, carries(id="8", paths=frozenset({"/up/2.png", "/up/3.png"})),
         carries(id="9", paths=frozenset({"/up/2.png"}))],
        knowing(settled=[evolve(OWN, paths={"image_url": "/up/2.png"}),
                         evolve(OWN, paths={"image_url": "/up/3.png"})], claimed={"8"}), SHOWN),
    "2: another's own is claimed": (
        OWN, [CARRIES, carries(id="9", paths=frozenset({"/up/2.png"}))],
        knowing(settled=[evolve(OWN, paths={"image_url": "/up/2.png"})], claimed={"9"}), ADOPTED),
    # 6: never sent
    "6: not by likeness": (sent(never_sent=True), [LIKE], KNOWN, SHOWN),
    "6: its own upload": (sent(OWN, never_sent=True), [CARRIES], KNOWN, RECOVERED),
    "6: from before the upload": (sent(OWN, never_sent=True), [carries(made_at_s=NOW_S - 700)],
                                  KNOWN, NOTHING),
    "6: no upload": (sent(never_sent=True, since_s=None), [LIKE], KNOWN, NOTHING),
    # 8: the clocks
    "8: a clock that is known": (GIVEN, [like(made_at_s=NOW_S - 59)],
                                 knowing(slack=lambda _: (298.0, 900.0)), NOTHING),
    "8: and is far ahead": (GIVEN, [like(made_at_s=NOW_S + 800)],
                            knowing(slack=lambda _: (798.0, 1400.0)), BY_LIKENESS),
    "8: a clock of each listing": (
        GIVEN, [like(made_at_s=NOW_S - 59)],
        knowing(slack=lambda one: (one.made_at_s - NOW_S, 60.0)), BY_LIKENESS),
    "8: which shows less, then": (
        GIVEN, [like(made_at_s=NOW_S - 59)],
        knowing(slack=lambda one: (one.made_at_s - NOW_S, 60.0), complete_since_s=NOW_S - 118),
        SHOWN),
    # what is forgotten may be a claimed one
    "made when that ends": (GIVEN, [LIKE], knowing(forgotten_s=NOW_S - 659), SHOWN),
    "made right after": (GIVEN, [LIKE], knowing(forgotten_s=NOW_S - 659.1), BY_LIKENESS),
    "like a forgotten one": (GIVEN, [LIKE], knowing(forgotten_s=NOW_S - 60), SHOWN),
    "younger than what is forgotten": (GIVEN, [LIKE], knowing(forgotten_s=NOW_S - 700),
                                       BY_LIKENESS),
    "of an own address, but forgotten": (OWN, [CARRIES], knowing(forgotten_s=NOW_S - 60), SHOWN),
    "a mark is never forgotten": (TASK, [MARKED], knowing(forgotten_s=NOW_S), ADOPTED),
}  # fmt: skip


@pytest.mark.parametrize(("want", "seen", "known", "expected"), RULES.values(), ids=RULES)
def test_rules(want: Sent, seen: Sequence[Sighting], known: Known, expected: str) -> None:
    decided = decide({"it": want}, seen, known)["it"]
    if decided.found is None:
        assert decided.evidence is None
        assert ("1" in [one.id for one in decided.candidates]) == (expected == SHOWN)
        assert bool(decided.why)
        assert expected in (SHOWN, NOTHING)
    else:
        assert (decided.evidence, decided.found.id) == (expected, "1")


WHY = {
    "1b: another nickname": "nothing could be it",
    "1c: no time": "it may be an older one",
    "1d: another open one": "another create of yours could have made it",
    "2: another text": "nothing agrees with all that was sent",
    "4: several": "several are alike",
    "4: never for a task": "only what was made for it alone would prove it",
    "4: or what is planned looks like": "a row that was not sent yet looks the same, and the "
                                        "ledger may be old",
    "4: somebody makes what a settled one looks like": "somebody else makes things on this "
                                                       "account that look like yours",
    "5: a cut list may hide another": "the listing may be cut, so it may hide another like it",
    "6: not by likeness": "only what was made for it alone would prove it",
    "like": "",
}  # fmt: skip


@pytest.mark.parametrize("name", WHY)
def test_users_are_told_why(name: str) -> None:
    want, seen, known, _ = RULES[name]
    assert decide({"it": want}, seen, known)["it"].why == WHY[name]


def test_what_is_taken_by_likeness_is_no_candidate_of_others() -> None:
    other = sent(paths={"image_url": "/z.png"}, likeness=False, never_sent=True)
    decided = decide({1: GIVEN, 2: other}, [LIKE], KNOWN)
    assert [ids(one) for one in decided.values()] == [("1", [], []), (None, [], [])]


def ids(decided: Decided) -> tuple[str | None, list[str], list[str]]:
    found = None if decided.found is None else decided.found.id
    shown = decided.surplus, decided.candidates
    return (found, *([one.id for one in each] for each in shown))


def test_of_several_that_carry_an_own_address_the_oldest_counts() -> None:
    seen = [carries(id="2", made_at_s=NOW_S - 50), CARRIES]
    assert ids(decide({1: OWN}, seen, KNOWN)[1]) == ("1", ["2"], [])


def test_a_mark_counts_before_an_address() -> None:
    seen = [carries(id="2", shown={}, made_at_s=NOW_S - 60), MARKED]
    decided = decide({1: TASK}, seen, KNOWN)[1]
    assert ids(decided)[0] == "1"


def test_wants_that_are_alike_get_nothing() -> None:
    decided = decide({1: sent(), 2: sent()}, [LIKE, like(id="2")], KNOWN)
    assert [ids(one) for one in decided.values()] == [(None, [], ["1", "2"])] * 2


@pytest.mark.parametrize("want", [GIVEN, OWN, TASK])
def test_the_same_create_twice_never_takes_one_thing_twice(want: Sent) -> None:
    seen = [LIKE, evolve(MARKED, id="2"), carries(id="3")]
    found = [one.found for one in decide({1: want, 2: want}, seen, KNOWN).values()]
    taken = [one.id for one in found if one is not None]
    assert len(taken) == len(set(taken))


def test_each_gets_its_own_in_the_order_of_the_input() -> None:
    wanted = {"likeness": sent(stated=texts(nickname="Ben")), "own": OWN, "in vain": GIVEN}
    seen = [carries(id="2"), like(shown=texts(nickname="Ben"))]
    decided = decide(wanted, seen, KNOWN)
    assert list(decided) == list(wanted)
    assert [ids(one)[0] for one in decided.values()] == ["1", "2", None]
    assert decided["in vain"].why == "nothing could be it"


def test_the_likeliest_candidates_come_first() -> None:
    want = sent(TASK, own=frozenset())
    seen = [carries(id="2", shown={}, paths=frozenset({"/other"})),
            carries(shown={}, made_at_s=NOW_S)]  # fmt: skip
    assert ids(decide({1: want}, seen, KNOWN)[1]) == (None, [], ["1", "2"])


def test_pictures_under_other_addresses_are_shown_while_none_is_known_to_be_kept() -> None:
    moved = like(paths=frozenset({"/kept/1.png"}))
    assert ids(decide({1: GIVEN}, [moved], KNOWN)[1]) == (None, [], ["1"])
    assert ids(decide({1: sent(stated={})}, [moved], KNOWN)[1]) == (None, [], [])
    kept = like(id="2", made_at_s=1.0)
    assert ids(decide({1: GIVEN}, [moved, kept], KNOWN)[1]) == (None, [], [])


@pytest.mark.parametrize(("shown", "found"), [
    ("https://x.y/get?id=1", True), ("https://x.y/get?id=2", False), ("https://x.y/get", True),
    ("https://kling.com/get?signature=5", True),
])  # fmt: skip
def test_addresses_that_differ_in_their_query_alone(shown: str, found: bool) -> None:
    evidence = AvatarEvidence()
    request = CreateAvatar(image_url="https://x.y/get?id=1")
    want = evidence.sent(request, account=ADA, since_s=NOW_S - 60)
    image = (ImageResource(url=shown),)
    avatar = Avatar(id="1", prompt="p", image_resources=image, create_time_ms=round(NOW_S * 1000))
    decided = decide({1: want}, [evidence.sighting(avatar)], KNOWN)[1]
    assert (decided.found is not None) is found


def test_all_that_an_avatar_shows_again_is_compared() -> None:
    voice = {"tts_speaker": "v", "tts_speed": 1.0, "tts_emotion": "happy"}
    given: dict[str, Any] = {**TEXTS, **voice, "scene": "all"}
    request = CreateAvatar(image_url="https://x.y/ada.png", **given)
    want = AvatarEvidence().sent(request, account=ADA)
    avatar = Avatar(id="1", image_resources=(ImageResource(url="https://x.y/ada.png"),), **given)
    assert dict(AvatarEvidence().sighting(avatar).shown).keys() == want.stated.keys()


# --- what was never sent, and looks like what is there ----------------------------------------


def test_what_is_there_already() -> None:
    old = like(made_at_s=NOW_S - MONTH_S)
    planned = sent(never_sent=True, since_s=None)
    another = evolve(planned, stated=texts(nickname="Ben"))
    assert look_alikes({1: planned, 2: another}, [old]) == {1: (old,)}
    assert look_alikes({1: planned}, [old], claimed={"1"}) == {}


# --- lists that may be cut --------------------------------------------------------------------


@pytest.mark.parametrize(("count", "cut"), [
    (0, False), (1, False), (19, False), (20, True), (21, False), (25, True), (50, True),
    (100, True), (101, False), (200, True), (250, True), (1000, True),
])  # fmt: skip
def test_lengths_that_look_like_a_page(count: int, cut: bool) -> None:
    assert looks_cut(count) is cut
    assert looks_cut(count, longest=count) is cut
    assert not looks_cut(count, longest=count + 1)


@pytest.mark.parametrize(("times", "since_s"), [
    (range(19), -math.inf),
    (range(20), math.inf),
    (range(20, 0, -1), 1),
    ([*range(20, 1, -1), None], math.inf),
])  # fmt: skip
def test_since_when_a_list_is_complete(times: Sequence[float], since_s: float) -> None:
    listed = [like(id=str(n), made_at_s=at) for n, at in enumerate(times)]
    assert complete_since(listed) == since_s
    assert complete_since(listed, longest=len(listed) + 1) == -math.inf


# --- terms ------------------------------------------------------------------------------------


def test_marks_are_of_one_form_and_never_the_same() -> None:
    assert new_mark().startswith("ka-")
    assert len(new_mark()) == 3 + 32
    assert new_mark() != new_mark()


def test_addresses_are_the_fields_that_are_declared_as_such() -> None:
    request = CreateAvatarVideo(
        image_url="https://x.y/a.png?s=1", audio_url="https://x.y/a.mp3", reply_url="https://me/s"
    )
    assert addresses(request) == {"image_url": "/a.png", "audio_url": "/a.mp3"}
