"""Is all that is public in the site's reference, and is a link that leads nowhere noticed?

The site itself is built by `nox -s docs`.
"""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

import kling_async
import kling_async.emulator
import kling_async.models
from kling_async.cli.app import cli

DOCS = Path(__file__).parents[3] / "docs"
_spec = importlib.util.spec_from_file_location("build_site", DOCS / "build_site.py")
assert _spec is not None
assert _spec.loader is not None
site = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(site)


@pytest.fixture(scope="module")
def reference() -> dict[str, str]:
    return dict(site.reference())


def test_the_reference_has_all_that_is_public(reference: dict[str, str]) -> None:
    named = re.findall(r"^::: (\S+)$", "\n".join(reference.values()), re.MULTILINE)
    assert len(named) == len(set(named))
    last = {one.rpartition(".")[2] for one in named}
    for public in (kling_async, kling_async.models, kling_async.emulator):
        assert set(public.__all__) - {"__version__"} <= last
    assert {"kling_lifespan", "kling_context", "kling_client"} <= last
    resources = set(re.findall(r"^## kling\.(\w+)$", reference["client.md"], re.MULTILINE))
    assert {"avatars", "videos", "bulk", "tasks"} <= resources


def test_the_reference_has_all_commands(reference: dict[str, str]) -> None:
    headings = set(re.findall(r"^## kling-async ?(.*)$", reference["commands.md"], re.MULTILINE))
    assert {name for name, one in cli.commands.items() if not one.hidden} <= headings
    assert "bulk run" in headings


def test_the_navigation_leads_to_each_page(reference: dict[str, str]) -> None:
    listed = re.findall(r'= "([\w/-]+\.md)"', (DOCS / "zensical.toml").read_text("utf-8"))
    pages = {one.name for one in DOCS.glob("*.md")} | {f"reference/{name}" for name in reference}
    assert sorted(listed) == sorted(pages)


def test_the_page_for_models_names_each_page_in_words(tmp_path: Path) -> None:
    nav = tomllib.loads((DOCS / "zensical.toml").read_text("utf-8"))["project"]["nav"]
    (tmp_path / "reference").mkdir()
    for name, text in site.reference():
        (tmp_path / "reference" / name).write_text(text, "utf-8")
    for page in DOCS.glob("*.md"):
        (tmp_path / page.name).write_text(page.read_text("utf-8"), "utf-8")
    text = site.llms(nav, tmp_path)
    assert text.startswith("# kling-async\n\n> An async Python SDK for the Kling API v1")
    assert "(bulk.md): Thousands of rows become avatars" in text
    assert "](http" not in text
    assert "```" not in text


@pytest.mark.parametrize(
    ("link", "broken"),
    [
        ("there/", False),
        ("there/#part", False),
        ("#here", False),
        ("https://example.com/gone", False),
        ("there/#gone", True),
        ("gone/", True),
        ("#gone", True),
    ],
)
def test_a_link_that_leads_nowhere_is_noticed(link: str, broken: bool, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "index.html").write_text("<h2 id=part>")
    (tmp_path / "index.html").write_text(f"<p id=here><a href='{link}'>")
    assert site.broken_links(tmp_path) == ([f"index.html: {link}"] if broken else [])
