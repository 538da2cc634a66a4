"""What do the vendor's pages say that a video model does not take? For warnings, not for refusals.

The vendor moved these rules four times in 2026, so the server has the last word. Source: the pages
of text2video (February and October 2026), image2video-frames (June 2026) and the article on Kling
4.0 (October 2026).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from attrs import frozen

from .requests import has


@frozen
class ModelFacts:
    """One model.

    Args:
        lengths_s: of its videos.
        modes: that it has.
        refuses: fields that it does not take.
    """

    lengths_s: Collection[int]
    modes: tuple[str, ...]
    refuses: tuple[str, ...] = ()


_OLD, _NOT_V3 = (5, 10), ("shots", "elements")
_PROMPTED = ("negative_prompt", "cfg_scale")
MODELS: Mapping[str, ModelFacts] = {
    "kling-v4-0": ModelFacts(range(3, 31), ("std", "pro"), ("negative_prompt", *_NOT_V3)),
    "kling-v3-0": ModelFacts(range(3, 16), ("std", "pro", "4k"), ("negative_prompt",)),
    "kling-v3-0-turbo": ModelFacts(
        range(3, 16), ("std", "pro"), ("negative_prompt", "enable_audio", "image_tail", *_NOT_V3)
    ),
    "kling-v2-6": ModelFacts(_OLD, ("std", "pro"), (*_PROMPTED, *_NOT_V3)),
    "kling-v2-5": ModelFacts(_OLD, ("pro",), (*_PROMPTED, *_NOT_V3)),
    "kling-v2-1-master": ModelFacts(_OLD, ("pro",), ("cfg_scale", "image_tail", *_NOT_V3)),
    "kling-v2-1": ModelFacts(_OLD, ("std", "pro"), ("cfg_scale", *_NOT_V3)),
    "kling-v1-6": ModelFacts(_OLD, ("std", "pro"), _NOT_V3),
    "kling-v1-5": ModelFacts(_OLD, ("std", "pro"), _NOT_V3),
}


def model_cautions(request: Any, default: str) -> dict[str, str]:
    """What the model of a request is said not to take; nothing of models that are newer than us.

    Args:
        request: with `model_name` and some of the fields of these pages.
        default: the model where it names none.
    """
    name = request.model_name or default
    facts = MODELS.get(name)
    if facts is None:
        return {}
    said = {one: f"is not taken by {name}" for one in facts.refuses if has(request, one)}
    length_s, mode = getattr(request, "duration_s", None), request.mode or "std"
    if length_s is not None and length_s not in facts.lengths_s:
        low, *_, high = facts.lengths_s
        between = "or" if len(facts.lengths_s) == 2 else "to"
        said["duration_s"] = f"is {length_s}; videos of {name} have {low} {between} {high} s"
    if mode not in facts.modes:
        told = "is std where it is left out" if request.mode is None else f"is {mode}"
        said["mode"] = f"{told}; {name} has {' and '.join(facts.modes)}"
    if name == "kling-v2-6" and request.enable_audio:
        if mode != "pro":
            said["enable_audio"] = f"needs mode pro with {name}"
        elif has(request, "image_tail"):
            said["enable_audio"] = f"excludes a last frame with {name}"
    needs_first = hasattr(request, "image_tail") and not name.startswith("kling-v1")
    if needs_first and not has(request, "image"):
        said["image"] = f"is needed by {name}: the first frame"
    return said
