"""What does a request cost? One table of what the vendor's pages say, with their dates. Pure.

All amounts are hundredths of a credit, as in `GET /accounts/{email}`: 2700 is 27 credits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import fields, frozen

from ..errors import JSON
from .fields import wire_names
from .requests import Request, Safety, file_fields

HUNDREDTHS = 100
"""The API's amounts are hundredths of a credit (vendor's article, 18 October 2026)."""


@frozen
class Price:
    """One line of a price list.

    Args:
        routes: the operations it is about, by their routes.
        when: what the request has to say, by the API's names; "" stands for a field left out.
        hundredths: of a credit, for one of `per`.
        per: what it is the price of: a whole task, a second of its video, or one of its pictures.
        source: whose word it is, and of when.
        about: the source says "about", "usually" or a range, of which this is the upper end.
    """

    routes: tuple[str, ...]
    when: Mapping[str, JSON]
    hundredths: int
    per: Literal["task", "second", "picture"]
    source: str
    about: bool = False


_VIDEOS = ("/videos/text2video", "/videos/image2video-frames")
_JANUARY, _FEBRUARY = "vendor's page, January 2026", "vendor's overview, 16 February 2026"
_OCTOBER, _NOVEMBER = "vendor's article, 18 October 2026", "vendor's article, 19 November 2026"
_TOOL, _ENHANCE = "vendor's tool text, October 2026", "vendor's page, 15 October 2026"

_BY_LENGTH = (
    # model, mode, with sound (None: says nothing of it), credits of 5 s, of 10 s
    ("kling-v2-6", "pro", True, 35, 70),
    ("kling-v2-6", "pro", False, 25, 50),
    ("kling-v2-6", "std", False, 15, 30),
    ("kling-v2-5", "pro", None, 25, 50),
    ("kling-v2-1-master", "pro", None, 100, 200),
    ("kling-v2-1", "pro", None, 35, 70),
    ("kling-v2-1", "std", None, 20, 40),
    ("kling-v1-6", "pro", None, 35, 70),
    ("kling-v1-6", "std", None, 20, 40),
)
PRICES: tuple[Price, ...] = (
    Price(_VIDEOS, {"model_name": "kling-v4-0", "mode": "std"}, 900, "second", _OCTOBER),
    *(
        Price(
            _VIDEOS,
            {
                "model_name": model,
                "mode": mode,
                "duration": seconds,
                **({} if sound is None else {"enable_audio": sound}),
            },
            credits * HUNDREDTHS,
            "task",
            _JANUARY if model == "kling-v2-6" else _FEBRUARY,
        )
        for model, mode, sound, of_5_s, of_10_s in _BY_LENGTH
        for seconds, credits in ((5, of_5_s), (10, of_10_s))
    ),
    # With a video among the inputs the length, and so the price, follows that video.
    Price(("/videos/omni",), {"omni_version": "v4-flash", "video_1": ""}, 600, "second", _TOOL),
    Price(
        ("/videos/omni",),
        {"omni_version": "v3", "mode": "std", "video_1": ""},
        900,
        "second",
        _TOOL,
        about=True,
    ),
    Price(("/videos/extend",), {}, 2000, "task", _TOOL, about=True),
    Price(("/images/enhance",), {"resolution": "2k"}, 100, "task", _ENHANCE),
    Price(("/images/enhance",), {"resolution": "4k"}, 200, "task", _ENHANCE),
    Price(("/images/omni",), {"omni_version": "v4", "resolution": "2k"}, 400, "picture", _NOVEMBER),
    Price(("/tts/create", "/images/recognize-faces"), {}, 0, "task", _FEBRUARY),
    Price(("/avatars", "/elements", "/videos/voices"), {}, 0, "task", _TOOL, about=True),
)

_LEFT_OUT: Mapping[str, Mapping[str, JSON]] = {
    "/videos/text2video": {"model_name": "kling-v1-6"},
    "/videos/image2video-frames": {"model_name": "kling-v2-1"},
    "/videos/omni": {"omni_version": "v3"},
    "/images/enhance": {"resolution": "2k"},
    "/images/omni": {"omni_version": "v3"},
}
"""What the server takes where a field is left out, as far as a price hangs on it."""
_PRO_ONLY = ("kling-v2-5", "kling-v2-1-master")


def credits(request: Request[Any]) -> int | None:
    """What `request` costs, in hundredths of a credit, as in the account's balance; None: unknown.

    A price that the vendor gives as a range is counted at its upper end. 0 is free, or usually so
    (avatars, elements, voices); what starts no task and changes nothing at Kling is free.

    Args:
        request: of any operation. It is not sent.

    Examples:
        >>> credits(ListVoices())
        0
    """
    if request.safety is not Safety.PAID:
        return 0
    said = _said(request)
    for price in PRICES:
        if request.route in price.routes and all(
            said.get(name, "") == value for name, value in price.when.items()
        ):
            number = {"task": 1, "second": _seconds(said), "picture": said.get("imageCount", 1)}
            each, copies = number[price.per], said.get("count", 1)
            if isinstance(each, int) and isinstance(copies, int):
                return price.hundredths * each * copies
    return None


def _said(request: Request[Any]) -> dict[str, JSON]:
    """The request's fields by the API's names, with what the server takes for those left out."""
    said: dict[str, Any] = dict(_LEFT_OUT.get(request.route, ()))
    for one in fields(type(request)):
        value = getattr(request, one.name)
        if value is None:
            continue
        if (numbers := one.metadata.get("numbers")) is not None:
            said.update(numbers.spread(value))
        elif names := wire_names(one):
            said[names[0]] = value
    given = {into for name, into in file_fields(type(request)) if getattr(request, name)}
    said.update({wire_names(one)[0]: "file" for one in fields(type(request)) if one.name in given})
    said.update(request.extra or {})
    model = said.get("model_name")
    said.setdefault("mode", "pro" if model in _PRO_ONLY else "std")
    said.setdefault("duration", 5)
    # Model 2.6 has no sound unless asked for; of the others the price does not hang on it.
    said.setdefault("enable_audio", False)
    if isinstance(said.get("resolution"), str):
        said["resolution"] = said["resolution"].lower()  # the pages write 2k and 2K
    return said


def _seconds(said: Mapping[str, JSON]) -> JSON:
    shots = [one for name, one in said.items() if name.startswith("shot_") and "duration" in name]
    return sum(one for one in shots if isinstance(one, int)) if shots else said["duration"]
