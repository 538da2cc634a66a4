"""`kling-async tts`: voices, and texts spoken with them."""

from __future__ import annotations

import sys

import click

from .output import answer, email_option, show
from .session import Session, with_session


@click.group()
def tts() -> None:
    """Text to speech."""


@tts.command("voices")
@email_option
@with_session
def voices(session: Session, email: str | None) -> None:
    """List the voices, one JSON object a line."""
    answer(session, lambda kling: kling.tts.voices(email=email), lambda found: show(list(found)))


@tts.command("create")
@click.argument("text")
@click.option("--speaker-id", metavar="SPEAKER_ID", required=True, help="See `tts voices`.")
@click.option("--speed", type=float, help="0.8 to 2.0.")
@click.option("--emotion", metavar="KEY", help="One that the voice has.")
@email_option
@with_session
def create(
    session: Session,
    text: str,
    speaker_id: str,
    speed: float | None,
    emotion: str | None,
    email: str | None,
) -> None:
    """Speak TEXT, or what comes on stdin where it is `-`; prints where the MP3 is. Free."""
    if text == "-":
        text = sys.stdin.read().strip()
    answer(
        session,
        lambda kling: kling.tts.create(
            text, speaker_id=speaker_id, speed=speed, emotion=emotion, email=email
        ),
    )
