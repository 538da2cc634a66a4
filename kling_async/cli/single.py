"""The commands that make one call: avatars, assets, tts, accounts. They print JSON to stdout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ..models.avatars import EMOTIONS, SCENES
from ..models.responses import Model
from .session import Session, run, with_session

email_option = click.option("--email", metavar="EMAIL", help="The Kling account of this call.")


def show(result: Any) -> None:
    """Print a result as the API gave it; lists one object a line."""
    if isinstance(result, list):
        for one in result:
            click.echo(json.dumps(one.raw, ensure_ascii=False))
    elif isinstance(result, Model):
        click.echo(json.dumps(result.raw, ensure_ascii=False, indent=2))


@click.group()
def avatars() -> None:
    """Make, list, show and delete avatars."""


@avatars.command("create")
@click.option("--image", type=click.Path(path_type=Path), help="PNG or JPEG, 300 px or more.")
@click.option("--image-url", metavar="URL")
@click.option("--nickname", help="At most 30 characters; default: filled by AI.")
@click.option("--prompt", help="At most 2000 characters; default: filled by AI.")
@click.option("--scene", type=click.Choice(SCENES))
@click.option("--tts-speaker", metavar="SPEAKER_ID", help="See `kling-async tts voices`.")
@click.option("--tts-speed", type=float, help="0.8 to 2.0.")
@click.option("--tts-emotion", type=click.Choice(EMOTIONS))
@email_option
@with_session
def create_avatar(session: Session, **fields: Any) -> None:
    """Make an avatar from a portrait."""

    async def work() -> None:
        async with session.client() as kling:
            show(await kling.avatars.create(**fields))

    run(work())


@avatars.command("list")
@click.option("--type", "kind", type=click.Choice(["personal", "templates"]))
@email_option
@with_session
def list_avatars(session: Session, kind: Any, email: str | None) -> None:
    """List avatars, one JSON object a line."""

    async def work() -> None:
        async with session.client() as kling:
            show(await kling.avatars.list(kind, email=email))

    run(work())


@avatars.command("get")
@click.argument("avatar_id")
@email_option
@with_session
def get_avatar(session: Session, avatar_id: str, email: str | None) -> None:
    """Show one avatar."""

    async def work() -> None:
        async with session.client() as kling:
            show(await kling.avatars.get(avatar_id, email=email))

    run(work())


@avatars.command("delete")
@click.argument("avatar_id")
@email_option
@with_session
def delete_avatar(session: Session, avatar_id: str, email: str | None) -> None:
    """Delete a personal avatar."""

    async def work() -> None:
        async with session.client() as kling:
            show(await kling.avatars.delete(avatar_id, email=email))

    run(work())


@click.group()
def assets() -> None:
    """Upload files."""


@assets.command("upload")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--content-type", metavar="TYPE", help="Default: found from the file.")
@email_option
@with_session
def upload_asset(session: Session, file: Path, content_type: str | None, email: str | None) -> None:
    """Upload an image, video or audio file."""

    async def work() -> None:
        async with session.client() as kling:
            show(await kling.assets.upload(file, content_type, email=email))

    run(work())


@click.group()
def tts() -> None:
    """Text to speech."""


@tts.command("voices")
@email_option
@with_session
def list_voices(session: Session, email: str | None) -> None:
    """List the voices, one JSON object a line."""

    async def work() -> None:
        async with session.client() as kling:
            show(list(await kling.tts.voices(email=email)))

    run(work())


@click.group()
def accounts() -> None:
    """The Kling accounts that useapi.net has configured."""


@accounts.command("list")
@with_session
def list_accounts(session: Session) -> None:
    """List the accounts, one JSON object a line; sessions are left out."""

    async def work() -> None:
        async with session.client() as kling:
            for one in await kling.accounts.list():
                click.echo(json.dumps({"email": one.email, "maxJobs": one.max_jobs}))

    run(work())


@accounts.command("sync")
@with_session
def sync_accounts(session: Session) -> None:
    """Print the configured accounts as a value for KLING_ACCOUNTS."""

    async def work() -> None:
        async with session.client() as kling:
            click.echo(",".join(one.email for one in await kling.accounts.sync()))

    run(work())
