"""Each row of the table of views: what is shown differs from what is there; the truth does not."""

from __future__ import annotations

import re

import pytest
from attrs import fields

from kling_async.emulator import Emulator, Views, parse_views, sample_png, views
from kling_async.emulator.views import ViewOptions

URL = "https://pictures.example/ada.png"
SPOKEN = {"imageUrl": URL, "audioUrl": "https://sounds.example/a.mp3", "maxJobs": 50}
PATHS = {"listing": "/avatars", "history": "/tasks", "scheduler": "/scheduler"}


async def filled(client, count: int = 1) -> None:
    for _ in range(count):
        assert (await client.post("/avatars", json={"imageUrl": URL})).status_code == 200
        assert (await client.post("/avatars/video", json=SPOKEN)).status_code == 200


async def ids(client, what: str) -> list[object]:
    answer = (await client.get(PATHS[what], params={"pageSize": 100})).json()
    if what == "history":
        return [one["task"]["id"] for one in answer["history"]]
    return [one["id"] for one in answer]


def truth(emulator: Emulator, what: str) -> list[object]:
    """Newest first, as the listings of avatars and tasks are; the scheduler's is the other way."""
    made = [one.id for one in (emulator.avatars if what == "listing" else emulator.tasks)]
    return made if what == "scheduler" else made[::-1]


@pytest.mark.parametrize("what", PATHS)
async def test_late(connect, what):
    emulator = Emulator(job_s=600, **parse_views(f"{what}_lag_s=9"))
    async with connect(emulator) as client:
        await filled(client)
        emulator.clock.advance(8)
        assert await ids(client, what) == []
        emulator.clock.advance(1.1)
        assert await ids(client, what) == truth(emulator, what)


@pytest.mark.parametrize("limit", [20, 50, 100])
@pytest.mark.parametrize("what", PATHS)
async def test_cut_to_the_newest(in_process, what, limit):
    count = limit + 2 if what == "listing" else min(limit, 48) + 2
    limit = min(limit, count - 2)
    emulator = Emulator(job_s=600, **parse_views(f"{what}_limit={limit}"))
    async with in_process(emulator) as client:
        for number in range(count):
            if what == "listing":
                emulator.foreign_avatar(URL, age_s=count - number)
            else:
                emulator.foreign_task({}, age_s=count - number, tracked=True, job_s=600)
        shown = await ids(client, what)
    told = truth(emulator, what)
    assert shown == (told[2:] if what == "scheduler" else told[:-2])


@pytest.mark.parametrize("what", PATHS)
async def test_shuffled_and_cut_are_still_the_newest(connect, what):
    emulator = Emulator(job_s=600, **parse_views(f"{what}_shuffled,{what}_limit=6"))
    async with connect(emulator) as client:
        await filled(client, 9)
        shown = [await ids(client, what) for _ in range(4)]
    told = truth(emulator, what)
    newest = told[3:] if what == "scheduler" else told[:6]
    assert all(sorted(map(str, one)) == sorted(map(str, newest)) for one in shown)
    assert any(one != newest for one in shown)
    assert len({str(one) for one in shown}) > 1


@pytest.mark.parametrize("what", PATHS)
async def test_empty_at_first(connect, what):
    emulator = Emulator(job_s=600, **parse_views(f"{what}_empty=2"))
    async with connect(emulator) as client:
        await filled(client)
        assert [await ids(client, what) for _ in range(2)] == [[], []]
        assert await ids(client, what) == truth(emulator, what) != []
        emulator.reset()
        await filled(client)
        assert await ids(client, what) == []


async def test_empty_at_first_for_each_account(in_process):
    emulator = Emulator(["a@x.org", "b@x.org"], listing_empty=1)
    async with in_process(emulator) as client:
        for one in ("a@x.org", "b@x.org"):
            emulator.foreign_avatar(URL, account=one)
        shown = [
            len((await client.get("/avatars", params={"email": one})).json())
            for one in ("a@x.org", "b@x.org", "a@x.org", "b@x.org")
        ]
    assert shown == [0, 0, 1, 1]


async def test_no_create_time(connect):
    emulator = Emulator(create_time_absent=True)
    async with connect(emulator) as client:
        await filled(client)
        emulator.clock.advance(9)
        (avatar,) = (await client.get("/avatars")).json()
        history = (await client.get("/tasks")).json()
        task = (await client.get(f"/tasks/{emulator.tasks[0].id}")).json()
    assert "createTime" not in avatar
    assert "updateTime" not in str((avatar, history, task))
    assert "createTime" not in str((history, task))
    assert emulator.avatars[0].create_time_ms > 0


@pytest.mark.parametrize("skew_s", [300, -300])
async def test_create_time_from_another_clock_than_date(connect, skew_s):
    emulator = Emulator(create_time_skew_s=skew_s)
    async with connect(emulator) as client:
        await filled(client)
        emulator.foreign_avatar(URL)
        reply = await client.get("/avatars")
        (entry,) = (await client.get("/tasks")).json()["history"]
    told = [one["createTime"] for one in reply.json()] + [entry["task"]["createTime"]]
    assert all(abs(one - emulator.clock.now_ms() - skew_s * 1000) < 5_000 for one in told)


@pytest.mark.parametrize("equal", [True, False])
async def test_equal_files(connect, equal):
    emulator = Emulator(["a@x.org", "b@x.org"], upload_by_content=equal)

    async def url(number: int, email: str = "a@x.org") -> str:
        reply = await client.post(
            "/assets/",
            content=sample_png(number),
            headers={"Content-Type": "image/png"},
            params={"email": email},
        )
        found: str = reply.json()["url"]
        assert (await client.get(found)).content == sample_png(number)
        return found

    async with connect(emulator) as client:
        first, again, other = await url(1), await url(1), await url(2)
        elsewhere = await url(1, "b@x.org")
    assert (first == again) is equal
    assert len({first, other, elsewhere}) == 3
    assert len(emulator.uploads) == (3 if equal else 4)


@pytest.mark.parametrize(
    ("options", "known"),  # after 0, 3 and 6 seconds
    [
        ({"task_visible_after_s": 5}, [False, False, True]),
        ({"task_hidden_for_s": 5}, [False, False, True]),
        ({"task_hidden_from_s": 2, "task_hidden_for_s": 3}, [True, False, True]),
    ],
)
async def test_a_task_that_is_not_known_by_its_id(connect, options, known):
    emulator = Emulator(job_s=600, **options)
    seen = []
    async with connect(emulator) as client:
        await filled(client)
        for step_s in (0, 3, 3):
            emulator.clock.advance(step_s)
            number = emulator.tasks[0].id
            seen.append((await client.get(f"/tasks/{number}")).status_code == 200)
            assert await ids(client, "scheduler") == await ids(client, "history") == [number]
    assert seen == known


def test_the_table_the_class_and_the_arguments_name_the_same():
    rows = set(re.findall(r"^\| `(\w+)` \|", views.__doc__ or "", re.M))
    names = {one.name for one in fields(Views)}
    assert names - {"task_hidden_from_s"} == rows
    assert set(ViewOptions.__annotations__) == names


def test_options_in_a_text():
    given = "listing_lag_s=2, listing_limit=20,listing_shuffled"
    assert Views(**parse_views(given)) == Views(
        listing_lag_s=2.0, listing_limit=20, listing_shuffled=True
    )
    assert parse_views("") == {}


@pytest.mark.parametrize(
    "text", ["late", "listing_limit", "listing_limit=few", "listing_lag_s=-1", "history_lag_s=inf"]
)
def test_options_that_make_no_sense(text):
    with pytest.raises(ValueError, match=r"views know no|must be"):
        Emulator(**parse_views(text))
