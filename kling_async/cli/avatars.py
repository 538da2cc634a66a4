"""`kling-async avatars`: make, list, show and delete avatars, and make them talk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..models.avatars import EMOTIONS, SCENES
from ..models.videos import VIDEO_MODES
from .output import answer, email_option
from .session import Session, with_session


@click.group()
def avatars() -> None:
    """Make, list, show and delete avatars, and make them talk."""


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
def create(session: Session, **fields: Any) -> None:
    """Make an avatar from a portrait."""
    answer(session, lambda kling: kling.avatars.create(**fields))


@avatars.command("video")
@click.option("--avatar-id", metavar="ID", help="Or --image, or --image-url.")
@click.option("--image", type=click.Path(path_type=Path), help="PNG or JPEG, 300 px or more.")
@click.option("--image-url", metavar="URL")
@click.option("--text", help="What to say, at most 5000 characters. Or --audio, or --audio-url.")
@click.option("--speaker-id", metavar="ID", help="With --text; see `kling-async tts voices`.")
@click.option("--audio", type=click.Path(path_type=Path), help="WAV, MP3, M4A, FLAC, AAC or OGG.")
@click.option("--audio-url", metavar="URL")
@click.option("--speed", type=float, help="0.8 to 2.0, with --text.")
@click.option("--emotion", type=click.Choice(EMOTIONS), help="With --text.")
@click.option("--prompt", help="How to move, at most 2000 characters.")
@click.option("--mode", type=click.Choice(VIDEO_MODES), help="Server's default: std.")
@click.option(
    "--render-speech",
    is_flag=True,
    help="Speak a short text first (free) and send its audio, by which a lost job is found again.",
)
@click.option("--max-jobs", type=int, metavar="N", help="1 to 50 at once on this account.")
@click.option("--reply-url", metavar="URL", help="Is told of progress and end.")
@click.option("--reply-ref", metavar="TEXT", help="Default: one of its own for each call.")
@email_option
@with_session
def video(session: Session, **fields: Any) -> None:
    """Start a talking video, which costs credits; never sent twice. Prints its task."""
    answer(session, lambda kling: kling.avatars.video(**fields))


@avatars.command("list")
@click.option("--type", "kind", type=click.Choice(["personal", "templates"]))
@email_option
@with_session
def list_(session: Session, kind: Any, email: str | None) -> None:
    """List avatars, one JSON object a line."""
    answer(session, lambda kling: kling.avatars.list(kind, email=email))


@avatars.command("get")
@click.argument("avatar_id")
@email_option
@with_session
def get(session: Session, avatar_id: str, email: str | None) -> None:
    """Show one avatar."""
    answer(session, lambda kling: kling.avatars.get(avatar_id, email=email))


@avatars.command("delete")
@click.argument("avatar_id")
@email_option
@with_session
def delete(session: Session, avatar_id: str, email: str | None) -> None:
    """Delete a personal avatar."""
    answer(session, lambda kling: kling.avatars.delete(avatar_id, email=email))
