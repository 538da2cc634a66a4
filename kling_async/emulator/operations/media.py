"""`GET /media/...`: the files behind every URL the emulator hands out, no token needed.

Uploaded bytes come back as they were sent. Where the vendor has files of its own (template
pictures, voice samples, video covers), small valid stand-ins are made on the spot.
"""

from __future__ import annotations

import io
import wave
from urllib.parse import quote, urlsplit

from ..envelopes import bad_request, error, not_found
from ..images import png
from ..messages import Reply
from ..operation import Context, Operation
from ..voices import Template, Voice, template_of, voice_of
from ..world import Upload, World

IN_PROCESS_ORIGIN = "http://emulator.local"
_CDN_ORIGIN = "http://cdn.emulator.local"


def upload_url(name: str, origin: str) -> str:
    """Where an upload can be fetched."""
    return f"{origin}/media/{name}"


def processed_url(name: str, origin: str) -> str:
    """Where the processed form of an uploaded video can be fetched."""
    return f"{origin}/media/processed/{name}"


def cover_url(name: str, origin: str) -> str:
    """Where the cover picture of an uploaded video can be fetched."""
    return f"{origin}/media/covers/{name}.png"


def portrait_url(name: str, origin: str) -> str:
    """Where a re-hosted avatar picture can be fetched: another path, in-process another host."""
    host = _CDN_ORIGIN if origin == IN_PROCESS_ORIGIN else origin
    return f"{host}/media/portraits/{name}"


def template_url(template: Template, origin: str) -> str:
    """Where a template's picture can be fetched."""
    return f"{origin}/media/templates/{template.id}.png"


def voice_sample_url(voice: Voice, origin: str) -> str:
    """Where a voice can be listened to (half a second of silence)."""
    return f"{origin}/media/voices/{quote(voice.speaker_id)}.wav"


def upload_behind(url: str, world: World, origin: str) -> Upload | None:
    """The upload a URL points to, None for a URL of somebody else's.

    Raises:
        Refusal: 400 when the URL is on this emulator and nothing is there. The vendor must be able
            to fetch the picture; what it answers when it can't is unknown.
    """
    parts = urlsplit(url)
    name = parts.path.rpartition("/")[2]
    if parts.path == f"/media/{name}" and name in world.uploads:
        return world.uploads[name]
    ours = {origin, IN_PROCESS_ORIGIN, _CDN_ORIGIN}
    if f"{parts.scheme}://{parts.netloc}" not in ours:
        return None
    if parts.path.startswith(("/media/templates/", "/media/portraits/", "/media/covers/")):
        return None
    raise bad_request("imageUrl can't be fetched: there is no such file")


def get_upload(context: Context) -> Reply:
    """An uploaded file; 410 when it was dropped to save memory."""
    return _stored(context.world.uploads.get(context.path["name"]), context.world)


def get_portrait(context: Context) -> Reply:
    """The picture of an avatar in a listing with re-hosted images."""
    source = context.world.portraits.get(context.path["name"])
    if source is None:
        raise not_found("There is no such file")
    upload = context.world.uploads.get(source)
    if upload is None:
        return _picture((128, 128, 128))
    return _stored(upload, context.world)


def get_cover(context: Context) -> Reply:
    """The cover of an uploaded video: a plain picture."""
    if context.path["name"].removesuffix(".png") not in context.world.uploads:
        raise not_found("There is no such file")
    return _picture((40, 40, 48))


def get_template_picture(context: Context) -> Reply:
    """The picture of a template: one colour, 512 pixels square."""
    template = template_of(context.path["name"].removesuffix(".png"))
    if template is None:
        raise not_found("There is no such file")
    return _picture(template.rgb)


def get_voice_sample(context: Context) -> Reply:
    """The sample of a voice: half a second of silence as WAV."""
    if voice_of(context.path["name"].removesuffix(".wav")) is None:
        raise not_found("There is no such file")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(b"\0\0" * 4000)
    return Reply(200, buffer.getvalue(), (("Content-Type", "audio/wav"),))


def _stored(upload: Upload | None, world: World) -> Reply:
    if upload is None:
        raise not_found("There is no such file")
    content = world.blob(upload.sha256)
    if content is None:
        return error("The file was dropped; see keep_media_bytes", 410)
    return Reply(200, content, (("Content-Type", upload.content_type),))


def _picture(rgb: tuple[int, int, int]) -> Reply:
    return Reply(200, png(512, 512, rgb), (("Content-Type", "image/png"),))


OPERATIONS = (
    Operation("media.get", "GET", "/media/{name}", get_upload, open_to_all=True),
    Operation("media.processed", "GET", "/media/processed/{name}", get_upload, open_to_all=True),
    Operation("media.portrait", "GET", "/media/portraits/{name}", get_portrait, open_to_all=True),
    Operation("media.cover", "GET", "/media/covers/{name}", get_cover, open_to_all=True),
    Operation(
        "media.template", "GET", "/media/templates/{name}", get_template_picture, open_to_all=True
    ),
    Operation("media.voice", "GET", "/media/voices/{name}", get_voice_sample, open_to_all=True),
)
