"""Do the pages say what is true, and lead where they say? What no program can show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kling_async
from kling_async.emulator import faultkinds

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s#]*)(#[^)\s]*)?\)")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    kept = (re.sub(r"[^\w\- ]", "", one.lower()) for one in HEADING.findall(text_of(page)))
    return {"#" + one.replace(" ", "-") for one in kept}


@pytest.mark.parametrize("page", PAGES, ids=lambda one: one.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(FENCED.sub("", text_of(page))):
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(there), f"{page.name} links to {target}{anchor}"


def test_the_index_leads_to_each_page() -> None:
    links = {target for target, _ in LINK.findall(text_of(ROOT / "docs" / "index.md"))}
    assert {one for one in links if one.endswith(".md")} == {
        one.name for one in (ROOT / "docs").glob("*.md")
    } - {"index.md"}


def test_no_page_installs_from_pypi_before_there_is_a_release() -> None:
    examples = sorted((ROOT / "docs" / "examples").glob("*.py"))
    for page in (*PAGES, *examples):
        text = re.sub(r"Where a message says `[^`]*`", "", text_of(page))  # it is installed then
        assert not re.search(r"pip install [^\n&/]*\bkling-async(\[|\s|$)", text), (
            f"{page.name}: no release is on PyPI yet; link to installing.md"
        )


def test_all_that_names_pythons_names_the_same() -> None:
    project = text_of(ROOT / "pyproject.toml")
    declared = re.findall(r"Python :: (3\.\d+)", project)
    assert f'requires-python = ">={declared[0]}"' in project
    workflow = text_of(ROOT / ".github" / "workflows" / "tests.yml")
    matrix = re.findall(r"3\.\d+", re.search(r"python: \[(.*)\]", workflow)[1])  # type: ignore[index]
    assert [*matrix, *re.findall(r'python-version: "(.*)"', workflow)] == declared
    assert f"Python {declared[0]} to {declared[-1]}" in text_of(ROOT / "README.md")
    listed = f"Python {', '.join(declared[:-1])} and {declared[-1]} are supported"
    assert listed in text_of(ROOT / "docs" / "versions.md")


def test_troubleshooting_has_an_entry_for_each_error() -> None:
    text = text_of(ROOT / "docs" / "troubleshooting.md")
    headings = {one.split()[0] for one in HEADING.findall(text)}
    errors = {name for name in kling_async.__all__ if name.endswith("Error")} - {"KlingError"}
    assert errors - {"APIError"} <= headings
    assert {one for one in headings if one.endswith("Error")} <= errors | {"InputError"}


def test_the_table_of_faults_is_the_emulators() -> None:
    def rows(text: str) -> list[str]:
        return [one for one in text.splitlines() if one.startswith("| `")]

    assert faultkinds.__doc__ is not None
    table = rows(faultkinds.__doc__)
    assert len(table) == len(faultkinds.KINDS)
    assert set(table) <= set(rows(text_of(ROOT / "docs" / "emulator.md")))
