"""How are videos made from texts? `kling.videos`; `kling.tasks.wait` for the result."""

from __future__ import annotations

from ..models.videos import Text2Video
from .base import Resource, operation


class Videos(Resource):
    """Videos, which cost credits; those of talking avatars are `kling.avatars.video`."""

    text2video = operation(Text2Video)
