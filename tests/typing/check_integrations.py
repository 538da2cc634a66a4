"""The integrations as their users write them: read by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from fastapi import FastAPI, UploadFile

from kling_async import RateLimit, WebhookReceiver
from kling_async.integrations.aiohttp import (
    KLING,
    kling_context,
    kling_errors,
    kling_of,
    webhook_route,
)
from kling_async.integrations.fastapi import (
    Kling,
    install_error_handlers,
    kling_lifespan,
    media_of,
    webhook_router,
)

receiver = WebhookReceiver(secret="0123456789abcdef")
app = FastAPI(lifespan=kling_lifespan("user:1-a", rate_limit=RateLimit(5), deadline_s=300))
app.include_router(webhook_router(receiver))
install_error_handlers(app)
kling_lifespan(no_such_option=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with kling_lifespan(accounts=["a@b.c"])(app):
        yield


@app.post("/avatars")
async def create(portrait: UploadFile, kling: Kling) -> str:
    return (await kling.avatars.create(image=await media_of(portrait))).id


async def handler(request: web.Request) -> web.Response:
    avatar_id: str = (await kling_of(request).avatars.list())[0].id
    url: str = receiver.url("https://my.host")
    return web.json_response([avatar_id, url, repr(request.app[KLING])])


site = web.Application(middlewares=[kling_errors])
site.cleanup_ctx.append(kling_context(accounts=["a@b.c"]))
site.router.add_routes([web.get("/", handler), webhook_route(receiver)])
