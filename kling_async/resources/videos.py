"""How are videos made and changed? `kling.videos`; `kling.tasks.wait` for the result."""

from __future__ import annotations

from typing import Final

from ..models.omni import OmniVideo
from ..models.video_edits import (
    AddSound,
    CreateMotion,
    EffectVideo,
    ExtendVideo,
    Lipsync,
    ListEffects,
    ListMotions,
    UploadMotion,
)
from ..models.video_voices import CreateVideoVoice, DeleteVideoVoice, ListVideoVoices
from ..models.videos import ElementsToVideo, FramesToVideo, Text2Video
from .base import Resource, operation


class Videos(Resource):
    """Videos, which cost credits; those of talking avatars are `kling.avatars.video`."""

    text2video: Final = operation(Text2Video)
    image2video_frames: Final = operation(FramesToVideo)
    image2video_elements: Final = operation(ElementsToVideo)
    image2video_effects: Final = operation(EffectVideo)
    effects: Final = operation(ListEffects)
    omni: Final = operation(OmniVideo)
    extend: Final = operation(ExtendVideo)
    lipsync: Final = operation(Lipsync)
    add_sound: Final = operation(AddSound)
    motion_create: Final = operation(CreateMotion)
    motion_upload: Final = operation(UploadMotion)
    motions: Final = operation(ListMotions)
    voices: Final = operation(ListVideoVoices)
    create_voice: Final = operation(CreateVideoVoice)
    delete_voice: Final = operation(DeleteVideoVoice)
