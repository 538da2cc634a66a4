"""How do these pages become a site? A copy of them, with a reference written from the package.

python docs/build_site.py FOLDER    the site is FOLDER/site; `nox -s docs` does it

Zensical's warnings are errors, and each link within the site has to lead somewhere.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cached_property
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click

import kling_async
from kling_async.cli.app import cli

DOCS = Path(__file__).parent
APART = (
    *("integrations.fastapi", "integrations.aiohttp", "integrations.logs", "integrations.hidden"),
    "pytest_plugin",
)
BASES = (
    (kling_async.Request, "requests"),
    (kling_async.Model, "answers"),
    (kling_async.KlingError, "errors"),
)
PAGES = {
    "requests": (
        "Requests",
        "A method of the client sends each; bulk jobs and `kling.send` take them as they are.",
    ),
    "answers": ("Answers", "They are frozen. Their `meta` says which call brought them."),
    "errors": ("Errors", "What to do about each: [Troubleshooting](../troubleshooting.md)."),
    "parts": (
        "Limits, retries, accounts, events",
        "What the client is made of, what it tells, and what bulk jobs give.",
    ),
    "models": (
        "Request types of your own",
        "Request types are written with these, and sent with `kling.send`.",
    ),
    "emulator": (
        "The emulator from Python",
        "What its faults are: [The emulator](../emulator.md).",
    ),
    "integrations": (
        "Integrations and the pytest plugin",
        "Each module is imported by itself, with its extra.",
    ),
}
WIDTH = 90


def reference() -> Iterator[tuple[str, str]]:
    """Each page of the reference: its name and its text. All public names are on one of them."""
    names: dict[str, list[str]] = {page: [] for page in PAGES}
    for name in kling_async.__all__:
        if name not in ("__version__", "AsyncKlingClient", "KlingClient"):
            names[_page_of(getattr(kling_async, name))].append(f"kling_async.{name}")
    for room in ("models", "emulator"):
        public = import_module(f"kling_async.{room}")
        names[room] += (
            f"kling_async.{room}.{name}"
            for name in public.__all__
            if getattr(public, name) is not getattr(kling_async, name, None)
        )
    for room in (f"kling_async.{one}" for one in APART):
        there = vars(import_module(room)).items()
        names["integrations"] += (
            f"{room}.{name}"
            for name, value in there
            if not name.startswith("_") and getattr(value, "__module__", "") == room
        )
    for page, (title, text) in PAGES.items():
        blocks = "\n".join(map(_block, names[page]))
        yield f"{page}.md", f"# {title}\n\n{text}\n\n{blocks}"
    yield "client.md", f"# The client and its methods\n\n{_client()}"
    commands = "\n".join(_commands(click.Context(cli, info_name="kling-async")))
    yield "commands.md", f"# Commands\n\nWhat `--help` says of each.\n\n{commands}"


def _page_of(value: object) -> str:
    if isinstance(value, type):
        for base, page in BASES:
            if issubclass(value, base):
                return page
    return "parts"


def _block(name: str) -> str:
    module, _, last = name.rpartition(".")
    if getattr(getattr(import_module(module), last), "_is_protocol", False):
        return f"::: {name}\n    options:\n      merge_init_into_class: false\n"
    return f"::: {name}\n"


def _client() -> str:
    blocks = ["::: kling_async.AsyncKlingClient\n", "::: kling_async.KlingClient\n"]
    for name, value in vars(kling_async.AsyncKlingClient).items():
        if isinstance(value, cached_property):
            made = value.func.__annotations__["return"]
            blocks.append(
                f"## kling.{name}\n\n::: kling_async.resources.{name}.{made}\n    options:\n"
                "      show_root_heading: false\n      show_root_toc_entry: false\n"
                "      heading_level: 2\n      merge_init_into_class: false\n"
            )
    return "\n".join(blocks)


def _commands(context: click.Context) -> Iterator[str]:
    context.terminal_width = WIDTH
    yield f"## {context.command_path}\n\n```text\n{context.get_help()}\n```\n"
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None and not command.hidden:
                inner = click.Context(command, info_name=name, parent=context)
                yield from _commands(inner)


def llms(nav: list[dict[str, Any]], pages: Path) -> str:
    """The pages for language models: one line each, with a link to its Markdown."""
    lines = ["# kling-async", "", "> " + _first_words(pages / "index.md"), ""]
    for entry in nav:
        for title, below in entry.items():
            if isinstance(below, list):
                lines += [f"## {title}", "", *(_line(one, pages) for one in below), ""]
    return "\n".join(lines)


def _line(entry: dict[str, str], pages: Path) -> str:
    ((title, page),) = entry.items()
    return f"- [{title}]({page}): {_first_words(pages / page)}".removesuffix(": ")


def _first_words(page: Path) -> str:
    """The first paragraph that is plain text."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    paragraphs = re.split(r"\n{2,}", text)[1:]
    plain = (one for one in paragraphs if one.strip() and not re.match(r"[#|:\-!]", one))
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", " ".join(next(plain, "").split()))


class _Links(HTMLParser):
    """The anchors of a page, and where its links lead."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.ids, self.targets = {""}, list[str]()
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids.add(given.get("id") or "")
        self.targets += [one for key in ("href", "src") if (one := given.get(key))]


def broken_links(site: Path) -> list[str]:
    """The links within the site that lead nowhere, each with its page."""
    pages = {page: _Links(page) for page in site.rglob("*.html") if page.name != "404.html"}
    broken = []
    for page, links in pages.items():
        for target in links.targets:
            url = urlsplit(target)
            if url.scheme or url.netloc:
                continue
            there = Path(os.path.normpath(page.parent / unquote(url.path))) if url.path else page
            there = there / "index.html" if there.is_dir() else there
            ids = pages[there].ids if there in pages else {unquote(url.fragment)}
            if not there.exists() or unquote(url.fragment) not in ids:
                broken.append(f"{page.relative_to(site)}: {target}")
    return sorted(set(broken))


def build(folder: Path) -> None:
    """The site in `folder`/site; exits with the reason where something is wrong."""
    shutil.rmtree(folder, ignore_errors=True)
    pages, site = folder / "docs", folder / "site"
    ours = shutil.ignore_patterns("zensical.toml", "build_site.py", "draw_*.py", "__pycache__")
    shutil.copytree(DOCS, pages, ignore=ours)
    shutil.copy(DOCS / "zensical.toml", folder)
    (pages / "reference").mkdir()
    for name, text in reference():
        (pages / "reference" / name).write_text(text, "utf-8")
    said = subprocess.run(
        [Path(sys.executable).with_name("zensical"), "build", "--strict"],
        cwd=folder,
        check=False,
        text=True,
        capture_output=True,
    )
    output = said.stdout + said.stderr
    # `--strict` does not count what the docstrings' readers say.
    if said.returncode or re.search(r"^(griffe|mkdocstrings|mkdocs_autorefs): ", output, re.M):
        sys.exit(f"{output}\nThe site was not built: zensical found what is said above")
    nav = tomllib.loads((folder / "zensical.toml").read_text("utf-8"))["project"]["nav"]
    (site / "llms.txt").write_text(llms(nav, pages), "utf-8")
    for page in pages.rglob("*.md"):
        shutil.copy(page, site / page.relative_to(pages))
    if broken := broken_links(site):
        sys.exit("links that lead nowhere:\n" + "\n".join(broken))


if __name__ == "__main__":
    build(Path(sys.argv[1]))
