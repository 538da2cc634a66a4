"""What does each video model take? Lengths, modes, ratios, and the fields it refuses.

The vendor moved these rules four times in 2026, and pages contradict each other: a model refuses
here only what every page that speaks of it refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from ..envelopes import bad_request, malformed, missing

RATIOS: Mapping[str, tuple[int, int]] = {
    "16:9": (16, 9),
    "9:16": (9, 16),
    "1:1": (1, 1),
    "21:9": (21, 9),
}
SHORT_SIDE_PX: Mapping[str, int] = {"std": 720, "pro": 1080, "4k": 2160}
MOST_SHOTS, LEAST_SHOTS = 6, 2
SHOTS_S = (3, 15)
DEFAULT_S = 5


@frozen
class VideoModel:
    """One model.

    Args:
        version: what task records call it.
        lengths_s: of its videos.
        credits: of a second, by mode; its modes are the keys. Not all prices are documented.
        ratios: of its pictures.
        refuses: fields it does not take.
        with_audio: credits of a second with `enable_audio`, which needs mode pro then; 0: sound is
            no matter of the price.
        shots: whether it takes several shots.
    """

    version: str
    lengths_s: Sequence[int]
    credits: Mapping[str, float]
    ratios: tuple[str, ...] = ("16:9", "9:16", "1:1")
    refuses: tuple[str, ...] = ()
    with_audio: float = 0
    shots: bool = False

    def mode(self, given: Mapping[str, object]) -> str:
        """Left out with a model that is pro only: what the server does is unknown, here pro."""
        return str(given.get("mode", next(iter(self.credits))))

    def credits_of(self, given: Mapping[str, object]) -> float:
        """Of a second of what was asked for."""
        has_sound = self.with_audio and given.get("enable_audio")
        return self.with_audio if has_sound else self.credits[self.mode(given)]


_CLASSIC: Mapping[str, float] = {"std": 4, "pro": 7}
_SHORT = (5, 10)

MODELS: Mapping[str, VideoModel] = {
    "kling-v4-0": VideoModel(
        "4.0", range(3, 31), {"std": 9, "pro": 18}, tuple(RATIOS), ("negative_prompt",)
    ),
    "kling-v3-0": VideoModel(
        "3.0",
        range(3, 16),
        {"std": 9, "pro": 12, "4k": 24},
        refuses=("negative_prompt",),
        shots=True,
    ),
    "kling-v3-0-turbo": VideoModel(
        "3.0-turbo", range(3, 16), {"std": 6, "pro": 9}, refuses=("negative_prompt", "enable_audio")
    ),
    "kling-v2-6": VideoModel(
        "2.6", _SHORT, {"std": 3, "pro": 5}, refuses=("negative_prompt", "cfg_scale"), with_audio=7
    ),
    "kling-v2-5": VideoModel("2.5", _SHORT, {"pro": 5}, refuses=("negative_prompt", "cfg_scale")),
    "kling-v2-1-master": VideoModel("2.1-master", _SHORT, {"pro": 20}, refuses=("cfg_scale",)),
    "kling-v1-6": VideoModel("1.6", _SHORT, _CLASSIC),
    "kling-v1-5": VideoModel("1.5", _SHORT, _CLASSIC),
}

FRAME_MODELS: Mapping[str, VideoModel] = {
    **MODELS,
    "kling-v2-1": VideoModel("2.1", _SHORT, _CLASSIC, refuses=("cfg_scale",)),
}
_WITH_AUTO = ("16:9", "9:16", "1:1", "auto")
OMNI_VERSIONS: Mapping[str, VideoModel] = {
    "v3": VideoModel("v3", range(3, 16), {"std": 9, "pro": 12, "4k": 24}, _WITH_AUTO, shots=True),
    "o1": VideoModel("o1", range(3, 11), {"std": 6, "pro": 9}, _WITH_AUTO),
    "v4": VideoModel("v4", range(3, 31), {"std": 9, "pro": 18}, (*_WITH_AUTO, "21:9")),
    "v4-flash": VideoModel("v4-flash", range(3, 21), {"std": 6}, (*_WITH_AUTO, "21:9")),
}


def check_model(model: VideoModel, given: Mapping[str, object]) -> None:
    """400 for what a model does not take; `given` has the fields of the create alone."""
    for name in model.refuses:
        if name in given:
            raise bad_request(f"Parameter {name} is not supported by this model")
    allowed = {"duration": model.lengths_s, "mode": model.credits, "aspect_ratio": model.ratios}
    for name, values in allowed.items():
        if name in given and given[name] not in values:
            raise malformed(name, given[name])
    if model.with_audio and given.get("enable_audio") and given.get("mode") != "pro":
        raise bad_request("Parameter enable_audio needs mode pro with this model")


def check_shots(
    model: VideoModel, given: Mapping[str, object], *, needs_prompt: bool = True
) -> int:
    """400 where the prompt or the shots are not in order; seconds of the shots, 0 for none."""
    numbers = [n for n in range(1, MOST_SHOTS + 1) if _shot_names(n) & given.keys()]
    if not numbers:
        if needs_prompt and "prompt" not in given:
            raise missing("prompt")
        return 0
    for name in ("prompt", "duration"):
        if name in given:
            raise bad_request(f"Parameter {name} excludes shot_1_prompt")
    if not model.shots:
        raise bad_request("Parameter shot_1_prompt is not supported by this model")
    for n in range(1, max(numbers[-1], LEAST_SHOTS) + 1):
        for name in (f"shot_{n}_prompt", f"shot_{n}_duration"):
            if name not in given:
                raise missing(name)
    total_s = sum(int(str(given[f"shot_{n}_duration"])) for n in numbers)
    if not SHOTS_S[0] <= total_s <= SHOTS_S[1]:
        raise bad_request(f"The shots take {total_s} s, not {SHOTS_S[0]} to {SHOTS_S[1]}")
    return total_s


def size_px(mode: str, ratio: str) -> tuple[int, int]:
    """Width and height of a video; both even."""
    across, down = RATIOS[ratio]
    short = SHORT_SIDE_PX[mode]
    unit = short / min(across, down)
    return round(across * unit / 2) * 2, round(down * unit / 2) * 2


def _shot_names(number: int) -> set[str]:
    return {f"shot_{number}_prompt", f"shot_{number}_duration"}
