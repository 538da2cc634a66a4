"""How are the pictures of the pages drawn? The progress by rich, the report by a real Chromium.

python docs/draw_images.py REPORT.html    both, into docs/images; Playwright and Chromium are needed
"""

from __future__ import annotations

import io
import re
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich.console import Console

from kling_async.cli.progress import Snapshot, _drawn

IMAGES = Path(__file__).parent / "images"
NOW = Snapshot(
    total=5000,
    settled=2140,
    created=2098,
    failed=38,
    unknown=4,
    skipped=0,
    adopted=11,
    under_way=24,
    in_doubt=3,
    waiting=6,
    paused_s=0.0,
    rows_per_s=9.4,
    left_s=304.0,
)


def draw_progress() -> None:
    """The two lines of a run, as at 96 columns."""
    console = Console(record=True, width=96, file=io.StringIO(), force_terminal=True)
    console.print("$ kling-async bulk run people.csv --ledger people.sqlite")
    console.print(_drawn(NOW))
    drawn = console.export_svg(title="kling-async")
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # no fonts of elsewhere
    (IMAGES / "progress.svg").write_text(drawn)


def draw_report(page: Path) -> None:
    """The head of a report, at the width of a README."""
    with sync_playwright() as driver:
        path = shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 800, "height": 620})
        shown.goto(page.absolute().as_uri())
        shown.screenshot(path=IMAGES / "report.png")
        browser.close()


if __name__ == "__main__":
    draw_progress()
    draw_report(Path(sys.argv[1]))
