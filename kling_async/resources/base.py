"""What does every resource need? The pipeline, the options to send with, and whose a result is."""

from __future__ import annotations

from .._calls.pipeline import Options, Pipeline
from ..errors import InvalidRequestError
from ..models.responses import Model
from ..models.scheduler import RunningTask


class Resource:
    """Builds requests of one part of the API and sends them. Made by the client."""

    def __init__(self, pipeline: Pipeline, options: Options) -> None:
        self._pipeline = pipeline
        self._options = options


def account_of(*things: object) -> str | None:
    """The account that results belong to; None for plain ids, which do not know it.

    Raises:
        InvalidRequestError: they belong to different ones, so no single call is about them.
    """
    owners = {found for one in things if (found := _owner(one)) is not None}
    if len(owners) > 1:
        raise InvalidRequestError(
            "The call", {"email": f"what is given belongs to {', '.join(sorted(owners))}"}
        )
    return owners.pop() if owners else None


def _owner(thing: object) -> str | None:
    if isinstance(thing, RunningTask):  # listed for all accounts at once: each says its own
        return thing.email
    return thing.meta.account if isinstance(thing, Model) else None
