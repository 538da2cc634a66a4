"""GET /assets, GET /assets/download, DELETE /assets/uploaded/: what was made, and clean files."""

from __future__ import annotations

import io
import zipfile

import httpx
import pytest

from kling_async.emulator import Emulator, sample_png

HEARD = {
    "imageUrl": "https://pictures.example/ada.png",
    "audioUrl": "https://sounds.example/ada.mp3",
}
TWO = ["a@x.org", "b@x.org"]
INVALID = {"error": "Invalid parameters"}


async def made(client: httpx.AsyncClient, emulator: Emulator, count: int = 1) -> list[str]:
    """Works of finished jobs, oldest first."""
    for _ in range(count):
        reply = await client.post("/avatars/video", json={**HEARD, "email": "a@x.org"})
        assert reply.status_code == 200, reply.text
        emulator.clock.advance(10)
    return [str(work.id) for task in emulator.tasks for work in task.works]


async def link(client: httpx.AsyncClient, **query: str) -> httpx.Response:
    return await client.get("/assets/download", params={"email": "a@x.org", **query})


async def test_the_list_of_works(connect):
    emulator = Emulator(TWO, job_s=10)
    async with connect(emulator) as client:

        async def works(**query: object) -> list[str]:
            reply = await client.get("/assets", params={"email": "a@x.org", **query})
            assert reply.status_code == 200, reply.text
            return [
                str(work["workId"]) for entry in reply.json()["history"] for work in entry["works"]
            ]

        assert await works() == []
        ids = await made(client, emulator, 5)
        await client.post("/avatars/video", json={**HEARD, "email": "a@x.org"})  # unfinished
        assert await works() == ids[::-1]
        assert await works(sort="asc") == ids
        assert await works(pageSize=2, pageNum=2) == [ids[2], ids[1]]
        assert await works(pageSize=2, pageNum=4) == []
        assert await works(contentType="video") == ids[::-1]
        assert await works(contentType="image") == []
        assert await works(email="b@x.org") == []
        for query in ({"pageNum": 0}, {"sort": "up"}, {"contentType": "x"}):
            reply = await client.get("/assets", params={"email": "a@x.org", **query})
            assert reply.status_code == 400
        await client.delete(f"/tasks/{emulator.tasks[0].id}", params={"email": "a@x.org"})
        assert await works() == ids[:0:-1]
        answer = (await client.get("/assets?email=a@x.org")).json()
    assert set(answer) == {"limitations", "history"}
    assert set(answer["limitations"][0]) == {"type", "remaining", "limit"}
    work = answer["history"][0]["works"][0]
    assert work["status"] == 99
    assert not {"status_name", "status_final"} & set(work)


async def test_the_default_page_holds_forty(in_process):
    emulator = Emulator(["a@x.org"], job_s=0)
    async with in_process(emulator) as client:
        await made(client, emulator, 41)
        answer = (await client.get("/assets")).json()
    assert len(answer["history"]) == 40


async def test_one_id_and_one_type_is_the_file_itself(connect):
    emulator = Emulator(TWO, job_s=5)
    async with connect(emulator) as client:
        (work,) = await made(client, emulator)
        reply = await link(client, workIds=work, fileTypes="MP4")
        again = await link(client, workIds=work, fileTypes="MP4")
        file = await client.get(reply.json()["cdnUrl"], headers={"Authorization": ""})
        record = await client.get(f"/tasks/{emulator.tasks[0].id}", params={"email": "a@x.org"})
        marked = await client.get(record.json()["works"][0]["resource"]["resource"])
    assert (reply.status_code, reply.json()["status"]) == (200, "success")
    assert again.json() == reply.json()
    assert file.headers["content-type"] == "video/mp4"
    assert file.content[4:8] == b"ftyp"
    assert marked.content != file.content


async def test_in_process_it_comes_from_another_host(in_process):
    emulator = Emulator(["a@x.org"], job_s=5)
    async with in_process(emulator) as client:
        (work,) = await made(client, emulator)
        url = (await link(client, workIds=work, fileTypes="MP4")).json()["cdnUrl"]
    assert url.startswith("http://cdn.emulator.local/")


async def test_everything_else_is_a_zip(connect):
    emulator = Emulator(TWO, job_s=5)
    async with connect(emulator) as client:
        first, second = await made(client, emulator, 2)
        single = (await link(client, workIds=first, fileTypes="MP4")).json()["cdnUrl"]
        alone = (await client.get(single)).content
        for query, members in (
            ({"workIds": first}, [first]),
            ({"workIds": first, "fileTypes": "MP4,MP3"}, [first]),
            ({"workIds": f"{first},{second}", "fileTypes": "MP4"}, [first, second]),
            ({"workIds": f"{second}, {first},{second}"}, [second, first]),
        ):
            url = (await link(client, **query)).json()["cdnUrl"]
            reply = await client.get(url)
            assert url.endswith(".zip")
            assert reply.headers["content-type"] == "application/zip"
            with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
                assert archive.testzip() is None
                assert archive.namelist() == [f"{one}.mp4" for one in members]
                assert archive.read(f"{first}.mp4") == alone


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"workIds": ""},
        {"workIds": "x"},
        {"workIds": "1"},
        {"workIds": "{work},"},
        {"workIds": "{work}", "fileTypes": "mp4"},
        {"workIds": "{work}", "fileTypes": "ZIP"},
        {"workIds": "{work}", "fileTypes": "MP4,"},
        {"workIds": "{work}", "fileTypes": "PNG"},
        {"workIds": "{work}", "email": "b@x.org"},
        {"workIds": "{unfinished}", "fileTypes": "MP4"},
    ],
)
async def test_parameters_that_make_no_sense(in_process, query):
    emulator = Emulator(TWO, job_s=5)
    async with in_process(emulator) as client:
        (work,) = await made(client, emulator)
        await client.post("/avatars/video", json={**HEARD, "email": "a@x.org"})
        unfinished = emulator.tasks[1].planned_works[0].id
        filled = {
            name: value.format(work=work, unfinished=unfinished) for name, value in query.items()
        }
        reply = await link(client, **filled)
    assert (reply.status_code, reply.json()) == (400, INVALID)


async def test_clean_files_go_with_their_task(in_process):
    emulator = Emulator(TWO, job_s=5)
    async with in_process(emulator) as client:
        works = await made(client, emulator, 2)
        urls = [
            (await link(client, workIds=ids)).json()["cdnUrl"] for ids in (*works, ",".join(works))
        ]
        await client.delete(f"/tasks/{emulator.tasks[0].id}", params={"email": "a@x.org"})
        statuses = [(await client.get(url)).status_code for url in urls]
        gone = await link(client, workIds=works[0])
        unknown = await client.get(urls[0].replace(".zip", "0.zip"))
    assert statuses == [404, 200, 404]
    assert gone.status_code == 400
    assert unknown.status_code == 404


async def test_result_bytes_set_the_size(connect):
    emulator = Emulator(["a@x.org"], job_s=5, result_bytes=1_000_000)
    async with connect(emulator) as client:
        (work,) = await made(client, emulator)
        url = (await link(client, workIds=work, fileTypes="MP4")).json()["cdnUrl"]
        file = await client.get(url)
    assert len(file.content) == 1_000_000


# Uploads that are deleted


async def uploaded(client: httpx.AsyncClient, count: int) -> list[str]:
    for number in range(count):
        await client.post(
            "/assets/?email=a@x.org",
            content=sample_png(number),
            headers={"Content-Type": "image/png"},
        )
    listed = await client.get("/assets/uploaded/", params={"email": "a@x.org", "sort": "asc"})
    return [entry["id"] for entry in listed.json()["uploadAssetsList"]]


async def delete(client: httpx.AsyncClient, ids: str, email: str = "a@x.org") -> httpx.Response:
    return await client.delete("/assets/uploaded/", params={"email": email, "id": ids})


async def test_deleting_uploads(connect):
    emulator = Emulator(TWO)
    async with connect(emulator) as client:
        ids = await uploaded(client, 4)
        url = emulator.uploads[0].url
        foreign = await delete(client, ids[0], "b@x.org")
        one = await delete(client, ids[0])
        several = await delete(client, f"{ids[1]},{ids[2]},{ids[0]},12345")
        file = await client.get(url)
    assert foreign.json() == {"deleted": 0, "ids": []}
    assert (one.status_code, one.json()) == (200, {"deleted": 1, "ids": [ids[0]]})
    assert several.json() == {"deleted": 2, "ids": [ids[1], ids[2]]}
    assert file.status_code == 404
    assert [upload.id for upload in emulator.uploads] == [ids[3]]


@pytest.mark.parametrize("ids", ["", "x", "1,x", "1,", ",".join("1" * 11), "1 2"])
async def test_ids_of_uploads_that_make_no_sense(in_process, ids):
    emulator = Emulator(TWO)
    async with in_process(emulator) as client:
        await uploaded(client, 1)
        reply = await delete(client, ids)
    assert reply.status_code == 400
    assert set(reply.json()) == {"error"}
    assert len(emulator.uploads) == 1


async def test_ten_at_once_and_email_is_plainly_required(in_process):
    emulator = Emulator(["a@x.org"])
    async with in_process(emulator) as client:
        ids = await uploaded(client, 10)
        nameless = await client.delete(f"/assets/uploaded/?id={ids[0]}")
        reply = await delete(client, ",".join(ids))
    assert nameless.status_code == 400
    assert "email is required" in nameless.json()["error"]
    assert reply.json() == {"deleted": 10, "ids": ids}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/assets"),
        ("GET", "/assets/download"),
        ("DELETE", "/assets/uploaded/"),
        ("POST", "/accounts"),
        ("DELETE", "/accounts/demo@example.com"),
    ],
)
async def test_no_route_without_a_token(in_process, method, path):
    emulator = Emulator()
    async with in_process(emulator, headers={}) as client:
        reply = await client.request(method, path)
    assert (reply.status_code, reply.json()) == (401, {"error": "Unauthorized", "code": 401})
    assert len(emulator.accounts) == 1
