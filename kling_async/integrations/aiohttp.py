"""How does Kling fit into aiohttp's server? One client per app, honest answers, callbacks.

The whole of it:

    app = web.Application(middlewares=[kling_errors])
    app.cleanup_ctx.append(kling_context(accounts=["ada@example.com"]))

    async def create(request: web.Request) -> web.Response:
        form = await request.post()
        avatar = await kling_of(request).avatars.create(image=await media_of(form["portrait"]))
        return web.json_response({"id": avatar.id})
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, BinaryIO, Final, Literal, cast

from aiohttp import web
from aiohttp.typedefs import Handler

from ..client import AsyncKlingClient
from ..errors import ConfigurationError, InvalidRequestError, KlingError
from ..models.media import Media, MediaProblem, inspect
from ..webhooks import MOST_BYTES, WebhookReceiver
from .answers import answer_to, log_line
from .options import takes_client_options

CleanupContext = Callable[[web.Application], AsyncIterator[None]]
log: Final = logging.getLogger("kling_async")

KLING: web.AppKey[AsyncKlingClient] = web.AppKey("KLING", AsyncKlingClient)
"""Where the client is: `request.app[KLING]`, or `request.config_dict[KLING]` in a nested app."""


@takes_client_options
def kling_context(*args: Any, **options: Any) -> CleanupContext:
    """A cleanup context that opens one client for the app, and closes it at the end.

    It takes what `AsyncKlingClient` takes; the client is made when the app starts, so that is when
    the environment is read. Contexts end in reverse order: put yours that use the client after it.

    Examples:
        >>> app = web.Application()
        >>> app.cleanup_ctx.append(kling_context(deadline_s=300))
    """

    async def context(app: web.Application) -> AsyncIterator[None]:
        async with AsyncKlingClient(*args, **options) as kling:
            app[KLING] = kling
            yield

    return context


def kling_of(request: web.Request) -> AsyncKlingClient:
    """The client of the app that serves this request, or of one it is nested in.

    Raises:
        ConfigurationError: the app runs without `kling_context`.

    Examples:
        >>> async def avatars(request: web.Request) -> web.Response:
        ...     listed = await kling_of(request).avatars.list()
        ...     return web.json_response([one.id for one in listed])
    """
    kling = request.config_dict.get(KLING)
    if kling is None:
        raise ConfigurationError(
            "this app holds no Kling client: app.cleanup_ctx.append(kling_context(...))"
        )
    return kling


@web.middleware
async def kling_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A `KlingError` that leaves a handler becomes the answer of `answers.py`.

    5xx answers are logged, without e-mails and tokens; the caller gets neither. Where an answer has
    begun, the error passes: aiohttp then cuts the connection, so that nobody takes it for whole.

    Examples:
        >>> app = web.Application(middlewares=[kling_errors])
    """
    try:
        return await handler(request)
    except KlingError as error:
        if request.writer.output_size > 0:
            raise
        answer = answer_to(error)
        level = logging.ERROR if answer.status >= 500 else logging.INFO
        log.log(level, "%s", log_line(error, answer))
        return web.Response(
            body=answer.content,
            status=answer.status,
            headers=dict(answer.headers),
            content_type=answer.media_type,
            charset="utf-8",
        )


async def media_of(
    part: object,
    only: Literal["image", "audio", "video"] | None = "image",
    *,
    name: str = "file",
) -> Media:
    """The uploaded file as the client's methods take it; read and looked into in a thread.

    Args:
        part: a member of `await request.post()`; what is no file is refused.
        only: what else is refused; None: whatever the API takes.
        name: of the form's field, for the answer where it holds no file; a file knows its own.

    Raises:
        InvalidRequestError: the API would refuse the file; the middleware above answers 422.

    Examples:
        >>> ada = await kling.avatars.create(image=await media_of(part))
    """
    if not isinstance(part, web.FileField):
        raise InvalidRequestError("the upload", {name: "must be a file of a multipart form"})
    try:
        return await asyncio.to_thread(inspect, cast(BinaryIO, part.file), only=only)
    except MediaProblem as exc:
        raise InvalidRequestError("the upload", {part.name or name: str(exc)}) from None


def webhook_route(receiver: WebhookReceiver) -> web.RouteDef:
    """For the callbacks of useapi.net: `app.router.add_routes([webhook_route(receiver)])`.

    Args:
        receiver: one per program; its `url(...)` is what goes into `reply_url`. Where the app is
            nested under a prefix, that prefix belongs into `url(...)`, too.

    Examples:
        >>> app = web.Application()
        >>> app.router.add_routes([webhook_route(WebhookReceiver())])
        [...]
    """

    async def kling_webhook(request: web.Request) -> web.Response:
        if not receiver.knows(request.match_info["secret"]):
            raise web.HTTPNotFound  # as if there were nothing here, and before anything is read
        body = b""
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > MOST_BYTES:
                raise web.HTTPRequestEntityTooLarge(MOST_BYTES, len(body))
        receiver.receive(body, kling_of(request).tasks)
        return web.Response(status=204)  # whatever came: coming again would not mend it

    return web.post(receiver.prefix + "/{secret}", kling_webhook)
