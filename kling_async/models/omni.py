"""How is a video asked for that texts, pictures, videos, elements and voices become together?

Source: `POST /videos/omni` (vendor pages and tool texts, December 2025 to October 2026).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import frozen

from .checks import Boolean, Integer, OneOf, Text, Url
from .elements import ELEMENT_ID, AnyElement
from .fields import body, file, files, numbered
from .media import Files, Media, MediaSource
from .requests import files_or_addresses, has
from .task_requests import TaskRequest
from .video_voices import VIDEO_VOICE, VideoVoice
from .videos import VIDEO_PROMPT_CHARS, Shot, Shots, TextVideoMode, shot_problems

OmniVersion = Literal["v3", "o1", "v4", "v4-flash"]
OmniRatio = Literal["16:9", "9:16", "1:1", "21:9", "auto"]
VideoUse = Literal["reference", "transform"]
# The longest video in seconds, and the modes.
_VERSIONS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "o1": (10, ("std", "pro")),
    "v3": (15, ("std", "pro", "4k")),
    "v4": (30, ("std", "pro")),
    "v4-flash": (20, ("std",)),
}
_NAMED = re.compile(r"@(image|element|object|video|voice)_(\d+)")
_OTHERWISE = {"object": "elements"}


@frozen(kw_only=True)
class OmniVideo(TaskRequest):
    """Make or change a video with what is given and named in its prompt: it costs credits.

    What is given decides what is done: a first frame begins the video; a video is a model for it,
    or with `video_mode="transform"` what is changed; all else is what the prompt says of it.

    Args:
        prompt: what is to be seen, at most 2500 characters (versions o1 and v3: 1700). It names
            what is given: @image_1, @element_1, @video_1, @voice_1. Required, unless there are
            `shots`.
        omni_version: v3 (server's default), o1, v4, v4-flash, or one that is newer than this
            library.
        duration_s: whole seconds from 3, server's default 5; to 10 with o1, 15 with v3, 30 with v4,
            20 with v4-flash. With a video, o1 and v3 follow its length.
        aspect_ratio: 16:9 (server's default), 9:16, 1:1, 21:9 (v4) or auto; with frames auto only.
        mode: std (server's default), pro, or 4k (v3); v4-flash has std only.
        enable_audio: with sound; server's default true. Not with `videos`; o1 has no sound, v4
            always has it.
        images: 1 to 10 pictures, @image_1, ... in the prompt, each a path, bytes, binary file or an
            http or https address. Files are PNG or JPEG, at most 10 MB, each side at least 300 px,
            and uploaded first. Versions o1 and v3 take 7, together with elements.
        elements: 1 to 7 elements, by their ids `u_...` or as `kling.elements` gives them, which are
            @element_1, ... in the prompt.
        frame_start: the first frame, a path, bytes or binary file; o1 and v3.
        frame_start_url: its address instead.
        frame_end: the last frame, only with a first one.
        frame_end_url: its address instead.
        videos: one video, @video_1 in the prompt; with v4 up to 5, of 30 s in all, 20 s with
            v4-flash. Each a path, bytes, binary file or address: of an upload its `resource_url`.
            Files are MP4 or MOV, at most 100 MB, and uploaded first.
        video_mode: reference (server's default) or transform; only with `videos`.
        keep_audio: keep the sound of the video; server's default false. Only with `videos`.
        voices: 1 to 3 of `kling.videos.voices()`, or their ids or names, @voice_1, ... in the
            prompt; v4 only. Those whose sample is shorter than 3 s are refused.
        count: how many videos, 1 (server's default) to 4, each of which costs; 2 or more need VIP.
        shots: 2 to 6 `Shot`s of 3 to 15 s together, instead of `prompt` and `duration_s`; v3 only.

    Source: `POST /videos/omni`.

    Examples:
        >>> task = await kling.videos.omni(prompt="@image_1 waves", images=["ada.jpg"])
    """

    operation = "videos.omni"

    prompt: str | None = body("prompt", Text(VIDEO_PROMPT_CHARS))
    omni_version: OmniVersion | str | None = body("omni_version", OneOf(OmniVersion, open=True))
    duration_s: int | None = body("duration", Integer(3, 30))
    aspect_ratio: OmniRatio | None = body("aspect_ratio", OneOf(OmniRatio))
    mode: TextVideoMode | None = body("mode", OneOf(TextVideoMode))
    enable_audio: bool | None = body("enable_audio", Boolean())
    images: Files | None = files("image_{n}", "image", most=10)
    elements: Sequence[AnyElement] | None = numbered("element_{n}", ELEMENT_ID, most=7)
    frame_start_url: str | None = body("frame_start", Url())
    frame_start: MediaSource | Media | None = file("frame_start_url", "image")
    frame_end_url: str | None = body("frame_end", Url())
    frame_end: MediaSource | Media | None = file("frame_end_url", "image")
    videos: Files | None = files("video_{n}", "video", most=5)
    video_mode: VideoUse | None = body("video_mode", OneOf(VideoUse))
    keep_audio: bool | None = body("keep_audio", Boolean())
    voices: Sequence[str | VideoVoice] | None = numbered("voice_{n}", VIDEO_VOICE, most=3)
    count: int | None = body("count", Integer(1, 4))
    shots: Shots | None = numbered("shot_{n}_{field}", Shot, least=2, most=6)

    def cross_problems(self) -> dict[str, str]:
        """What needs something else, or excludes it, on every page."""
        problems = {**files_or_addresses(self), **shot_problems(self)}
        has_video, version = self.videos is not None, self.omni_version or "v3"
        if self.shots is not None and version != "v3":
            problems["shots"] = f"are taken by omni_version v3 only, not {version}"
        if has(self, "frame_end") and not has(self, "frame_start"):
            problems["frame_end"] = "needs frame_start"
        if has(self, "frame_start") and self.aspect_ratio not in (None, "auto"):
            problems["aspect_ratio"] = "must be auto with frames: they say it"
        if has_video and self.enable_audio is not None:
            problems["enable_audio"] = "excludes videos; see keep_audio"
        for name in ("video_mode", "keep_audio"):
            if getattr(self, name) is not None and not has_video:
                problems[name] = "has a meaning only with videos"
        return problems

    def cautions(self) -> dict[str, str]:
        """What its version does not take, and what the prompt names that is not there."""
        version = self.omni_version or "v3"
        if version not in _VERSIONS:
            return {}
        is_old, prompt = version in ("o1", "v3"), self.prompt or ""
        videos, pictures = _count(self.videos), _count(self.images) + _count(self.elements)
        every = pictures + videos + _count(self.voices)
        named = (
            (found[0], _OTHERWISE.get(found[1], f"{found[1]}s"), int(found[2]))
            for found in _NAMED.finditer(prompt)
        )
        lost = [name for name, of, n in named if not 1 <= n <= _count(getattr(self, of))]
        longest_s, modes = _VERSIONS[version]
        framed, length_s = has(self, "frame_start"), self.duration_s or 0
        doubts: tuple[tuple[str, bool, str], ...] = (
            ("prompt", bool(lost), f"names {', '.join(lost)}, and there is none"),
            ("prompt", is_old and len(prompt) > 1700, f"of {version} has 1700 characters at most"),
            ("duration_s", length_s > longest_s, f"is {longest_s} at most with {version}"),
            ("mode", (self.mode or "std") not in modes, f"of {version} is {' or '.join(modes)}"),
            ("aspect_ratio", is_old and self.aspect_ratio == "21:9", f"is not taken by {version}"),
            ("enable_audio", version == "o1" and self.enable_audio is True, "means nothing to o1"),
            ("voices", version != "v4" and bool(self.voices), f"are for v4, not for {version}"),
            ("frame_start", framed and not is_old, "is for v3 and o1; see image2video_frames"),
            ("images", framed and bool(self.images), "are documented nowhere together with frames"),
            ("images", is_old and pictures > 7, f"and elements are 7 at most with {version}"),
            ("images", every > 15, "and all other references are 15 at most"),
            ("videos", is_old and videos > 1, f"are one at most with {version}"),
        )
        return {name: text for name, is_so, text in reversed(doubts) if is_so}


def _count(given: Sequence[Any] | None) -> int:
    return len(given or ())
