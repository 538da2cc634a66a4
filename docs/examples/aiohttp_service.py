"""A talking-video service with aiohttp: portrait in, video out.

    python -m pip install '.[aiohttp]'
    USEAPI_TOKEN=... python aiohttp_service.py

    curl -F portrait=@ada.png -F text=Hello -F speaker_id=... \
         -H 'Idempotency-Key: order-4711' http://127.0.0.1:8000/jobs
    curl 'http://127.0.0.1:8000/jobs/ID?wait_s=30'
    curl -o ada.mp4 http://127.0.0.1:8000/jobs/ID/video

FOLDER keeps the jobs (default ./jobs), PORT is where it listens, PUBLIC_URL where Kling reaches it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from avatar_jobs import Job, Jobs, OtherJobError

from kling_async import WebhookReceiver
from kling_async.integrations.aiohttp import (
    KLING,
    kling_context,
    kling_errors,
    media_of,
    webhook_route,
)
from kling_async.integrations.logs import hide_addresses

JOBS: web.AppKey[Jobs] = web.AppKey("JOBS", Jobs)
receiver = WebhookReceiver()
routes = web.RouteTableDef()


async def all_jobs(app: web.Application) -> AsyncIterator[None]:
    hide_addresses()
    public = os.environ.get("PUBLIC_URL")
    folder = Path(os.environ.get("FOLDER", "jobs"))
    reply_url = receiver.url(public) if public else None
    async with Jobs(app[KLING], folder, reply_url=reply_url) as app[JOBS]:
        yield


@routes.post("/jobs")
async def begin(request: web.Request) -> web.Response:
    key = request.headers.get("Idempotency-Key", "")
    form = await request.post()
    text, speaker_id = form.get("text"), form.get("speaker_id")
    if not (isinstance(text, str) and isinstance(speaker_id, str)) or not (text and speaker_id):
        raise web.HTTPUnprocessableEntity(text="needed: portrait, text and speaker_id")
    if not 0 < len(key) <= 255:
        raise web.HTTPUnprocessableEntity(
            text="needed: the header Idempotency-Key, of 255 characters at most"
        )
    portrait = await media_of(form.get("portrait"))
    try:
        job = await request.app[JOBS].accept(key, portrait, text, speaker_id)
    except OtherJobError:
        raise web.HTTPConflict(text="this Idempotency-Key belongs to another job") from None
    return web.json_response(job.shown(), status=202)


@routes.get("/jobs/{job_id}")
async def look(request: web.Request) -> web.Response:
    job, wait_s = job_of(request), request.query.get("wait_s", "0")
    if not wait_s.isdigit():
        raise web.HTTPUnprocessableEntity(text="wait_s must be whole seconds")
    await request.app[JOBS].settled(job, min(int(wait_s), 30))
    return web.json_response(job.shown())


@routes.get("/jobs/{job_id}/video")
async def fetch(request: web.Request) -> web.FileResponse:
    job = job_of(request)
    if job.state != "done":
        raise web.HTTPConflict(text=f"the job is {job.state}")
    return web.FileResponse(job.file or "", headers={"Content-Type": "video/mp4"})


def job_of(request: web.Request) -> Job:
    if (job := request.app[JOBS].get(request.match_info["job_id"])) is None:
        raise web.HTTPNotFound(text="there is no such job")
    return job


def make_app() -> web.Application:
    app = web.Application(middlewares=[kling_errors], client_max_size=11 * 1024 * 1024)
    app.cleanup_ctx.extend([kling_context(), all_jobs])
    app.router.add_routes([*routes, webhook_route(receiver)])
    return app


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8000"))
    web.run_app(make_app(), host="127.0.0.1", port=port, shutdown_timeout=10)
