"""What is made before a request goes out? Its files go up, speech is rendered, and are named in it.

Single calls and bulk both prepare their requests here, so that the same things are made for both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from attrs import evolve, fields_dict

from ..models.media import Media
from ..models.requests import FILE_FIELDS, Preparation, Request, file_fields, put

R = TypeVar("R")


async def prepared(
    request: Request[R], account: str | None, send: Callable[[Request[Any]], Awaitable[Any]]
) -> tuple[Request[R], tuple[str, ...]]:
    """The request as it can go out, and the names of the fields that were filled for it alone.

    A member of a list of files is named by its number: `images.2`.

    Args:
        request: with or without files and the like; without, it is given back as it is.
        account: the one that it goes to: what is made for it has to be there.
        send: sends what makes something.

    Raises:
        KlingError: something could not be made, so the request can't go out.
    """
    preparations: list[Preparation] = []
    cls = type(request)
    files = FILE_FIELDS.get(cls)
    for name, into in file_fields(cls) if files is None else files:
        media = getattr(request, name)
        if name == into and media is not None:
            preparations += [
                _upload(one, (), f"{name}.{number}", account)
                for number, one in enumerate(media, 1)
                if isinstance(one, Media)
            ]
        elif media is not None:
            preparations.append(_upload(media, (name,), into, account))
    if cls.preparations is not Request.preparations:
        preparations += request.preparations(account)
    if not preparations:
        return request, ()
    defaults = fields_dict(cls)
    changes: dict[str, Any] = {one: getattr(request, one) for one in _lists(preparations)}
    for preparation in preparations:
        made = await send(preparation.request)
        changes.update({name: defaults[name].default for name in preparation.clears})
        put(changes, preparation.fills, preparation.address(made))
    return evolve(request, **changes), tuple(one.fills for one in preparations)


def _lists(preparations: Iterable[Preparation]) -> set[str]:
    return {one.fills.partition(".")[0] for one in preparations if "." in one.fills}


def _upload(media: Media, clears: tuple[str, ...], into: str, account: str | None) -> Preparation:
    """The upload of a file; it was looked into when its request was built."""
    from ..models.assets import UploadAsset  # most programs need it never, or later

    upload = UploadAsset(file=media, email=account)
    return Preparation(upload, into, clears, lambda asset: asset.usable_url)
