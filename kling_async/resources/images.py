"""How are pictures made and changed? `kling.images`; `kling.tasks.wait` for the results."""

from __future__ import annotations

from typing import Final

from ..models.images import (
    EnhanceImage,
    Kolors,
    KolorsElements,
    OmniImage,
    RecognizeFaces,
    UpscaleImage,
    VirtualTryOn,
)
from .base import Resource, operation


class Images(Resource):
    """Pictures, which cost credits; finding faces in one is free."""

    virtual_try_on: Final = operation(VirtualTryOn)
    kolors: Final = operation(Kolors)
    kolors_elements: Final = operation(KolorsElements)
    recognize_faces: Final = operation(RecognizeFaces)
    upscale: Final = operation(UpscaleImage)
    omni: Final = operation(OmniImage)
    enhance: Final = operation(EnhanceImage)
