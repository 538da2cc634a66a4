"""How are pictures made and changed? `kling.images`; `kling.tasks.wait` for the results."""

from __future__ import annotations

from typing import Final

from ..models import images
from .base import Resource, operation


class Images(Resource):
    """Pictures, which cost credits; finding faces in one is free."""

    virtual_try_on: Final = operation(images.VirtualTryOn)
    kolors: Final = operation(images.Kolors)
    kolors_elements: Final = operation(images.KolorsElements)
    recognize_faces: Final = operation(images.RecognizeFaces)
    upscale: Final = operation(images.UpscaleImage)
    omni: Final = operation(images.OmniImage)
    enhance: Final = operation(images.EnhanceImage)
