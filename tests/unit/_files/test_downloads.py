"""What is downloaded from where, and where does it go? In process; the line itself is elsewhere."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from kling_async import (
    Asset,
    AsyncKlingClient,
    ConfigurationError,
    Download,
    InvalidRequestError,
    LocalFileError,
    Meta,
    NotFoundError,
    RetryPolicy,
    ServerError,
    Speech,
    Task,
    UnexpectedResponseError,
    Work,
)
from kling_async._files.names import LONGEST_NAME_BYTES, safe_name, served_name, with_ending
from kling_async._files.part_file import PartFile

MP4 = b"\0\0\0\x18ftypisom" + b"\0" * 100
CDN = "https://cdn.example.com/x/clean.mp4?sig=1"
MARKED = "https://s1.kling.example/y/marked.mp4"


def a_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.mp4", MP4)
    return buffer.getvalue()


class Server:
    """Links and files, by what a request asks for."""

    def __init__(self) -> None:
        self.link: Callable[[], httpx.Response] = lambda: httpx.Response(
            200, json={"cdnUrl": CDN, "status": "success"}
        )
        self.files: dict[str, Callable[[], httpx.Response]] = {
            CDN: lambda: httpx.Response(200, content=b"clean" + MP4),
            MARKED: lambda: httpx.Response(200, content=MP4, headers={"content-type": "video/mp4"}),
        }
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.url.path == "/v1/kling/assets/download":
            return self.link()
        return self.files[str(request.url)]()

    @property
    def links(self) -> list[dict[str, str]]:
        return [dict(one.url.params) for one in self.requests if "workIds" in one.url.params]

    @property
    def fetched(self) -> list[str]:
        return [str(one.url) for one in self.requests if "workIds" not in one.url.params]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def kling(open_client: Any, server: Server, no_waiting: Any) -> AsyncKlingClient:
    client: AsyncKlingClient = await open_client(
        transport=httpx.MockTransport(server), clock=no_waiting, accounts=["a@x.y", "b@x.y"]
    )
    return client


def work(work_id: int = 7, **more: Any) -> dict[str, Any]:
    given = {
        "workId": work_id,
        "taskId": 1,
        "contentType": "video",
        "resource": {"resource": MARKED},
    }
    return {**given, **more}


META = Meta("b@x.y", 200, 1, 0.1)


def done(*works: dict[str, Any]) -> Task:
    state = {"status": 99, "status_name": "succeed", "status_final": True}
    made = Task.from_api({**state, "task": {"id": 1}, "works": list(works or [work()])})
    return evolve(made, meta=META)


# --- which file -------------------------------------------------------------------------------


async def test_the_clean_file_of_a_task(
    kling: AsyncKlingClient, server: Server, tmp_path: Path
) -> None:
    got = await kling.assets.download(done(), tmp_path / "a.mp4")
    assert got == Download(
        path=tmp_path / "a.mp4", size_bytes=len(MP4) + 5, content_type="application/octet-stream",
        clean=True,
    )  # fmt: skip
    assert server.links == [{"workIds": "7", "fileTypes": "MP4", "email": "b@x.y"}]
    assert server.fetched == [CDN]
    assert "authorization" not in server.requests[1].headers
    assert os.fspath(got) == str(tmp_path / "a.mp4")


@pytest.mark.parametrize("status", [400, 402, 403, 404, 412, 500, 596])
async def test_the_marked_one_where_there_is_no_clean_one(
    kling: AsyncKlingClient, server: Server, tmp_path: Path, status: int
) -> None:
    server.link = lambda: httpx.Response(status, json={"error": "paid plans only"})
    got = await kling.assets.download(done(), tmp_path / "a.mp4")
    assert (got.clean, got.content_type) == (False, "video/mp4")
    assert got.reason is not None
    assert "paid plans only" in got.reason
    assert "b@x.y" not in got.reason
    assert got.path.read_bytes() == MP4
    assert len(server.links) == (3 if status == 500 else 1)  # and not 5


async def test_the_marked_one_where_the_clean_one_is_gone(
    kling: AsyncKlingClient, server: Server, tmp_path: Path
) -> None:
    server.files[CDN] = lambda: httpx.Response(404)
    got = await kling.assets.download(done(), tmp_path / "a.mp4")
    assert not got.clean
    assert server.fetched == [CDN, MARKED]


async def test_only_the_clean_one(kling: AsyncKlingClient, server: Server, tmp_path: Path) -> None:
    server.link = lambda: httpx.Response(500, json={"error": "no"})
    with pytest.raises(ServerError):
        await kling.assets.download(done(), tmp_path / "a.mp4", clean=True)
    assert (len(server.links), server.fetched) == (5, [])
    assert list(tmp_path.iterdir()) == []


async def test_only_the_marked_one(kling: AsyncKlingClient, server: Server, tmp_path: Path) -> None:
    got = await kling.assets.download(done(), tmp_path / "a.mp4", clean=False)
    assert (got.clean, got.reason, server.links) == (False, None, [])


async def test_an_id_has_the_clean_one_alone(
    kling: AsyncKlingClient, server: Server, tmp_path: Path
) -> None:
    for one in (7, "7"):
        assert (await kling.assets.download(one, tmp_path / "a", email="a@x.y")).clean
    assert server.links == [{"workIds": "7", "fileTypes": "MP4", "email": "a@x.y"}] * 2
    server.link = lambda: httpx.Response(404, json={"error": "no"})
    with pytest.raises(NotFoundError):
        await kling.assets.download(7, tmp_path / "b", email="a@x.y")
    with pytest.raises(InvalidRequestError, match="give the Task"):
        await kling.assets.download(7, tmp_path / "b", clean=False)


@pytest.mark.parametrize(("kind", "asked"), [
    ("video", "MP4"), ("audio", "MP3"), ("image", "PNG"), ("new", "MP4"), (None, "MP4"),
])  # fmt: skip
async def test_the_type_of_a_work(
    kling: AsyncKlingClient, server: Server, tmp_path: Path, kind: str | None, asked: str
) -> None:
    one = Work.from_api(work(contentType=kind))
    await kling.assets.download(one, tmp_path / "a", email="a@x.y")
    await kling.assets.download(one, tmp_path / "a", email="a@x.y", file_type="WAV")
    assert [link["fileTypes"] for link in server.links] == [asked, "WAV"]


async def test_what_has_an_address_of_its_own(
    kling: AsyncKlingClient, server: Server, tmp_path: Path
) -> None:
    asset = Asset(url="https://no", resource_url=MARKED)
    for one in (Speech(url=MARKED), asset, MARKED, MARKED.replace("https", "HTTPS")):
        got = await kling.assets.download(one, tmp_path / "a.mp4")
        assert (got.clean, got.path.read_bytes()) == (False, MP4)
    assert server.links == []


@pytest.mark.parametrize("what", [
    Task.from_api({"id": 1, "status": 5, "status_name": "submitted", "status_final": False}),
    Task.from_api({"id": 1, "status_name": "failed", "status_final": True, "works": [work()]}),
    done().__class__.from_api({"id": 1, "status": 99, "status_final": True}),
    Speech(), Asset(), True, None, b"bytes", 1.5, [], [Speech(url=MARKED)] * 2, "no number", 0,
    "http://example.com:x/",
], ids=repr)  # fmt: skip
async def test_what_can_not_be_downloaded(
    kling: AsyncKlingClient, server: Server, tmp_path: Path, what: Any
) -> None:
    with pytest.raises(InvalidRequestError):
        await kling.assets.download(what, tmp_path / "a.mp4", email="a@x.y")
    assert server.requests == []
    assert list(tmp_path.iterdir()) == []


async def test_works_of_two_accounts_make_no_zip(kling: AsyncKlingClient, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="several accounts"):
        await kling.assets.download([done(), Work.from_api(work(8))], tmp_path / "a.zip")


async def test_a_closed_client(kling: AsyncKlingClient, server: Server, tmp_path: Path) -> None:
    await kling.aclose()
    with pytest.raises(ConfigurationError):
        await kling.assets.download(done(), tmp_path / "a.mp4")
    with pytest.raises(ConfigurationError):
        await kling.assets.download(MARKED, tmp_path / "a.mp4")
    assert server.requests == []


# --- zips -------------------------------------------------------------------------------------


async def test_several_works_are_a_zip(
    kling: AsyncKlingClient, server: Server, tmp_path: Path
) -> None:
    server.files[CDN] = lambda: httpx.Response(200, content=a_zip())
    for to, name in (
        ("all.zip", "all.zip"),
        ("b.mp4", "b.zip"),
        ("c", "c.zip"),
        ("d.x", "d.x.zip"),
    ):
        got = await kling.assets.download([done(), done(work(8))], tmp_path / to)
        assert (got.path.name, got.content_type, got.clean) == (name, "application/zip", True)
    assert server.links[0] == {"workIds": "7,8", "email": "b@x.y"}
    got = await kling.assets.download(done(), tmp_path, file_type=["MP4", "MP3"])
    assert got.path.name == "7.zip"
    (tmp_path / "b.zip").write_bytes(b"old")
    with pytest.raises(InvalidRequestError, match="exists"):
        await kling.assets.download([7, 8], tmp_path / "b.mp4", overwrite=False, email="a@x.y")


async def test_several_have_no_other_way(
    kling: AsyncKlingClient, server: Server, tmp_path: Path
) -> None:
    server.link = lambda: httpx.Response(404, json={"error": "no"})
    for what, types in ([done(), done(work(8))], None), (done(), ["MP4", "MP3"]):
        with pytest.raises(NotFoundError):
            await kling.assets.download(what, tmp_path / "a.zip", file_type=types)


async def test_a_zip_never_gets_the_name_of_a_video(
    kling: AsyncKlingClient, server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.files[CDN] = lambda: httpx.Response(200, content=a_zip())
    (tmp_path / "a.zip").write_bytes(b"somebody's")
    with caplog.at_level("WARNING"):
        got = await kling.assets.download(done(), tmp_path / "a.mp4")
    assert got.path == tmp_path / "a-2.zip"
    assert zipfile.ZipFile(got).namelist() == ["a.mp4"]
    assert (tmp_path / "a.zip").read_bytes() == b"somebody's"
    assert "a.zip" in caplog.text


# --- where to ---------------------------------------------------------------------------------


async def test_names_in_a_directory(
    kling: AsyncKlingClient, server: Server, tmp_path: Path
) -> None:
    server.files[CDN] = server.files[MARKED]
    assert (await kling.assets.download(done(), tmp_path)).path.name == "7.mp4"
    assert (await kling.assets.download(done(), str(tmp_path) + "/")).path.name == "7.mp4"
    names = [(await kling.assets.download(MARKED, tmp_path)).path.name for _ in range(3)]
    assert names == ["marked.mp4", "marked-2.mp4", "marked-3.mp4"]
    server.files[MARKED] = lambda: httpx.Response(
        200, content=MP4, headers={"content-disposition": 'attachment; filename="../../x"'}
    )
    assert (await kling.assets.download(MARKED, tmp_path)).path == tmp_path / "x.mp4"


async def test_overwriting(kling: AsyncKlingClient, server: Server, tmp_path: Path) -> None:
    target = tmp_path / "a.mp4"
    target.write_bytes(b"old")
    with pytest.raises(InvalidRequestError, match="exists"):
        await kling.assets.download(done(), target, overwrite=False)
    assert server.requests == []
    server.files[CDN] = lambda: (
        target.write_bytes(b"meanwhile"),
        httpx.Response(200, content=MP4),
    )[1]
    target.unlink()
    got = await kling.assets.download(done(), target, overwrite=False)
    assert (got.path.name, target.read_bytes()) == ("a-2.mp4", b"meanwhile")
    await kling.assets.download(done(), target)
    assert target.read_bytes() == MP4


async def test_places_that_are_none(
    kling: AsyncKlingClient, server: Server, tmp_path: Path
) -> None:
    for to in (
        tmp_path / "no" / "a.mp4",
        f"{tmp_path}/no/",
        "/dev/null",
        "",
        "a\0b",
        "a\ud83d.mp4",
    ):
        with pytest.raises(InvalidRequestError):
            await kling.assets.download(done(), to)
    assert server.requests == []


async def test_a_link_is_followed(kling: AsyncKlingClient, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "a.mp4").symlink_to(tmp_path / "real" / "b.mp4")
    got = await kling.assets.download(done(), tmp_path / "a.mp4")
    assert got.path == tmp_path / "real" / "b.mp4"
    assert (tmp_path / "a.mp4").is_symlink()


async def test_a_full_disk(
    kling: AsyncKlingClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PartFile, "write", full)
    with pytest.raises(LocalFileError, match=r"a\.mp4' can't be written: No space left") as caught:
        await kling.assets.download(done(), tmp_path / "a.mp4")
    assert isinstance(caught.value, OSError)
    assert caught.value.errno == 28
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a" * 256 + ".mp4", "\N{SNOWMAN}" * 90, "a" * 5000])
async def test_names_that_the_disk_does_not_take(
    kling: AsyncKlingClient, tmp_path: Path, name: str
) -> None:
    with pytest.raises(LocalFileError, match="File name too long"):
        await kling.assets.download(done(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_may_not_be_written(
    kling: AsyncKlingClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(PartFile, "create", denied)
    with pytest.raises(LocalFileError, match="Permission denied"):
        await kling.assets.download(done(), tmp_path / "a.mp4")


async def test_it_survives_a_power_cut_as_a_whole(
    kling: AsyncKlingClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes are on disk before its name is there, and its name before the call returns."""
    shown: list[bool] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        shown.append((tmp_path / "a.mp4").exists())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    await kling.assets.download(done(), tmp_path / "a.mp4")
    assert shown == [False, True]


async def test_a_disk_without_hard_links(
    kling: AsyncKlingClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", none)
    names = [(await kling.assets.download(MARKED, tmp_path)).path.name for _ in range(2)]
    assert names == ["marked.mp4", "marked-2.mp4"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["marked-2.mp4", "marked.mp4"]


async def test_an_unreadable_link(kling: AsyncKlingClient, server: Server, tmp_path: Path) -> None:
    server.link = lambda: httpx.Response(200, json={"cdnUrl": "file:///etc/passwd"})
    assert not (await kling.assets.download(done(), tmp_path / "a.mp4")).clean
    with pytest.raises(UnexpectedResponseError, match="no http or https"):
        await kling.assets.download(done(), tmp_path / "a.mp4", clean=True)


async def test_few_attempts_stay_few(open_client: Any, server: Server, tmp_path: Path) -> None:
    server.link = lambda: httpx.Response(500, json={"error": "no"})
    kling = await open_client(
        transport=httpx.MockTransport(server), retry=RetryPolicy(attempts=1), accounts=["b@x.y"]
    )
    await kling.assets.download(done(), tmp_path / "a.mp4")
    assert len(server.links) == 1


# --- names ------------------------------------------------------------------------------------


@given(st.text(max_size=300) | st.text(alphabet="./\\: CONnul\0aé", max_size=30))
@example(". .0")
def test_any_name_becomes_one_in_its_directory(given_name: str) -> None:
    name = safe_name(given_name)
    if name is None:
        return
    assert Path(name).name == name
    assert name not in (".", "..")
    assert not name.startswith((".", " "))
    assert not name.endswith((".", " "))
    assert not set(name) & set('/\\<>:"|?*\0\n')
    assert len(name.encode()) <= LONGEST_NAME_BYTES
    assert name.partition(".")[0].lower() not in ("con", "nul", "prn", "aux", "com1")
    assert safe_name(name) == name


@pytest.mark.parametrize(("disposition", "url", "name"), [
    (None, "https://x/a/b%20c.mp4?d=e.mp3", "b c.mp4"),
    (None, "https://x/a/", None),
    (None, "https://x", None),
    (None, "https://x/a%2F..%2Fb.mp4", "b.mp4"),
    ('attachment; filename="ada.mp4"', "https://x/y", "ada.mp4"),
    ("attachment; filename*=UTF-8''%C3%A9t%C3%A9.mp4", "https://x/y", "été.mp4"),
    ('attachment; filename="..\\..\\evil.exe"', "https://x/y", "evil.exe"),
    ("inline", "https://x/y.mp4", "y.mp4"),
    # RFC 6266: the extended form wins, whichever comes first.
    ("attachment; filename=\"e_.mp4\"; filename*=UTF-8''%C3%A9.mp4", "https://x/y", "é.mp4"),
    ("attachment; filename*=UTF-8''%C3%A9.mp4; filename=\"e_.mp4\"", "https://x/y", "é.mp4"),
    ("attachment; filename=a.mp4; FILENAME* = iso-8859-1'en'%E9.mp4", "https://x/y", "é.mp4"),
    ("attachment; filename=\"a.mp4\"; filename*=UTF-8''%FF.mp4", "https://x/y", "\ufffd.mp4"),
    ("attachment; filename*=nonsense", "https://x/y.mp4", "nonsense"),
    ('attachment; filename="..."', "https://x/y.mp4", "y.mp4"),
    (None, "https://x/" + "a" * 500 + ".mp4", "a" * 146 + ".mp4"),
])  # fmt: skip
def test_served_names(disposition: str | None, url: str, name: str | None) -> None:
    assert served_name(disposition, url) == name


@pytest.mark.parametrize(("name", "kind", "ends"), [
    ("a", "video/mp4", "a.mp4"), ("a.mp4", "audio/mpeg", "a.mp4"), ("a", "x/y", "a"),
    ("a.mp4", "application/zip", "a.zip"), ("a.b", "application/zip", "a.b.zip"),
    ("A.ZIP", "application/zip", "A.ZIP"),
])  # fmt: skip
def test_endings(name: str, kind: str, ends: str) -> None:
    assert with_ending(name, kind) == ends
