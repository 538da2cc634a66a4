"""How does a file of ours reach its place? Whole, over nothing that was to be kept."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from ..aio import in_thread
from ..errors import ConfigurationError, KlingError, LedgerError


@asynccontextmanager
async def write_beside(
    target: Path, *, overwrite: bool = False, kept: Iterable[Path] = ()
) -> AsyncIterator[Path]:
    """A new, empty file beside `target`; it takes its place when the context ends without an error.

    Args:
        target: where links end is where the file goes.
        overwrite: whether a file that is there may be replaced; its rights are kept.
        kept: files that are never replaced, under whatever name.

    Raises:
        ConfigurationError: `target` is one of `kept`, is not a regular file, or is there already.
        LedgerError: it can't be written.
    """
    place = Path(await in_thread(os.path.realpath, target))
    unfinished = place.with_name(f".{place.name[:40]}.{secrets.token_hex(4)}.part")
    try:
        await in_thread(_check, target, place, overwrite, tuple(kept))
        await in_thread(unfinished.open("x").close)
        yield unfinished
        await in_thread(_move, unfinished, place, overwrite)
    except KlingError:
        raise
    except FileExistsError:
        raise _is_there(target) from None
    except OSError as exc:
        raise LedgerError(f"can't write {target}: {exc.strerror or exc}") from None
    finally:
        with suppress(OSError):  # what was wrong with it has been said
            await in_thread(unfinished.unlink, missing_ok=True)


def _check(target: Path, place: Path, overwrite: bool, kept: tuple[Path, ...]) -> None:
    for one in kept:
        if _same(place, one):
            raise ConfigurationError(
                f"{target} is not written: it is {one}, which is never replaced. Name another file"
            )
    if not place.exists():
        return
    if place.is_dir():
        raise LedgerError(f"can't write {target}: it is a folder")
    if not place.is_file():
        raise ConfigurationError(f"{target} is not a regular file; name one, or a new one")
    if not overwrite:
        raise _is_there(target)


def _same(place: Path, kept: Path) -> bool:
    """One file under two names; or, where there is none yet, one name but for its case."""
    try:
        return place.samefile(kept)
    except OSError:
        return str(place).casefold() == os.path.realpath(kept).casefold()


def _is_there(target: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{target} is there already, and was not changed. Name another file, or replace it with "
        f"--overwrite (overwrite=True)"
    )


def _move(unfinished: Path, place: Path, overwrite: bool) -> None:
    if not overwrite:
        put_new(unfinished, place)
        return
    with suppress(OSError):
        shutil.copymode(place, unfinished)
    unfinished.replace(place)


def put_new(unfinished: Path, place: Path) -> None:
    """Give a finished file its name; FileExistsError where there is one of that name."""
    try:
        os.link(unfinished, place)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if place.exists():
            raise FileExistsError(place) from None
        unfinished.rename(place)
