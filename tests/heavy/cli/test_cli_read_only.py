"""Can a ledger be looked at by somebody who may only read it, and its folder?"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kling_async.bulk.recipes import AVATARS
from kling_async.bulk.rows import RowBuilder
from kling_async.bulk.sqlite import open_ledger

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="rights are other ones there")
NOBODY = 65534


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that others may look into; those of pytest are closed to them."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


# Root may write whatever the rights are; others may be unable to read root's Python, so it is
# loaded before.
PROGRAM = f"""
import encodings.idna, os, sys
import kling_async.cli.app
import kling_async.cli.streams
from kling_async.__main__ import main
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
main()
"""


def as_reader(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command, run by somebody who may not write."""
    command = [sys.executable, "-c", PROGRAM, *map(str, words)]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )


def times(folder: Path) -> dict[str, int]:
    """When each file was written."""
    return {one.name: one.stat().st_mtime_ns for one in folder.iterdir()}


@pytest.mark.parametrize("in_use", [False, True], ids=["at rest", "while a run uses it"])
async def test_status_export_and_copy_only_read(place: Path, in_use: bool) -> None:
    ledger, out = place / "l.sqlite", Path(tempfile.mkdtemp())
    out.chmod(0o777)

    def look() -> None:
        for one in place.iterdir():
            one.chmod(0o444)
        place.chmod(0o555)
        before = times(place)
        status = as_reader("bulk", "status", ledger, "--json", cwd=out)
        assert (status.returncode, status.stderr) == (0, "")
        assert json.loads(status.stdout)["counts"] == {"planned": 1, "failed": 1}
        for words in (("export", ledger, "--to", "r.jsonl"), ("copy", ledger, "copy.sqlite")):
            done = as_reader("bulk", *words, cwd=out)
            assert (done.returncode, done.stderr) == (0, "")
        assert in_use or times(place) == before
        place.chmod(0o755)

    try:
        async with open_ledger(ledger, service="x") as book:
            with RowBuilder(AVATARS) as builder:
                given = {"image_url": "https://x.y/a.png"}
                await book.register([builder.row(given, 1), builder.row({}, 2)])
            if in_use:
                look()
        if not in_use:
            look()
    finally:
        shutil.rmtree(out)
