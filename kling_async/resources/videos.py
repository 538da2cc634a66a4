"""How are videos made and changed? `kling.videos`; `kling.tasks.wait` for the result."""

from __future__ import annotations

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

    text2video = operation(Text2Video)
    image2video_frames = operation(FramesToVideo)
    image2video_elements = operation(ElementsToVideo)
    image2video_effects = operation(EffectVideo)
    effects = operation(ListEffects)
    omni = operation(OmniVideo)
    extend = operation(ExtendVideo)
    lipsync = operation(Lipsync)
    add_sound = operation(AddSound)
    motion_create = operation(CreateMotion)
    motion_upload = operation(UploadMotion)
    motions = operation(ListMotions)
    voices = operation(ListVideoVoices)
    create_voice = operation(CreateVideoVoice)
    delete_voice = operation(DeleteVideoVoice)
