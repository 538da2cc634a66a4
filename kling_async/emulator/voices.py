"""Which voices and avatar templates does the emulator know? Data, and how to look it up.

All of it is invented in the vendor's form: ids of voices look like `moss_audio_<uuid>`, template
ids have 8 digits or fewer. Emotions vary on purpose: none at all, some disabled, all enabled.
"""

from __future__ import annotations

from attrs import frozen

EMOTIONS = ("neutral", "happy", "angry", "sad", "fearful", "disgusted", "surprised")
SCENES = (
    "all",
    "social_media",
    "entertainment",
    "advertising_marketing",
    "business",
    "education",
    "virtual_idol",
)


@frozen
class Voice:
    """One voice: emotions it lists, and which of those are switched on.

    A voice always speaks neutral, even when it lists no emotions: that is the default of a create,
    which would otherwise refuse every such voice.
    """

    speaker_id: str
    name: str
    is_new: bool
    enabled: tuple[str, ...]
    disabled: tuple[str, ...] = ()

    def speaks(self, emotion: str) -> bool:
        """Whether a create may ask for this emotion."""
        return emotion == "neutral" or emotion in self.enabled


@frozen
class Template:
    """A system avatar, the same for every account."""

    id: str
    name: str
    prompt: str
    rgb: tuple[int, int, int]


VOICES = (
    Voice("moss_audio_5b6f2c1e-7d3a-11f0-9c45-3e8a1d7b6f20", "Clara", True, EMOTIONS),
    Voice("moss_audio_91c4d8aa-7d3a-11f0-8b12-a2f45c90e713", "Edmund", False, EMOTIONS),
    Voice(
        "moss_audio_c7e03f54-7d3b-11f0-b6d9-0c71e8a4952d",
        "Mei",
        False,
        ("neutral", "happy", "sad"),
        ("angry", "fearful"),
    ),
    Voice(
        "moss_audio_1f8a6be2-7d3b-11f0-a37c-d45b20c9e861",
        "Tobias",
        False,
        ("neutral", "angry", "surprised"),
        ("happy", "sad", "disgusted"),
    ),
    Voice("moss_audio_6d29e7b0-7d3c-11f0-9e58-71fa03bc4d96", "Noor", True, ()),
    Voice("moss_audio_a84b5d13-7d3c-11f0-8f60-5be9d2c7081a", "Sam", False, ()),
    Voice(
        "moss_audio_e2f71c68-7d3d-11f0-b0a4-98d6314fea57",
        "Old Ferry",
        False,
        ("neutral",),
        ("happy", "angry", "sad", "fearful", "disgusted", "surprised"),
    ),
)

TEMPLATES = (
    Template("10482201", "Newsreader", "Calm and upright, speaks to the camera", (52, 84, 140)),
    Template("10482375", "Fitness coach", "Lively, nods and gestures while talking", (190, 92, 40)),
    Template("20817", "Storyteller", "Sits by a window and tells a tale, smiling", (96, 120, 72)),
    Template(
        "7730916", "Shop assistant", "Friendly, presents a product at the till", (150, 60, 110)
    ),
)

ELEMENT_TAGS = {
    "meme": "o_101", "character": "o_102", "animal": "o_103", "prop": "o_104",
    "costume": "o_105", "scene": "o_106", "effect": "o_107", "other": "o_108",
}  # fmt: skip
"""What elements can be: the keys and ids of the tags."""
ELEMENT_VOICES = {
    "Original Sound A": 829877809978941442,
    "Calm Narrator": 829836801245810750,
}
"""What characters can sound like: the names and ids of the voices."""

_BY_SPEAKER = {voice.speaker_id: voice for voice in VOICES}
_BY_TEMPLATE = {template.id: template for template in TEMPLATES}


def voice_of(speaker_id: str) -> Voice | None:
    """The voice with that `speakerId`, or None."""
    return _BY_SPEAKER.get(speaker_id)


def template_of(avatar_id: str) -> Template | None:
    """The template with that id, or None."""
    return _BY_TEMPLATE.get(avatar_id)


def spoken_s(text: str, speed: float) -> float:
    """How long it takes to say that: 15 characters a second, from one second to five minutes."""
    return min(300.0, max(1.0, len(text) / 15 / speed))
