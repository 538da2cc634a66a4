"""How does a result become a file here? The clean link first, then the work's own address.

`kling.assets.download` asks; `fetching.py` brings the bytes, `part_file.py` keeps them until they
are whole. Files come from file servers: neither the token nor the API's rate limits concern them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from attrs import evolve, field, frozen

from .. import settings
from .._calls.pipeline import Options, Pipeline
from .._transport.wire import Wire
from ..aio import in_thread, time_limit
from ..clock import Clock
from ..errors import (
    AccountRequiredError,
    CallContext,
    ConfigurationError,
    DeadlineExceededError,
    InvalidRequestError,
    KlingError,
    LocalFileError,
)
from ..models.assets import Asset, GetDownload, UploadedAsset
from ..models.tasks import Task, Work
from ..models.tts import Speech
from .expected import kind_of
from .fetching import Fetch, Fetched
from .names import safe_name, served_name, with_ending
from .part_file import PartFile

log = logging.getLogger("kling_async")

Downloadable: TypeAlias = Task | Work | Speech | Asset | UploadedAsset | int | str
"""A result, a work's id (number or digits), or the address of a file."""

# The link may fail for good, as it does for free accounts, with a status that looks passing; what
# status that is, is unknown. So it gets fewer tries than other reads where there is another way.
LINK_ATTEMPTS = 3

_FILE_TYPES = {"video": "MP4", "audio": "MP3", "image": "PNG"}


@frozen(kw_only=True)
class Download:
    """A file that is here, whole: `open(download)` works.

    `clean` says that it came over the watermark-free link; `reason` why it did not, where it was
    tried. `resumed`: the line broke, and an attempt went on where another had ended.
    """

    path: Path
    size_bytes: int
    content_type: str
    clean: bool
    resumed: bool = False
    reason: str | None = None

    def __fspath__(self) -> str:
        """The path, for `open` and its like."""
        return str(self.path)


@frozen
class Source:
    """Where a file can come from."""

    work_ids: tuple[int | str, ...] = ()
    """For the clean link; none: it is no work."""
    file_types: tuple[str, ...] = ()
    url: str | None = field(default=None, repr=False)
    """Its own address."""
    account: str | None = None
    wanted: frozenset[str] = frozenset()
    """Which kinds of file it may be; empty: any."""

    @property
    def gives_zip(self) -> bool:
        """Whether it is several files, which come as a zip."""
        return len(self.work_ids) > 1 or len(self.file_types) > 1

    @property
    def name(self) -> str | None:
        """What to call it where nobody says: the id of the work, which is nobody else's."""
        return str(self.work_ids[0]) if len(self.work_ids) == 1 else None


@frozen
class Target:
    """Where a file shall be."""

    directory: Path
    name: str | None
    """None: any name in it."""
    overwrite: bool = True


class Downloads:
    """Brings files. One per client and its views; so many at once, the rest wait in turn.

    Args:
        pipeline: asks for links.
        wire: reads files.
        clock: sleeps and tells the time.
    """

    def __init__(self, pipeline: Pipeline, wire: Wire, clock: Clock) -> None:
        self._pipeline = pipeline
        self._wire = wire
        self._clock = clock
        self._places = asyncio.Semaphore(settings.DOWNLOADS_AT_ONCE)

    async def bring(
        self,
        what: Downloadable | Sequence[Downloadable],
        to: str | os.PathLike[str],
        options: Options,
        *,
        file_type: str | Sequence[str] | None,
        clean: bool | None,
        overwrite: bool,
        email: str | None,
    ) -> Download:
        """See `Assets.download`."""
        source = source_of(what, file_type, email)
        self._check(source, clean)
        with _told_of(to):
            target = await in_thread(target_of, to, overwrite=overwrite, zipped=source.gives_zip)
        began_s = self._clock.monotonic()

        def expired() -> KlingError:
            spent_s = self._clock.monotonic() - began_s
            return DeadlineExceededError(
                f"the deadline of {options.deadline_s:g} s ran out; nothing of the file was kept",
                task=what if isinstance(what, Task) else None,
                context=CallContext("GET", GetDownload.route, source.account, 0, spent_s),
            )

        async with time_limit(options.deadline_s, expired):
            reason: str | None = None
            if source.work_ids and clean is not False:
                try:
                    return await self._clean(source, target, options, required=bool(clean))
                except (
                    AccountRequiredError, ConfigurationError, InvalidRequestError
                ):  # fmt: skip
                    raise
                except KlingError as exc:
                    if clean or source.url is None:
                        raise
                    reason = f"{type(exc).__name__}: {exc.text}"
                    log.info("no clean file (%s), taking the other", type(exc).__name__)
            assert source.url is not None  # _check
            return await self._brought(
                source, source.url, target, options, clean=False, reason=reason
            )

    def _check(self, source: Source, clean: bool | None) -> None:
        if source.url is not None and (problem := self._wire.unfetchable(source.url)) is not None:
            raise InvalidRequestError("Download", {"what": f"its address can't be used: {problem}"})
        if not source.work_ids and clean:
            raise InvalidRequestError("Download", {"clean": "only works have a clean form"})
        if source.url is None and clean is False:
            raise InvalidRequestError(
                "Download", {"clean": "an id has no address of its own: give the Task or Work"}
            )

    async def _clean(
        self, source: Source, target: Target, options: Options, *, required: bool
    ) -> Download:
        request = GetDownload(
            work_ids=source.work_ids, file_types=source.file_types or None, email=source.account
        )
        patience = options.retry
        if source.url is not None and not required:
            patience = evolve(patience, attempts=min(patience.attempts, LINK_ATTEMPTS))
        link = await self._pipeline.send(request, evolve(options, retry=patience, deadline_s=None))
        return await self._brought(source, link.cdn_url, target, options, clean=True, reason=None)

    async def _brought(
        self,
        source: Source,
        url: str,
        target: Target,
        options: Options,
        *,
        clean: bool,
        reason: str | None,
    ) -> Download:
        fetch = Fetch(self._wire, self._clock, options.retry, options.timeout, source.wanted)
        where = target.directory / (target.name or "")
        async with self._places:
            part = PartFile(target.directory, target.name or source.name or "download")
            with _told_of(where):
                try:
                    await in_thread(part.create)
                    fetched = await fetch.into(part, url, source.account)
                    kind = kind_of(await in_thread(part.head), fetched.content_type)
                    size_bytes = part.size_bytes
                    path, replace = _named(target, source, fetched, kind)
                    path = await in_thread(part.place, path, replace=replace)
                finally:
                    await in_thread(part.discard)
        return Download(
            path=path,
            size_bytes=size_bytes,
            content_type=kind,
            clean=clean,
            resumed=fetched.resumed,
            reason=reason,
        )


@contextmanager
def _told_of(path: str | os.PathLike[str]) -> Iterator[None]:
    """What the disk refuses, as a `KlingError` that names the file."""
    try:
        yield
    except OSError as exc:
        if isinstance(exc, KlingError):  # a deadline is a TimeoutError, and so an OSError
            raise
        why = exc.strerror or str(exc)
        raise LocalFileError(
            f"{os.fspath(path)!r} can't be written: {why}. Nothing of the file was kept; "
            "mend that, or name another place, and download it again",
            errno=exc.errno,
        ) from exc


def source_of(
    what: Downloadable | Sequence[Downloadable],
    file_type: str | Sequence[str] | None,
    email: str | None,
) -> Source:
    """Where `what` can come from; InvalidRequestError where it can't."""
    types = (file_type,) if isinstance(file_type, str) else tuple(file_type or ())
    if isinstance(what, Sequence) and not isinstance(what, (str, bytes)):
        each = [_source(one, types, email) for one in what]
        if not each or not all(one.work_ids for one in each):
            raise InvalidRequestError("Download", {"what": "several must be tasks, works or ids"})
        if len(each) > 1:
            accounts = {one.account for one in each}
            if len(accounts) > 1:
                raise InvalidRequestError("Download", {"what": "they are of several accounts"})
            ids = tuple(one.work_ids[0] for one in each)
            return Source(ids, types, None, accounts.pop())
        return each[0]
    return _source(what, types, email)


def _source(what: object, types: tuple[str, ...], email: str | None) -> Source:
    if isinstance(what, Task):
        if not what.works or not what.succeeded:
            state = what.status_name or what.status or "unknown"
            raise InvalidRequestError(
                "Download",
                {"what": f"task {what.id} has no result (state: {state}); kling.tasks.wait(task)"},
            )
        work = next((one for one in what.works if not one.failed), what.works[0])
        account = email or _account(what) or _account(work)
        return _source(work, types, account)
    if isinstance(what, Work):
        default = _FILE_TYPES.get(what.content_type or "", "MP4")
        url = what.url if len(types) < 2 else None  # it has one of them only
        asked = frozenset() if types else frozenset(_FILE_TYPES.keys() & {what.content_type or ""})
        account = email or _account(what)
        return Source((what.work_id,), types or (default,), url, account, asked)
    if isinstance(what, str) and what.lower().startswith(("https://", "http://")):
        return Source((), (), what, email)
    if isinstance(what, (int, str)) and not isinstance(what, bool):
        return Source((what,), types or ("MP4",), None, email)
    if isinstance(what, (Asset, UploadedAsset, Speech)):
        url = what.usable_url if isinstance(what, Asset) else what.url
        if url:
            return Source((), (), url, email or _account(what))
    raise InvalidRequestError("Download", {"what": f"{type(what).__name__} has no file"})


def target_of(to: str | os.PathLike[str], *, overwrite: bool, zipped: bool = False) -> Target:
    """What `to` means on this disk; blocking. InvalidRequestError where nothing can be there."""
    text = os.fspath(to)
    # A link is followed, as `open` would: replacing it would leave what it points to as it was.
    try:
        path = Path(os.path.realpath(text or "\0"))
    except ValueError:  # nothing, a NUL, or half a character
        raise InvalidRequestError("Download", {"to": "must be a path"}) from None
    if path.is_dir():
        return Target(path, None, overwrite)
    if text.endswith(("/", os.sep)) or not path.parent.is_dir():
        missing = path if text.endswith(("/", os.sep)) else path.parent
        raise InvalidRequestError("Download", {"to": f"there is no directory {missing}"})
    if zipped:
        path = path.with_name(with_ending(path.name, "application/zip"))
    if path.exists():
        if not stat.S_ISREG(path.stat().st_mode):
            raise InvalidRequestError("Download", {"to": f"{path} is no plain file"})
        if not overwrite:
            raise InvalidRequestError("Download", {"to": f"{path} exists (overwrite=False)"})
    return Target(path.parent, path.name, overwrite)


def _named(target: Target, source: Source, fetched: Fetched, kind: str) -> tuple[Path, bool]:
    """Its path, and whether a file that is there goes."""
    if target.name is not None:
        name = with_ending(target.name, kind) if kind == "application/zip" else target.name
        if name == target.name:
            return target.directory / name, target.overwrite
        log.warning("a zip came where one file was expected; it is kept as %s", name)
        return target.directory / name, False  # nobody agreed to lose a file of that name
    if source.name is not None:
        return target.directory / with_ending(source.name, kind), target.overwrite
    served = served_name(fetched.disposition, fetched.url) or "download"
    return target.directory / (safe_name(with_ending(served, kind)) or served), False


def _account(result: Task | Work | Speech | Asset | UploadedAsset) -> str | None:
    return result.meta.account
