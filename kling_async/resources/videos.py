"""How are videos made and changed? `kling.videos`; `kling.tasks.wait` for the result."""

from __future__ import annotations

from ..models import video_edits as edits
from ..models.omni import OmniVideo
from ..models.video_voices import CreateVideoVoice, DeleteVideoVoice, ListVideoVoices
from ..models.videos import ElementsToVideo, FramesToVideo, Text2Video
from .base import Resource, operation


class Videos(Resource):
    """Videos, which cost credits; those of talking avatars are `kling.avatars.video`."""

    text2video = operation(Text2Video)
    image2video_frames = operation(FramesToVideo)
    image2video_elements = operation(ElementsToVideo)
    image2video_effects = operation(edits.EffectVideo)
    effects = operation(edits.ListEffects)
    omni = operation(OmniVideo)
    extend = operation(edits.ExtendVideo)
    lipsync = operation(edits.Lipsync)
    add_sound = operation(edits.AddSound)
    motion_create = operation(edits.CreateMotion)
    motion_upload = operation(edits.UploadMotion)
    motions = operation(edits.ListMotions)
    voices = operation(ListVideoVoices)
    create_voice = operation(CreateVideoVoice)
    delete_voice = operation(DeleteVideoVoice)
