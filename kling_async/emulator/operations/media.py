"""`GET /media/...`: the files behind every URL the emulator hands out, no token needed.

Uploaded bytes come back as they were sent. Where the vendor has files of its own (template
pictures, voice samples, video covers), small valid stand-ins are made on the spot.
"""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from ..envelopes import bad_request, error, not_found
from ..images import png
from ..messages import Reply
from ..operation import Context, Operation
from ..records import CDN_ORIGIN, IN_PROCESS_ORIGIN, cdn_host
from ..sounds import mp3, wav
from ..tasks import Work
from ..voices import Template, Voice, template_of, voice_of
from ..world import Speech, Upload, World
from .works import CONTENT_TYPES, FILE_TYPES, file_of

_PICTURES = tuple(
    f"/media/{place}/" for place in ("templates", "portraits", "covers", "works/covers")
)
_ARTICLES = {"image": "an image", "audio": "an audio file"}


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
    return f"{cdn_host(origin)}/media/portraits/{name}"


def template_url(template: Template, origin: str) -> str:
    """Where a template's picture can be fetched."""
    return f"{origin}/media/templates/{template.id}.png"


def voice_sample_url(voice: Voice, origin: str) -> str:
    """Where a voice can be listened to (half a second of silence)."""
    return f"{origin}/media/voices/{quote(voice.speaker_id)}.wav"


def speech_url(name: str, origin: str) -> str:
    """Where the result of a text to speech can be fetched."""
    return f"{cdn_host(origin)}/media/speech/{name}"


def speech_behind(url: str, world: World) -> Speech | None:
    """The text to speech a URL points to, None for any other URL."""
    path = urlsplit(url).path
    name = path.rpartition("/")[2]
    return world.speeches.get(name) if path == f"/media/speech/{name}" else None


def upload_behind(url: str, context: Context, field: str, kind: str) -> Upload | None:
    """The upload the URL in a field points to, None for a URL of somebody else's.

    Raises:
        Refusal: 400 when it is of another kind or another account's, or when the URL is on this
            emulator and nothing is there. That uploads belong to one account is documented, and
            that the vendor must be able to fetch the file; its answers when not are unknown.
    """
    parts = urlsplit(url)
    name = parts.path.rpartition("/")[2]
    source = context.world.uploads.get(name) if parts.path == f"/media/{name}" else None
    if source is not None:
        if source.kind != kind:
            raise bad_request(f"{field} must point to {_ARTICLES[kind]}")
        if source.account != context.account:
            raise bad_request(f"{field} was uploaded with another account")
        return source
    ours = {context.request.origin, IN_PROCESS_ORIGIN, CDN_ORIGIN}
    if f"{parts.scheme}://{parts.netloc}" not in ours:
        return None
    if kind == "image" and parts.path.startswith(_PICTURES):
        return None
    raise bad_request(f"{field} can't be fetched: there is no such file")


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
    return Reply(200, wav(context.path["name"], 500), (("Content-Type", "audio/wav"),))


def get_work(context: Context) -> Reply:
    """A finished work, with its watermark."""
    work = _finished(context.path["name"].rpartition(".")[0], context)
    file_type = FILE_TYPES[work.kind][0]
    content = file_of(work, file_type, context.result_bytes, clean=False)
    return Reply(200, content, (("Content-Type", CONTENT_TYPES[file_type]),))


def get_work_cover(context: Context) -> Reply:
    """The cover picture of a finished work."""
    _finished(context.path["name"].removesuffix(".png"), context)
    return _picture((40, 40, 48))


def get_speech(context: Context) -> Reply:
    """The result of a text to speech: silence of the right length."""
    speech = context.world.speeches.get(context.path["name"])
    if speech is None:
        raise not_found("There is no such file")
    return Reply(200, mp3(speech.name, speech.duration_ms), (("Content-Type", "audio/mpeg"),))


def _finished(number: str, context: Context) -> Work:
    work = context.world.works.get(int(number)) if number.isascii() and number.isdigit() else None
    task = None if work is None else context.world.tasks[work.task_id]
    if work is None or task is None or task.deleted or work not in task.works:
        raise not_found("There is no such file")
    return work


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
    Operation("media.work", "GET", "/media/works/{name}", get_work, open_to_all=True),
    Operation(
        "media.work_cover", "GET", "/media/works/covers/{name}", get_work_cover, open_to_all=True
    ),
    Operation("media.speech", "GET", "/media/speech/{name}", get_speech, open_to_all=True),
    Operation("media.voice", "GET", "/media/voices/{name}", get_voice_sample, open_to_all=True),
)
