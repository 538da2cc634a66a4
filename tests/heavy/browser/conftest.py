"""The fixtures of `browser`, for all tests of this room."""

from browser import open_page  # noqa: F401
