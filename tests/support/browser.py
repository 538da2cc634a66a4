"""A real Chromium without a window, driven by Playwright; for pages of ours.

`await open_page(path or address, width=360, ...)` gives a page. Where no Chromium can be had the
test is skipped, and says how to get one; nox installs Debian's where it may.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def chromium() -> str | None:
    """The browser of `KLING_TEST_CHROMIUM`, else the first that is installed."""
    named = os.environ.get("KLING_TEST_CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


@pytest.fixture
async def open_page() -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """`await open_page(where, width=360, ...)`: a page that reaches this machine only."""
    path = chromium()
    if path is None:
        pytest.skip("no Chromium is installed: apt-get install chromium, or KLING_TEST_CHROMIUM")
    playwright = pytest.importorskip("playwright.async_api", reason="pip install playwright")
    faults = list[str]()

    async with playwright.async_playwright() as driver:
        # Without a sandbox, as containers have none; it opens nothing but our own pages.
        browser = await driver.chromium.launch(executable_path=path, args=["--no-sandbox"])

        async def opened(where: Path | str, *, width: int = 1000, **options: Any) -> Any:
            size = {"width": width, "height": 800}
            context = await browser.new_context(viewport=size, **options)
            await context.route(
                lambda url: url.startswith("http") and "://127.0.0.1" not in url,
                lambda route: route.abort(),
            )
            context.set_default_timeout(120_000)  # for busy machines
            page = await context.new_page()
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", lambda one: "Refused" in one.text and faults.append(one.text))
            await page.goto(where.absolute().as_uri() if isinstance(where, Path) else where)
            return page

        yield opened
        await browser.close()
    assert faults == []


async def until(page: Any, expression: str, arg: Any = None) -> None:
    """Wait until it holds. Playwright's own wait needs `eval`, which a page's rule may forbid."""
    while not await page.evaluate(expression, arg):
        await asyncio.sleep(0.05)
