"""How are pictures made and changed? `kling.images`; `kling.tasks.wait` for the results."""

from __future__ import annotations

from ..models import images
from .base import Resource, operation


class Images(Resource):
    """Pictures, which cost credits; finding faces in one is free."""

    virtual_try_on = operation(images.VirtualTryOn)
    kolors = operation(images.Kolors)
    kolors_elements = operation(images.KolorsElements)
    recognize_faces = operation(images.RecognizeFaces)
    upscale = operation(images.UpscaleImage)
    omni = operation(images.OmniImage)
    enhance = operation(images.EnhanceImage)
