"""What does each operation on videos send, with all its fields? One table, asked by several tests.

Copied by hand from the reference: how users call it, verb and target, body, a documented answer.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen

from kling_async import Request, Shot
from kling_async.models.operations import operations

ME, MAIL = "ada+1@example.com", "email=ada%2B1%40example.com"
A, B, C, D = (f"https://example.com/{name}.png?size=1" for name in "abcd")
FILM, SOUND = "https://example.com/a.mp4", "https://example.com/a.mp3"
TRIO = {"max_jobs": 5, "reply_url": "https://me.example/x", "reply_ref": "r"}
SENT_TRIO = {"maxJobs": 5, "replyUrl": "https://me.example/x", "replyRef": "r"}
SUBMITTED = {
    "task": {"id": 77, "status": 5, "status_name": "submitted", "status_final": False},
    "works": [], "status": 5, "status_name": "submitted", "status_final": False,
    "message": "success",
}  # fmt: skip
BARE = {**SUBMITTED, "task": {"id": 77, "status": 5, "type": "kwave_video2audio"}}
VOICE = {
    "id": "English_captivating_female1", "name": "Emma", "source": "TTS_OFFICIAL",
    "audioUrl": SOUND, "coverUrl": A,
    "emotions": [{"name": "Neutral", "key": "neutral", "enable": True}],
}  # fmt: skip
SAVED = {"id": "301234567890", "name": "Mine", "source": "USER", "audioUrl": SOUND}
EFFECT = {
    "name": "rocketrocket_pro", "caption": "Rocket", "hot": True, "minimalKrnVersion": 0,
    "supportedModelMode": ["std", "pro"], "compositedSchema": {"process": {}},
    "videoUrl": FILM, "coverUrl": A, "webVideoUrl": FILM,
    "effectSupported": True, "promptSupported": True,
}  # fmt: skip
MOTION = {
    "assetId": "motion_1", "assetType": "MOTION", "url": FILM, "coverUrl": A, "duration": 5760,
    "width": 720, "height": 1280, "hasAudio": True, "createTime": 1_795_842_032_944,
}  # fmt: skip


@frozen
class VideoCall:
    """One operation: its fields as users write them, and what has to go out and may come back."""

    operation: str
    given: dict[str, Any]
    sends: str
    body: dict[str, Any] | None
    answer: Any = SUBMITTED

    @property
    def name(self) -> str:
        """The method's."""
        return self.operation.partition(".")[2]

    def call(self, kling: Any) -> Any:
        """As users write it."""
        return getattr(kling.videos, self.name)(**self.given, email=ME)

    def request(self) -> Request[Any]:
        """The request of these fields."""
        return operations()[self.operation](**self.given)


def _job(name: str, given: dict[str, Any], body: dict[str, Any], answer: Any = SUBMITTED) -> Any:
    path = f"POST /videos/{name.replace('_', '-')}"
    sent = {**body, **SENT_TRIO, "email": ME}
    return VideoCall(f"videos.{name}", {**given, **TRIO}, path, sent, answer)


SHOTS = [Shot(prompt="Up", duration_s=3), {"prompt": "Down", "duration_s": 4}]
SENT_SHOTS = {"shot_1_prompt": "Up", "shot_1_duration": 3, "shot_2_prompt": "Down",
              "shot_2_duration": 4}  # fmt: skip
CALLS: tuple[VideoCall, ...] = (
    _job("image2video_frames",
         {"image_url": A, "image_tail_url": B, "elements": ["u_1", "u_2", "u_3"], "prompt": "p",
          "negative_prompt": "n", "model_name": "kling-v3-0", "duration_s": 15, "mode": "4k",
          "cfg_scale": 0.5, "enable_audio": False},
         {"image": A, "image_tail": B, "element_1": "u_1", "element_2": "u_2", "element_3": "u_3",
          "prompt": "p", "negative_prompt": "n", "model_name": "kling-v3-0", "duration": 15,
          "mode": "4k", "cfg_scale": 0.5, "enable_audio": False}),
    _job("image2video_elements",
         {"prompt": "p", "images": [A, B, C, D], "elements": ["u_1"], "negative_prompt": "n",
          "aspect_ratio": "9:16", "duration_s": 10, "mode": "pro", "model_name": "kling-v1-6",
          "enable_audio": True},
         {"prompt": "p", "image_0": A, "image_1": B, "image_2": C, "image_3": D,
          "element_1": "u_1", "negative_prompt": "n", "aspect_ratio": "9:16", "duration": 10,
          "mode": "pro", "model_name": "kling-v1-6", "enable_audio": True}),
    _job("image2video_effects",
         {"effect": "rocketrocket_pro", "image_url": A, "mode": "pro", "prompt": "p"},
         {"effect": "rocketrocket_pro", "image": A, "mode": "pro", "prompt": "p"}),
    _job("omni",
         {"prompt": "@image_1 @video_1 @voice_1", "omni_version": "v4", "duration_s": 30,
          "aspect_ratio": "21:9", "mode": "pro", "images": [A, B], "elements": ["u_1"],
          "videos": [FILM], "video_mode": "transform", "keep_audio": True,
          "voices": ["301234567890", "Emma"], "count": 2},
         {"prompt": "@image_1 @video_1 @voice_1", "omni_version": "v4", "duration": 30,
          "aspect_ratio": "21:9", "mode": "pro", "image_1": A, "image_2": B, "element_1": "u_1",
          "video_1": FILM, "video_mode": "transform", "keep_audio": True,
          "voice_1": "301234567890", "voice_2": "Emma", "count": 2}),
    _job("extend",
         {"task_id": "298267182970", "prompt": "p", "negative_prompt": "n", "cfg_scale": 1,
          "enable_audio": True},
         {"task_id": 298267182970, "prompt": "p", "negative_prompt": "n", "cfg_scale": 1,
          "enable_audio": True}),
    _job("lipsync", {"video_url": FILM, "audio_url": SOUND}, {"video": FILM, "audio": SOUND}),
    _job("add_sound", {"video_url": FILM, "keep_original_sound": True},
         {"video": FILM, "cropVideoOriginalSound": True}, BARE),
    _job("motion_create",
         {"image_url": A, "motion_url": FILM, "model_name": "kling-v3-0", "prompt": "p",
          "keep_audio": True, "motion_direction": "image_direction", "mode": "std",
          "elements": ["u_1"]},
         {"imageUrl": A, "motionUrl": FILM, "model_name": "kling-v3-0", "prompt": "p",
          "keepAudio": True, "motionDirection": "image_direction", "mode": "std",
          "element_1": "u_1"}),
    _job("motion_upload", {"resource_url": FILM, "cover_url": A},
         {"resourceUrl": FILM, "coverUrl": A}),
    VideoCall("videos.effects", {}, f"GET /videos/effects?{MAIL}", None, [EFFECT]),
    VideoCall("videos.motions", {"mine": True}, f"GET /videos/motions?mine=true&{MAIL}", None,
              [MOTION]),
    VideoCall("videos.voices", {}, f"GET /videos/voices?{MAIL}", None, {"voices": [SAVED, VOICE]}),
    VideoCall("videos.create_voice", {"audio_url": SOUND, "name": "Mine"}, "POST /videos/voices",
              {"audioUrl": SOUND, "name": "Mine", "email": ME}, {"email": ME, **SAVED}),
    VideoCall("videos.delete_voice", {"voice_id": "301234567890"},
              f"DELETE /videos/voices?voiceId=301234567890&{MAIL}", None, {"deleted": True}),
)  # fmt: skip
"""Each operation of `kling.videos` but text2video, with all fields that go together."""
FURTHER: tuple[VideoCall, ...] = (
    _job("image2video_frames", {"image_url": A, "shots": SHOTS}, {"image": A, **SENT_SHOTS}),
    _job("omni",
         {"frame_start_url": A, "frame_end_url": B, "aspect_ratio": "auto", "enable_audio": False,
          "shots": SHOTS},
         {"frame_start": A, "frame_end": B, "aspect_ratio": "auto", "enable_audio": False,
          **SENT_SHOTS}),
)  # fmt: skip
"""What excludes some of the above."""
SPARE = {
    "videos.image2video_frames": {"image", "image_tail", "shots"},
    "videos.image2video_effects": {"image"},
    "videos.omni": {
        *("frame_start", "frame_end", "frame_start_url", "frame_end_url"),
        *("enable_audio", "shots"),
    },
    "videos.lipsync": {"video", "audio"},
    "videos.add_sound": {"video"},
    "videos.motion_create": {"image", "motion"},
    "videos.create_voice": {"audio"},
}
"""Fields that `CALLS` leaves out."""
