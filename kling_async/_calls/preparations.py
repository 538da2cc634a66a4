"""What is made before a request goes out? Its files go up, speech is rendered, and are named in it.

Single calls and bulk both prepare their requests here, so that the same things are made for both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

from attrs import evolve, fields_dict

from ..models.requests import Preparation, Request, file_fields

R = TypeVar("R")


async def prepared(
    request: Request[R], account: str | None, send: Callable[[Request[Any]], Awaitable[Any]]
) -> tuple[Request[R], tuple[str, ...]]:
    """The request as it can go out, and the names of the fields that were filled for it alone.

    Args:
        request: with or without files and the like; without, it is given back as it is.
        account: the one that it goes to: what is made for it has to be there.
        send: sends what makes something.

    Raises:
        KlingError: something could not be made, so the request can't go out.
    """
    preparations = (*_uploads(request, account), *request.preparations(account))
    if not preparations:
        return request, ()
    defaults = fields_dict(type(request))
    changes: dict[str, Any] = {}
    for preparation in preparations:
        made = await send(preparation.request)
        changes.update({name: defaults[name].default for name in preparation.clears})
        changes[preparation.fills] = preparation.address(made)
    return evolve(request, **changes), tuple(one.fills for one in preparations)


def _uploads(request: Request[Any], account: str | None) -> Iterator[Preparation]:
    """The uploads of the request's files; these were looked into when it was built."""
    for name, into in file_fields(type(request)):
        if (media := getattr(request, name)) is not None:
            from ..models.assets import UploadAsset  # most programs need it never, or later

            upload = UploadAsset(file=media, email=account)
            yield Preparation(upload, into, (name,), lambda asset: asset.usable_url)
