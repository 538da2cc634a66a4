"""What tests of bulk videos share: rows that speak, a run to its end, what was really made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs import videos

from kling_async import AsyncKlingClient, BulkRow
from kling_async.emulator import Call, Emulator


def speaking(count: int, **fields: Any) -> Iterator[dict[str, Any]]:
    """Rows k1, k2 ... with addresses and texts; each text says whose it is."""
    for n in range(1, count + 1):
        yield {
            "key": f"k{n}",
            "image_url": f"https://example.com/{n}.png",
            "nickname": f"k{n}",
            "text": f"I am k{n}",
            "speaker_id": voice(),
            **fields,
        }


def voice() -> str:
    """A voice that every emulator has."""
    from kling_async.emulator.voices import VOICES

    return str(VOICES[0].speaker_id)


async def filmed(
    kling: AsyncKlingClient, rows: Any, ledger: Path, **options: Any
) -> dict[str, BulkRow]:
    """Each row's result, of a run with videos to its end; each row once."""
    found: dict[str, BulkRow] = {}
    folder = ledger.with_name("films")
    async for row in kling.avatars.create_many(rows, ledger=ledger, videos=folder, **options):
        assert row.key not in found, f"{row.key} came twice"
        found[row.key] = row
    return found


def calls(emulator: Emulator, operation: str) -> list[Call]:
    """The calls of one operation, oldest first."""
    return [one for one in emulator.calls if one.operation == operation]


def assert_all_filmed_once(emulator: Emulator, ledger: Path, count: int) -> None:
    """Rows k1 ... have each its own video on disk, of its own single job."""
    films = videos(ledger)
    assert len(films) == count
    assert Counter(one.state for one in films.values()) == {"done": count}
    jobs = {one.id: one for one in emulator.tasks}
    assert len(emulator.tasks) == count
    assert {int(one.remote_id or 0) for one in films.values()} == set(jobs)
    for key, film in films.items():
        (kept,) = film.works
        file = Path(str(kept.file))
        assert file.name == f"{key}.mp4"
        assert file.stat().st_size == kept.size_bytes
        (work,) = jobs[int(film.remote_id or 0)].works
        assert kept.work_id == str(work.id)
    assert {one.name for one in ledger.with_name("films").iterdir()} == {
        f"{key}.mp4" for key in films
    }
