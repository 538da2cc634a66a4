"""Do the documentation's pages work in a real browser: on a phone, in light and dark, searched?

`nox -s docs` builds the site and names it in KLING_TEST_SITE; else it is built here, where Zensical
is installed.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from browser import until

ROOT = Path(__file__).parents[3]
WIDTH = 360
GROUND = "getComputedStyle(document.body).backgroundColor"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if built := os.environ.get("KLING_TEST_SITE"):
        return Path(built)
    if importlib.util.find_spec("zensical") is None:
        pytest.skip("no site, and no Zensical to build one: nox -s docs does both")
    folder = tmp_path_factory.mktemp("site")
    builder = [sys.executable, str(ROOT / "docs" / "build_site.py"), str(folder)]
    done = subprocess.run(builder, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    handler = partial(Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
async def phone(
    open_page: Callable[..., Awaitable[Any]], request: pytest.FixtureRequest
) -> Callable[[str], Awaitable[Any]]:
    """A page on a phone that notes what its console says; it asks no other host for anything."""
    scheme = getattr(request, "param", "light")
    page = await open_page("about:blank", width=WIDTH, color_scheme=scheme)
    page.errors = []
    page.on("console", lambda one: one.type == "error" and page.errors.append(one.text))

    async def shown(url: str) -> Any:
        await page.goto(url)
        return page

    return shown


async def test_each_page_fits_a_phone_and_reports_no_error(
    site: Path, address: str, phone: Callable[[str], Awaitable[Any]]
) -> None:
    pages = sorted(one.parent.relative_to(site) for one in site.rglob("index.html"))
    assert len(pages) > 25
    wide = {}
    for one in pages:
        page = await phone(f"{address}/{one.as_posix()}/")
        width = await page.evaluate("document.documentElement.scrollWidth")
        if width > WIDTH or page.errors:
            wide[str(one)] = (width, tuple(page.errors))
        page.errors.clear()
    assert wide == {}


@pytest.mark.parametrize("phone", ["light", "dark"], indirect=True)
async def test_the_front_page_is_light_or_dark_as_the_system_is(
    address: str, phone: Callable[[str], Awaitable[Any]], request: pytest.FixtureRequest
) -> None:
    page = await phone(address)
    red, *_ = (await page.evaluate(GROUND)).removeprefix("rgb(").split(",")
    assert (int(red) > 127) == (request.node.callspec.params["phone"] == "light")
    picture = "document.querySelector('img[src*=progress]')"
    await until(page, f"{picture}.complete && {picture}.naturalWidth > 0")
    assert await page.evaluate(f"{picture}.getBoundingClientRect().top") < 800


async def test_what_is_searched_is_found(
    address: str, open_page: Callable[..., Awaitable[Any]]
) -> None:
    page = await open_page(address)
    await page.keyboard.press("/")
    await page.keyboard.type("OutcomeUnknownError")
    found = page.locator("a[href*='troubleshooting']", has_text="OutcomeUnknownError")
    await found.first.wait_for()
