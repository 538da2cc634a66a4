"""The fixtures of `command_line`, for all tests of this room."""

from command_line import emulator, environment, folder, invoke, url_csv  # noqa: F401
