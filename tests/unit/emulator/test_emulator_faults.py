"""When faults strike: schedules, order, chances, accounts; and the text form of it all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_async.emulator import Emulator, Fault, format_fault, parse_faults
from kling_async.emulator.faultkinds import KINDS
from kling_async.emulator.faults import FaultPlan
from kling_async.emulator.operations import NAMES


def struck(plan: FaultPlan, calls: int, operation: str = "avatars.create") -> list[int]:
    """The numbers of the calls that are struck."""
    return [
        number
        for number in range(1, calls + 1)
        if plan.take(operation, "demo@example.com") is not None
    ]


def plan_of(*faults: Fault, seed: int = 0) -> FaultPlan:
    return FaultPlan(faults, seed, NAMES)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ({"at": 2}, [2]),
        ({"at": (3, 1)}, [1, 3]),
        ({"every": 3}, [3, 6, 9]),
        ({"every": 3, "times": 2}, [3, 6]),
        ({"times": 2}, [1, 2]),
        ({"at": (1, 2, 5), "times": 2}, [1, 2]),
        ({"p": 1.0}, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ({"p": 0.0}, []),
    ],
)
def test_schedules(schedule, expected):
    assert struck(plan_of(Fault("avatars.create", "reset_after", **schedule)), 9) == expected


def test_chances_come_from_the_seed():
    fault = Fault("avatars.create", "reset_after", p=0.25)
    runs = [struck(plan_of(fault, seed=seed), 2000) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert 400 < len(runs[0]) < 600


def test_two_equal_faults_have_dice_of_their_own():
    fault = Fault("avatars.create", "reset_after", p=0.5)
    assert len(struck(plan_of(fault, fault), 1000)) > 700


def test_the_first_due_fault_wins_and_counts_go_on():
    first = Fault("avatars.create", "reset_after", at=(1, 3))
    second = Fault("avatars.*", "stall", times=2)
    third = Fault("*", "garbage", every=3)
    plan = plan_of(first, second, third)
    kinds = [getattr(plan.take("avatars.create", None), "kind", None) for _ in range(6)]
    assert kinds == ["reset_after", "stall", "reset_after", "stall", None, "garbage"]
    assert plan.strikes() == [(first, 2), (second, 2), (third, 1)]
    assert plan.unconsumed() == []


def test_unconsumed():
    faults = [
        Fault("avatars.create", "reset_after", at=(1, 9)),
        Fault("avatars.create", "reset_after", times=3),
        Fault("avatars.create", "reset_after", every=50),
        Fault("avatars.list", "reset_after"),
        Fault("assets.upload", "reset_after", p=0.0),
    ]
    plan = plan_of(*faults)
    struck(plan, 4)
    assert plan.unconsumed() == [faults[0], *faults[2:]]
    struck(plan, 50)
    plan.take("avatars.list", None)
    assert plan.unconsumed() == [faults[4]]
    plan.reset()
    assert plan.unconsumed() == faults


def test_operations_and_accounts():
    plan = plan_of(Fault("avatars.*", "stall", account="a@x.org"))
    assert plan.take("avatars.list", "a@x.org") is not None
    assert plan.take("avatars.list", "b@x.org") is None
    assert plan.take("avatars.list", None) is None
    assert plan.take("assets.upload", "a@x.org") is None
    everything = plan_of(Fault("*", "stall"))
    assert everything.take("unknown", None) is not None
    assert everything.take("media.get", None) is None
    assert plan_of(Fault("media.get", "stall")).take("media.get", None) is not None


async def test_the_account_is_told_from_the_body_and_by_default(connect):
    faults = [Fault("avatars.create", "status", status=503, account="b@x.org")]
    several = Emulator(accounts=["a@x.org", "b@x.org"], faults=faults)
    single = Emulator(accounts=["b@x.org"], faults=faults)
    picture = {"imageUrl": "https://pictures.example/ada.png"}
    async with connect(several) as client:
        for email, status in (("a@x.org", 200), ("b@x.org", 503)):
            reply = await client.post("/avatars", json={**picture, "email": email})
            assert reply.status_code == status
        assert (await client.post("/avatars", json=picture)).status_code == 400
    async with connect(single) as client:
        assert (await client.post("/avatars", json=picture)).status_code == 503


async def test_faults_added_while_running_count_from_then_on(connect):
    emulator = Emulator()
    async with connect(emulator) as client:
        await client.get("/avatars")
        emulator.add_faults([Fault("avatars.list", "status", status=500, at=2)])
        statuses = [(await client.get("/avatars")).status_code for _ in range(3)]
    assert statuses == [200, 500, 200]


async def test_reset(in_process):
    emulator = Emulator(faults=[Fault("avatars.create", "status", status=500, at=1)])
    emulator.add_faults([Fault("avatars.list", "status", status=500)])
    ids = []
    for _ in range(2):
        async with in_process(emulator) as client:
            picture = {"imageUrl": "https://pictures.example/ada.png"}
            assert (await client.post("/avatars", json=picture)).status_code == 500
            ids.append((await client.post("/avatars", json=picture)).json()["id"])
        assert emulator.counts["avatars.create"] == 2
        emulator.reset()
        assert (emulator.avatars, emulator.calls, emulator.counts) == ([], [], {})
        assert len(emulator.strikes()) == 1
    assert ids[0] == ids[1]


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("explode", {}, "unknown kind 'explode'; allowed: latency, status"),
        ("status", {}, "status needs status"),
        ("status", {"status": 600}, "from 200 to 599"),
        ("status", {"status": 100}, "from 200 to 599"),
        ("status", {"status": "teapot"}, "must be a number"),
        ("status", {"status": 400, "form": "date"}, "allowed here: json, text"),
        ("status", {"status": 429, "form": "soon"}, "negative, past"),
        ("status", {"status": 400, "interval_s": 1}, "no setting 'interval_s'"),
        ("status", {"status": 400, "headers": {"A": "b\r\nC: d"}}, "printable ASCII"),
        ("status", {"status": 400, "headers": "A"}, "mapping"),
        ("redirect", {"status": 200}, "301, 302, 303, 307 or 308"),
        ("latency", {}, "needs delay_s"),
        ("latency", {"delay_s": -1}, "0 or more"),
        ("latency", {"delay_s": float("nan")}, "0 or more"),
        ("truncated_body", {"sent_bytes": 1.5}, "whole number"),
        ("stall", {"before_work": "maybe"}, "true or false"),
        ("stall", {"after_work": True}, "allowed: before_work, delay_s"),
        ("html_200", {"body": 5}, "no setting 'body'"),
        ("status", {"status": 400, "body": 5}, "must be a string"),
        ("stall", {"at": (0,)}, "from 1"),
        ("stall", {"at": 1, "every": 2}, "exclude"),
        ("stall", {"every": 0}, "every must be 1"),
        ("stall", {"times": 0}, "times must be 1"),
        ("stall", {"p": 1.5}, "0 to 1"),
    ],
)
def test_faults_that_make_no_sense(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        Fault("avatars.create", kind, **settings)


def test_a_text_is_no_fault():
    with pytest.raises(ValueError, match="parse_faults"):
        Emulator(faults=["avatars.create:stall"])


def test_an_unknown_operation_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'avatars.make'; allowed: \*, accounts.list"):
        Emulator(faults=[Fault("avatars.make", "stall")])
    emulator = Emulator()
    with pytest.raises(ValueError, match="unknown operation"):
        emulator.add_faults([Fault("*", "stall"), Fault("avatar.*", "stall")])
    assert emulator.strikes() == []


# The text form


def test_the_examples_of_the_grammar():
    assert parse_faults(
        "avatars.create:reset_after@every=7;"
        "avatars.create:status=429,form=date@at=3+5 ; avatars.list:latency=0.5@p=0.25,"
        "account=a+b@x.org;*:stall,before_work@times=2;"
        "avatars.create : status = 500 , body = a%3Bb%2Cc , after_work = false ;"
    ) == [
        Fault("avatars.create", "reset_after", every=7),
        Fault("avatars.create", "status", status=429, form="date", at=(3, 5)),
        Fault("avatars.list", "latency", delay_s=0.5, p=0.25, account="a+b@x.org"),
        Fault("*", "stall", before_work=True, times=2),
        Fault("avatars.create", "status", status=500, body="a;b,c", after_work=False),
    ]
    assert parse_faults("") == parse_faults(" ; ;") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("avatars.create", "expected operation:kind"),
        ("avatars.make:stall", "unknown operation 'avatars.make'; allowed"),
        ("avatars.create:explode", "unknown kind 'explode'; allowed: latency"),
        ("avatars.create:", "unknown kind ''"),
        ("avatars.create:stall=5", "stall takes no value"),
        ("avatars.create:status", "status needs status"),
        ("avatars.create:status=429,status=500", "status is set twice"),
        ("avatars.create:status=429,form=a,form=b", "form is set twice"),
        ("avatars.create:status=429,date", "expected name=value, got 'date'"),
        ("avatars.create:status=429,form=", "expected name=value"),
        ("avatars.create:stall,at=3", "at belongs behind '@'"),
        ("avatars.create:stall@when=3", "unknown schedule 'when'; allowed: at, every"),
        ("avatars.create:stall@at=x", "at must be a whole number, not 'x'"),
        ("avatars.create:stall@at=1+", "at must be a whole number, not ''"),
        ("avatars.create:stall@every=-1", "every must be a whole number"),
        ("avatars.create:stall@p=often", "p must be a number"),
        ("avatars.create:stall@", "expected name=value"),
    ],
)
def test_texts_that_make_no_sense(text, message):
    with pytest.raises(ValueError, match=r"^fault ") as caught:
        parse_faults(f"*:garbage@at=1; {text}; *:garbage")
    assert message in str(caught.value)
    assert text.strip()[:14] in str(caught.value)


SETTINGS = {
    "delay_s": st.floats(0, 1e6),
    "status": st.integers(200, 599).filter(lambda status: status not in (429, 500)),
    "retry_after_s": st.floats(0, 1e9),
    "body": st.text(min_size=1),
    "location": st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1),
    "interval_s": st.floats(0, 10),
    "sent_bytes": st.integers(0, 10**9),
    "message": st.text(min_size=1),
    "after_s": st.floats(0, 1e6),
    "malformed": st.just(True),
    "after_work": st.just(True),
    "before_work": st.just(True),
}


@st.composite
def faults(draw: st.DrawFn) -> Fault:
    kind = draw(st.sampled_from(sorted(KINDS)))
    row = KINDS[kind]
    names = [name for name in (*row.settings, "delay_s") if name in SETTINGS]
    chosen = {*draw(st.sets(st.sampled_from(names))), *row.required}
    chosen_settings = {name: draw(SETTINGS[name]) for name in sorted(chosen)}
    if kind == "redirect" and "status" in chosen_settings:
        chosen_settings["status"] = 308
    at = draw(st.sets(st.integers(1, 99), max_size=3))
    return Fault(
        draw(st.sampled_from([*(name for name in NAMES if row.is_for(name)), "*", *row.only])),
        kind,
        at=at,
        every=None if at else draw(st.none() | st.integers(1, 99)),
        times=draw(st.none() | st.integers(1, 99)),
        p=draw(st.none() | st.floats(0, 1)),
        account=draw(st.none() | st.emails()),
        **chosen_settings,
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(faults(), max_size=3))
def test_text_there_and_back(made):
    assert parse_faults(";".join(format_fault(fault) for fault in made)) == made
