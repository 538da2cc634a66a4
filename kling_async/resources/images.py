"""How are pictures made and changed? `kling.images`; `kling.tasks.wait` for the results."""

from __future__ import annotations

from ..models.faces import RecognizeFaces
from ..models.images import (
    EnhanceImage,
    Kolors,
    KolorsElements,
    OmniImage,
    UpscaleImage,
    VirtualTryOn,
)
from .base import Resource, operation


class Images(Resource):
    """Pictures, which cost credits; finding faces in one is free."""

    virtual_try_on = operation(VirtualTryOn)
    kolors = operation(Kolors)
    kolors_elements = operation(KolorsElements)
    recognize_faces = operation(RecognizeFaces)
    upscale = operation(UpscaleImage)
    omni = operation(OmniImage)
    enhance = operation(EnhanceImage)
