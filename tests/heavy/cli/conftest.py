"""The fixtures of `command_line`, for all tests of this room."""

from command_line import (  # noqa: F401
    emulator,
    environment,
    execute,
    finish,
    folder,
    invoke,
    service,
    start,
    url_csv,
)
