"""How are elements made, listed and deleted? `kling.elements`; pictures and videos name them."""

from __future__ import annotations

from typing import Final

from ..models import elements
from ..models.elements import AnyElement, DeletedElement, Element
from .base import Resource, operation


class Elements(Resource):
    """The elements of your Kling accounts, and Kling's own."""

    create: Final = operation(elements.CreateElement)
    list: Final = operation(elements.ListElements)
    tags: Final = operation(elements.ListElementTags)
    voices: Final = operation(elements.ListElementVoices)

    async def get(self, element: AnyElement, *, email: str | None = None) -> Element:
        """One element.

        Args:
            element: an id, `u_` and digits, or a result that has one.
            email: the Kling account; default: the result's own, else chosen by the registry.

        Raises:
            NotFoundError: there is none on that account.

        Source: `GET /elements/{elementId}`.

        Examples:
            >>> sailor = await kling.elements.get(element)
        """
        return await self._sent(elements.GetElement, element_id=element, email=email)

    async def delete(self, element: AnyElement, *, email: str | None = None) -> DeletedElement:
        """Delete an element of your own, for good; the result only says that it worked.

        Args:
            element: an id, `u_` and digits, or a result that has one.
            email: the Kling account; default: the result's own, else chosen by the registry.

        Raises:
            NotFoundError: there is none (and no earlier attempt of this call deleted it).

        Source: `DELETE /elements/{elementId}`.

        Examples:
            >>> gone = await kling.elements.delete(element)
        """
        return await self._sent(elements.DeleteElement, element_id=element, email=email)
