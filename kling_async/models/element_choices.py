"""What can an element be, and which voice can it have? `kling.elements.tags` and `.voices`.

Source: `GET /elements/tags`, `GET /elements/voices` (vendor pages, January to March 2026).
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from ..errors import JSON
from .requests import Request, Safety
from .responses import Model, list_of


@frozen(kw_only=True)
class ElementTag(Model):
    """What an element is: `tag_key` is character, animal, prop, ...; `official`: Kling's own."""

    id: str
    tag_key: str | None = None
    name: str | None = None
    official: bool | None = None
    type: str | None = None


@frozen(kw_only=True)
class ElementVoice(Model):
    """A voice that a character may have; none of `kling.tts.voices()`."""

    id: str
    name: str | None = None
    official: bool | None = None


@frozen(kw_only=True)
class ListElementTags(Request[list[ElementTag]]):
    """What elements can be: Kling's tags, and your own.

    Source: `GET /elements/tags`.

    Examples:
        >>> tags = await kling.elements.tags()
    """

    operation = "elements.tags"
    method = "GET"
    route = "/elements/tags"
    safety = Safety.READ

    def decode(self, body: JSON) -> list[ElementTag]:
        """The tags in the server's order."""
        return list_of(ElementTag, body["tagList"] if isinstance(body, Mapping) else body)


@frozen(kw_only=True)
class ListElementVoices(Request[list[ElementVoice]]):
    """The voices that characters can have; others than those of `kling.tts.voices()`.

    Source: `GET /elements/voices`.

    Examples:
        >>> voices = await kling.elements.voices()
    """

    operation = "elements.voices"
    method = "GET"
    route = "/elements/voices"
    safety = Safety.READ

    def decode(self, body: JSON) -> list[ElementVoice]:
        """The voices in the server's order."""
        return list_of(ElementVoice, body["voices"] if isinstance(body, Mapping) else body)
