"""What does the page of a job say, and when is none written? How it looks is tried in a browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from ledgers import SERVICE, in_state, yes

from kling_async.bulk.sqlite import open_ledger, read_ledger
from kling_async.cli.causes import causes
from kling_async.cli.report.facts import address_of, web_address
from kling_async.cli.report.pictures import small_copy
from kling_async.cli.report.summary import summary_of


async def test_equal_causes_are_counted_together(tmp_path: Path) -> None:
    """By one rule, on the page and by `bulk status --state`."""
    async with open_ledger(tmp_path / "a.sqlite", service=SERVICE) as ledger:
        for n in range(1, 4):
            step = await in_state(ledger, f"k{n}", "ready")
            await yes(ledger, step, "failed", error=f"400: 'k{n}.jpg' has {n} faces")
        for n, where in ((4, "/a/x.png"), (5, "https://b.c/y?z=1")):
            step = await in_state(ledger, f"k{n}", "ready")
            await yes(ledger, step, "failed", error=f"there is no file at {where}")
        step = await in_state(ledger, "k6", "ready")
        await yes(ledger, step, "failed", error="401: no token")
        await in_state(ledger, "k7", "done")
    async with read_ledger(tmp_path / "a.sqlite") as book:
        found = await summary_of(book)
        told = await causes(book, "failed", every=True)
    expected = [
        (3, 1, "400: 'k1.jpg' has 1 faces"),
        (2, 4, "there is no file at /a/x.png"),
        (1, 6, "401: no token"),
    ]
    assert [(one.count, one.first, one.text) for one in found.worst] == expected
    assert [(one.count, one.first, one.text) for one in told] == expected
    assert [[row.key for row in one.rows] for one in told] == [
        ["k1", "k2", "k3"],
        ["k4", "k5"],
        ["k6"],
    ]
    assert found.states == [("done", "done", 1), ("failed", "failed", 6)]
    assert sum(height for bar in found.bars for _, _, height in bar.parts) >= 100


async def test_what_jobs_cost_is_said_where_the_vendor_names_a_price(tmp_path: Path) -> None:
    clip = {"prompt": "A cat", "model_name": "kling-v2-5", "mode": "pro", "duration_s": 10}
    async with open_ledger(tmp_path / "a.sqlite", service=SERVICE) as ledger:
        for key, payload in (("k1", clip), ("k2", {**clip, "duration_s": 5})):
            fields = {"operation": "videos.text2video", "kind": "task", "payload": payload}
            await in_state(ledger, key, "running", **fields)
        await in_state(ledger, "k3", "running", operation="tool.unknown", kind="task")
        await in_state(ledger, "k4", "ready", operation="videos.text2video", payload=clip)
    async with read_ledger(tmp_path / "a.sqlite") as book:
        notes = (await summary_of(book)).notes
    assert notes == [
        "About 75 credits by the vendor's prices.",
        "What 1 of tool.unknown cost is not known, as the vendor names no price.",
    ]


@pytest.mark.parametrize(("url", "kept"), [
    ("https://x.y/a.png", True), ("http://x.y", True), ("javascript:alert(1)", False),
    ("JaVaScRiPt:alert(1)", False), ("data:text/html,x", False), ("file:///etc/passwd", False),
    ("//x.y/a", False), (" javascript:x", False), ("http://[", False), (None, False), (7, False),
])  # fmt: skip
def test_only_the_web_is_led_to(url: object, kept: bool) -> None:
    assert (web_address(url) is not None) is kept


def test_files_below_the_page_are_named_from_there(tmp_path: Path) -> None:
    assert address_of(tmp_path / "a:b" / 'x "1#.mp4', tmp_path) == "./a%3Ab/x%20%221%23.mp4"
    assert address_of(tmp_path / "x.mp4", tmp_path / "pages") == (tmp_path / "x.mp4").as_uri()


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 64])
def test_a_broken_picture_is_no_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    assert small_copy(tmp_path / "a.png") is None
    assert small_copy(tmp_path / "gone.png") is None
    assert small_copy(tmp_path) is None


@pytest.fixture
def ledger(invoke: Callable[..., Result], url_csv: Callable[..., Path], folder: Path) -> Path:
    done = invoke("bulk", "run", url_csv(3), "--ledger", "a.sqlite", "--emulator", "--rate", "none")
    assert done.exit_code == 0
    return folder / "a.sqlite"


def test_it_is_written_whole_or_not_at_all(
    invoke: Callable[..., Result], ledger: Path, folder: Path
) -> None:
    done = invoke("bulk", "report", ledger, "--to", "report.html")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "3 rows shown in report.html" in done.stdout
    first = (folder / "report.html").read_text()
    assert first.count('<li class="row done"') == 3
    assert first.endswith("</html>")

    again = invoke("bulk", "report", ledger, "--to", "report.html")
    assert (again.exit_code, "--overwrite" in again.stderr) == (2, True)
    assert (folder / "report.html").read_text() == first
    assert invoke("bulk", "report", ledger, "--to", "report.html", "--overwrite").exit_code == 0
    assert [one.name for one in folder.iterdir() if "part" in one.name] == []


def test_it_never_replaces_the_ledger_or_takes_another_ending(
    invoke: Callable[..., Result], ledger: Path, folder: Path
) -> None:
    (folder / "link.html").symlink_to(ledger)
    before = ledger.read_bytes()
    for to in ("link.html", "a.sqlite", "report.csv", "gone/report.html"):
        refused = invoke("bulk", "report", ledger, "--to", to, "--overwrite")
        assert refused.exit_code == 2, to
        assert refused.stderr.count("\n") == 1, refused.stderr
    assert ledger.read_bytes() == before
    assert invoke("bulk", "report", "gone.sqlite", "--to", "x.html").exit_code == 2
