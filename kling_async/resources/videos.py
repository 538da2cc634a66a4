"""How are videos made and changed? `kling.videos`; `kling.tasks.wait` for the result."""

from __future__ import annotations

from typing import Final

from ..models import video_edits as edits
from ..models.omni import OmniVideo
from ..models.video_voices import CreateVideoVoice, DeleteVideoVoice, ListVideoVoices
from ..models.videos import ElementsToVideo, FramesToVideo, Text2Video
from .base import Resource, operation


class Videos(Resource):
    """Videos, which cost credits; those of talking avatars are `kling.avatars.video`."""

    text2video: Final = operation(Text2Video)
    image2video_frames: Final = operation(FramesToVideo)
    image2video_elements: Final = operation(ElementsToVideo)
    image2video_effects: Final = operation(edits.EffectVideo)
    effects: Final = operation(edits.ListEffects)
    omni: Final = operation(OmniVideo)
    extend: Final = operation(edits.ExtendVideo)
    lipsync: Final = operation(edits.Lipsync)
    add_sound: Final = operation(edits.AddSound)
    motion_create: Final = operation(edits.CreateMotion)
    motion_upload: Final = operation(edits.UploadMotion)
    motions: Final = operation(edits.ListMotions)
    voices: Final = operation(ListVideoVoices)
    create_voice: Final = operation(CreateVideoVoice)
    delete_voice: Final = operation(DeleteVideoVoice)
