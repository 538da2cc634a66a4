"""Does the page of a job work in a real browser: from disk, on a phone, without scripts?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from browser import until
from ledgers import SERVICE, in_state, step_input, yes

from kling_async.bulk.records import RowInput, WorkRecord
from kling_async.bulk.sqlite import open_ledger, read_ledger
from kling_async.cli.report.page import write_report
from kling_async.emulator.mp4 import video

PORTRAIT = Path(__file__).parents[3] / "docs" / "examples" / "portraits" / "ada.jpg"
BAD = "<img id=bad src=x onerror=\"document.title='bad'\"></script></style>\"'><b id=bad>"


async def _made(folder: Path) -> Path:
    """A report of four rows: one done with a portrait and a video, one of each trouble, one bad."""
    film = folder / "videos" / "k 1#?.mp4"
    film.parent.mkdir()
    film.write_bytes(video("k1", 64, 64, 500))
    async with open_ledger(folder / "job.sqlite", service=SERVICE) as ledger:
        payload = {"image": str(PORTRAIT), "nickname": "Ada Lovelace"}
        step = await in_state(ledger, "k1", "running", payload=payload)
        work = WorkRecord(number=1, url="https://cdn.example/1.mp4", content_type="video/mp4")
        await yes(ledger, step, "finished", "made", works=(work,))
        await yes(ledger, step, "reserved", work=1, file=str(film))
        await yes(ledger, step, "saved", "done", work=1, size_bytes=film.stat().st_size)
        failed = await in_state(ledger, "k2", "ready", payload={"nickname": "Ben"})
        await yes(ledger, failed, "failed", error="400: the face is hidden")
        await in_state(ledger, "k3", "unknown", payload={"nickname": "Nia"})
        hidden = {"image": "javascript:alert(1)", "nickname": BAD, "prompt": BAD}
        bad = RowInput(key=BAD, position=9, columns={BAD: BAD}, steps=[step_input(payload=hidden)])
        (row,) = await ledger.register([bad])
        await yes(ledger, row.steps[0], "failed", error=f"{BAD}\x1b[31m\u202e")
    async with read_ledger(folder / "job.sqlite") as book:
        assert await write_report(book, "job.sqlite", folder / "report.html") == 4
    return folder / "report.html"


@pytest.fixture
async def report(tmp_path: Path) -> Path:
    return await _made(tmp_path)


async def shown(page: Any) -> list[str]:
    """The names of the rows that can be seen."""
    names = await page.query_selector_all(".row h2")
    return [await one.inner_text() for one in names if await one.is_visible()]


async def test_it_is_looked_through_without_scripts(
    report: Path, open_page: Callable[..., Awaitable[Any]]
) -> None:
    page = await open_page(report, java_script_enabled=False)
    assert await shown(page) == ["Ada Lovelace", "Ben", "Nia", BAD]
    await page.click("text=failed (2)")
    assert await shown(page) == ["Ben", BAD]
    await page.click("text=unknown (1)")
    assert await shown(page) == ["Nia"]
    assert await page.is_hidden("#search")  # it would do nothing
    assert await page.get_attribute("a.video", "href") == "./videos/k%201%23%3F.mp4"
    assert await page.is_visible(".causes >> text=the face is hidden")


async def test_rows_are_found_and_videos_play_in_their_place(
    report: Path, open_page: Callable[..., Awaitable[Any]]
) -> None:
    page = await open_page(report)
    await page.fill("#search", "hidden face")
    assert await shown(page) == ["Ben"]
    assert await page.inner_text("#found") == "1 found"
    await page.fill("#search", "")
    portrait = await page.query_selector("#row-1 img")
    await until(page, "one => one.complete && one.naturalWidth === 96", portrait)
    await page.click("a.video")
    await until(page, "document.querySelector('video').readyState >= 2")
    assert await page.evaluate("document.querySelector('video').videoWidth") == 64


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_phone_in_light_and_dark(
    report: Path, open_page: Callable[..., Awaitable[Any]], scheme: str
) -> None:
    page = await open_page(report, width=360, color_scheme=scheme)
    await page.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    for of in ("#row-1", ".filters", "svg"):
        box = await (await page.query_selector(of)).bounding_box()
        assert box["width"] <= 360, of
    ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]


async def test_no_text_from_outside_is_markup(
    report: Path, open_page: Callable[..., Awaitable[Any]]
) -> None:
    page = await open_page(report)
    await page.click("#row-9 summary")
    assert await page.query_selector_all("#bad") == []
    assert await page.title() == "job.sqlite: 4 rows"
    said = await page.inner_text("#row-9")
    assert said.count(BAD) >= 4  # name, key, text, column and its value
    assert "\\x1b[31m\\u202e" in said
    assert await page.query_selector_all('[href^="javascript"], [src^="javascript"]') == []
