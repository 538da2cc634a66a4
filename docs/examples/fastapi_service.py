"""A talking-video service with FastAPI: portrait in, video out.

    python -m pip install '.[fastapi]' uvicorn
    USEAPI_TOKEN=... python fastapi_service.py

    curl -F portrait=@ada.png -F text=Hello -F speaker_id=... \
         -H 'Idempotency-Key: order-4711' http://127.0.0.1:8000/jobs
    curl 'http://127.0.0.1:8000/jobs/ID?wait_s=30'
    curl -o ada.mp4 http://127.0.0.1:8000/jobs/ID/video

FOLDER keeps the jobs (default ./jobs), PORT is where it listens, PUBLIC_URL where Kling reaches it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from avatar_jobs import Job, Jobs, OtherJobError
from fastapi import Depends, FastAPI, Form, Header, HTTPException, Query, Request, UploadFile
from fastapi.responses import FileResponse

from kling_async import WebhookReceiver
from kling_async.integrations.fastapi import (
    install_error_handlers,
    kling_lifespan,
    media_of,
    webhook_router,
)
from kling_async.integrations.logs import hide_addresses

receiver = WebhookReceiver()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    hide_addresses()
    public = os.environ.get("PUBLIC_URL")
    async with (
        kling_lifespan()(app),
        Jobs(
            app.state.kling,
            Path(os.environ.get("FOLDER", "jobs")),
            reply_url=receiver.url(public) if public else None,
        ) as app.state.jobs,
    ):
        yield


app = FastAPI(lifespan=lifespan)
install_error_handlers(app)
app.include_router(webhook_router(receiver))


async def the_jobs(request: Request) -> Jobs:
    jobs: Jobs = request.app.state.jobs
    return jobs


async def the_job(job_id: str, jobs: Annotated[Jobs, Depends(the_jobs)]) -> Job:
    if (job := jobs.get(job_id)) is None:
        raise HTTPException(404, "there is no such job")
    return job


AllJobs = Annotated[Jobs, Depends(the_jobs)]
OneJob = Annotated[Job, Depends(the_job)]


@app.post("/jobs", status_code=202)
async def begin(
    portrait: UploadFile,
    text: Annotated[str, Form(min_length=1, max_length=5000)],
    speaker_id: Annotated[str, Form(min_length=1)],
    idempotency_key: Annotated[str, Header(min_length=1, max_length=255)],
    jobs: AllJobs,
) -> dict[str, Any]:
    try:
        job = await jobs.accept(idempotency_key, await media_of(portrait), text, speaker_id)
    except OtherJobError:
        raise HTTPException(409, "this Idempotency-Key belongs to another job") from None
    return job.shown()


@app.get("/jobs/{job_id}")
async def look(
    job: OneJob, jobs: AllJobs, wait_s: Annotated[float, Query(ge=0, le=30)] = 0
) -> dict[str, Any]:
    if wait_s:
        await jobs.settled(job, wait_s)
    return job.shown()


@app.get("/jobs/{job_id}/video")
async def fetch(job: OneJob, jobs: AllJobs) -> FileResponse:
    if job.state != "done":
        raise HTTPException(409, f"the job is {job.state}")
    return FileResponse(job.file or "", media_type="video/mp4")


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8000"))
    uvicorn.run(app, port=port, timeout_graceful_shutdown=10)
