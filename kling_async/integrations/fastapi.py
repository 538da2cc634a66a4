"""How does Kling fit into FastAPI? One client per app, honest answers, callbacks, uploads.

The whole of it:

    app = FastAPI(lifespan=kling_lifespan(accounts=["ada@example.com"]))
    install_error_handlers(app)

    @app.post("/avatars")
    async def create(portrait: UploadFile, kling: Kling) -> dict[str, str]:
        avatar = await kling.avatars.create(image=await media_of(portrait))
        return {"id": avatar.id}
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response, UploadFile
from fastapi.requests import HTTPConnection

from ..client import AsyncKlingClient
from ..errors import ConfigurationError, InvalidRequestError, KlingError
from ..models.media import Media, MediaProblem, inspect
from ..webhooks import MOST_BYTES, WebhookReceiver
from .answers import answer_to, log_line, openapi_responses
from .options import takes_client_options

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
log: Final = logging.getLogger("kling_async")


@takes_client_options
def kling_lifespan(*args: Any, **options: Any) -> Lifespan:
    """A lifespan that opens one client for the app, and closes it at the end.

    It takes what `AsyncKlingClient` takes; the client is made when the app starts, so that is when
    the environment is read. Inside a lifespan of your own, nest it:

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            async with kling_lifespan(deadline_s=300)(app):
                yield

    The client is also at `app.state.kling`. A mounted app is an app of its own: nest one for it.

    Examples:
        >>> app = FastAPI(lifespan=kling_lifespan(deadline_s=300))
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncKlingClient(*args, **options) as kling:
            app.state.kling = kling
            try:
                yield
            finally:
                del app.state.kling

    return lifespan


async def get_kling(connection: HTTPConnection) -> AsyncKlingClient:
    """The app's client; `Kling` asks for it. Replace it in `app.dependency_overrides` for tests.

    Raises:
        ConfigurationError: the app runs without `kling_lifespan`.

    Examples:
        >>> app = FastAPI(lifespan=kling_lifespan())
        >>> app.dependency_overrides[get_kling] = lambda: kling
    """
    kling = getattr(connection.app.state, "kling", None)
    if not isinstance(kling, AsyncKlingClient):
        raise ConfigurationError(
            "this app holds no Kling client: give FastAPI(lifespan=kling_lifespan(...)), and in "
            "tests start the app's lifespan"
        )
    return kling


Kling = Annotated[AsyncKlingClient, Depends(get_kling)]
"""A parameter of this type is the app's client: `async def create(kling: Kling): ...`."""


KLING_RESPONSES = openapi_responses()
"""What routes may answer where a call fails: `@app.post("/avatars", responses=KLING_RESPONSES)`."""


def install_error_handlers(app: FastAPI) -> None:
    """From now on a `KlingError` that leaves a route becomes the answer of `answers.py`.

    5xx answers are logged, without e-mails and tokens; the caller gets neither.

    Examples:
        >>> app = FastAPI(lifespan=kling_lifespan())
        >>> install_error_handlers(app)
    """
    app.add_exception_handler(KlingError, _answered)


async def _answered(_: Request, error: Exception) -> Response:
    assert isinstance(error, KlingError)
    answer = answer_to(error)
    log.log(logging.ERROR if answer.status >= 500 else logging.INFO, "%s", log_line(error, answer))
    return Response(answer.content, answer.status, dict(answer.headers), answer.media_type)


async def media_of(
    upload: UploadFile, only: Literal["image", "audio", "video"] | None = "image"
) -> Media:
    """The uploaded file as the client's methods take it; read and looked into in a thread.

    Args:
        upload: a file of a form; it may be closed as soon as this returns.
        only: what else is refused; None: whatever the API takes.

    Raises:
        InvalidRequestError: the API would refuse the file; the handlers above answer 422.

    Examples:
        >>> ada = await kling.avatars.create(image=await media_of(upload))
    """
    try:
        return await asyncio.to_thread(inspect, upload.file, only=only)
    except MediaProblem as exc:
        said = upload.headers.get("content-disposition", "")
        found = re.search(r'(?:^|[;\s])name="([^"]*)"', said)
        name = found[1] if found and found[1] else "file"
        raise InvalidRequestError("the upload", {name: str(exc)}) from None


def webhook_router(receiver: WebhookReceiver) -> APIRouter:
    """Routes for the callbacks of useapi.net: `app.include_router(webhook_router(receiver))`.

    Where you include it with a prefix, that prefix belongs into `receiver.url(...)`, too.

    Args:
        receiver: one per program; its `url(...)` is what goes into `reply_url`.

    Examples:
        >>> app = FastAPI(lifespan=kling_lifespan())
        >>> app.include_router(webhook_router(WebhookReceiver()))
    """
    router = APIRouter()

    @router.post(receiver.prefix + "/{secret}", include_in_schema=False)
    async def kling_webhook(secret: str, request: Request, kling: Kling) -> Response:
        if not receiver.knows(secret):
            raise HTTPException(404)  # as if there were nothing here, and before anything is read
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                raise HTTPException(413)
        receiver.receive(body, kling.tasks)
        return Response(status_code=204)  # whatever came: coming again would not mend it

    return router
