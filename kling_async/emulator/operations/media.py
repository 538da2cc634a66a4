"""What is behind every URL the emulator hands out? `GET /media/...`, no token needed.

Uploaded bytes come back as they were sent. Where the vendor has files of its own (template
pictures, voice samples, video covers), small valid stand-ins are made on the spot.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote, urlsplit

from ..envelopes import bad_request, error, not_found
from ..images import png
from ..messages import Reply
from ..mp4 import video
from ..operation import Context, Operation
from ..ranges import changed, file_reply, in_part, without_ranges
from ..records import CDN_ORIGIN, IN_PROCESS_ORIGIN, cdn_host
from ..sounds import mp3, wav
from ..tasks import Work
from ..voices import Template, Voice, template_of, voice_of
from ..world import Speech, Upload, World
from .works import CONTENT_TYPES, FILE_TYPES, file_of, finished_work, picture_behind, zip_of

_PICTURES = tuple(
    f"/media/{place}/" for place in ("templates", "portraits", "covers", "works/covers")
)
_ARTICLES = {"image": "an image", "audio": "an audio file", "video": "a video"}


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
    place = parts.path.removesuffix(name)
    source = context.world.uploads.get(name) if place in ("/media/", "/media/processed/") else None
    if source is not None:
        if source.kind != kind:
            raise bad_request(f"{field} must point to {_ARTICLES[kind]}")
        if source.account != context.account:
            raise bad_request(f"{field} was uploaded with another account")
        if kind == "video" and place == "/media/":  # the wrong one, documented; the answer is not
            raise bad_request(f"{field} must be the resourceUrl of the upload, not its url")
        return source
    ours = {context.request.origin, IN_PROCESS_ORIGIN, CDN_ORIGIN}
    if f"{parts.scheme}://{parts.netloc}" not in ours:
        return None
    if kind == "image" and parts.path.startswith(_PICTURES):
        return None
    if kind == "audio" and place in ("/media/speech/", "/media/voices/"):
        return None
    if place == "/media/samples/" or ((work := work_behind(url, context)) and work.kind == kind):
        return None
    raise bad_request(f"{field} can't be fetched: there is no such file")


def work_behind(url: str, context: Context) -> Work | None:
    """The finished work a URL points to, None for any other URL."""
    place, _, name = urlsplit(url).path.rpartition("/")
    if place == "/media/downloads":
        members = context.world.downloads.get(name, ())
        return members[0][0] if len(members) == 1 else None
    number = name.partition("-")[0].partition(".")[0]
    return finished_work(number, context) if place == "/media/works" else None


def sample_url(name: str, origin: str) -> str:
    """Where an example of Kling's can be fetched, of an effect, a motion or a voice."""
    return f"{cdn_host(origin)}/media/samples/{name}"


def get_sample(context: Context) -> Reply:
    """A small picture, sound or video, whatever its name."""
    name = context.path["name"]
    if name.endswith(".png"):
        return _picture((40, 40, 48))
    if name.endswith(".mp3"):
        return file_reply(mp3(name, 5000), "audio/mpeg")
    return file_reply(video(name, 720, 1280, 5000), "video/mp4")


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
    return file_reply(wav(context.path["name"], 500), "audio/wav")


def get_work(context: Context) -> Reply:
    """A finished work, with its watermark."""
    work = _work(context.path["name"].partition("-")[0], context)
    return _work_file(work, FILE_TYPES[work.kind][0], context, clean=False)


def get_work_cover(context: Context) -> Reply:
    """The cover picture of a finished work: the picture it was made from, or a plain one."""
    work = _work(context.path["name"].removesuffix(".png"), context)
    source = picture_behind(work, context.world)
    return _picture((40, 40, 48)) if source is None else _stored(source, context.world)


def get_download(context: Context) -> Reply:
    """A clean file, or a zip of several; while the works are there."""
    name = context.path["name"]
    members = context.world.downloads.get(name)
    if members is None:
        raise not_found("There is no such file")
    for work, _ in members:
        _work(str(work.id), context)
    if not name.endswith(".zip"):
        ((work, file_type),) = members
        return _work_file(work, file_type, context, clean=True)
    seen = tuple((work, one, _seen(work, context)[0]) for work, one in members)
    return file_reply(zip_of(seen, context.result_bytes), CONTENT_TYPES["ZIP"])


def get_speech(context: Context) -> Reply:
    """The result of a text to speech: silence of the right length."""
    speech = context.world.speeches.get(context.path["name"])
    if speech is None:
        raise not_found("There is no such file")
    content = mp3(speech.name, speech.duration_ms)
    return file_reply(content, "audio/mpeg", modified_ms=speech.create_time_ms)


def _work(number: str, context: Context) -> Work:
    work = finished_work(number, context)
    if work is None:
        raise not_found("There is no such file")
    return work


def _work_file(work: Work, file_type: str, context: Context, *, clean: bool) -> Reply:
    task = context.world.tasks[work.task_id]
    picture, shown = _seen(work, context)
    return file_reply(
        file_of(work, file_type, context.result_bytes, picture, clean=clean),
        CONTENT_TYPES[file_type],
        tag=f"{work.id}-{'clean' if clean else 'marked'}-{file_type}{shown}",
        modified_ms=task.create_time_ms + int(task.job_s * 1000),
    )


def _seen(work: Work, context: Context) -> tuple[bytes | None, str]:
    """The picture that a work shows, and what tells it from others; grey when it was dropped."""
    source = picture_behind(work, context.world) if work.kind == "video" else None
    content = None if source is None else context.world.blob(source.sha256)
    return content, "" if source is None or content is None else f"-{source.sha256[:8]}"


def _stored(upload: Upload | None, world: World) -> Reply:
    if upload is None:
        raise not_found("There is no such file")
    content = world.blob(upload.sha256)
    if content is None:
        return error("The file was dropped; see keep_media_bytes", 410)
    return file_reply(
        content, upload.content_type, tag=upload.sha256[:32], modified_ms=upload.create_time_ms
    )


def _picture(rgb: tuple[int, int, int]) -> Reply:
    return file_reply(png(512, 512, rgb), "image/png")


def _file(name: str, place: str, whole: Callable[[Context], Reply]) -> Operation:
    """The operation that serves the files of one place, in part where a part is asked for."""

    def work(context: Context) -> Reply:
        reply = whole(context)
        if context.struck_by("changed_file"):
            reply = changed(reply, context.clock.now_ms())
        if context.struck_by("no_range"):
            return without_ranges(reply)
        return in_part(reply, context.request)

    return Operation(f"media.{name}", "GET", f"/media/{place}{{name}}", work, open_to_all=True)


OPERATIONS = (
    _file("get", "", get_upload),
    _file("processed", "processed/", get_upload),
    _file("portrait", "portraits/", get_portrait),
    _file("cover", "covers/", get_cover),
    _file("template", "templates/", get_template_picture),
    _file("work", "works/", get_work),
    _file("work_cover", "works/covers/", get_work_cover),
    _file("download", "downloads/", get_download),
    _file("speech", "speech/", get_speech),
    _file("voice", "voices/", get_voice_sample),
    _file("sample", "samples/", get_sample),
)
