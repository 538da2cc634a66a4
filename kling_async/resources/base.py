"""What does every resource need? The pipeline and the options to send with."""

from __future__ import annotations

from ..pipeline import Options, Pipeline


class Resource:
    """Builds requests of one part of the API and sends them. Made by the client."""

    def __init__(self, pipeline: Pipeline, options: Options) -> None:
        self._pipeline = pipeline
        self._options = options
