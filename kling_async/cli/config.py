"""Which defaults of options did the user set? A file in this folder, and the environment.

An option counts before the environment, and that before the file.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
from attrs import frozen
from click.core import ParameterSource

from ..models.media import open_regular

FILE, SHARED_FILE, TABLE = "kling-async.toml", "pyproject.toml", "kling-async"
PREFIX = "KLING_ASYNC_"
IN_FILE = (
    *("account", "choose", "rate", "transport", "verbose", "log-file"),
    *("concurrency", "progress", "reconcile-within", "wait-for-server"),
    *("max-videos", "max-credits", "skip-bad", "keep-columns"),
)
NOT_IN_FILE = ("base-url", "on-done")
"""A folder may come from somebody else: these would send the token elsewhere, or run a program."""
OWN_VARIABLES = {"account": "KLING_ACCOUNTS"}
"""What a variable of its own says already, and before any file."""


@frozen
class Setting:
    """The default of an option, and where it was found."""

    name: str
    value: Any
    source: str

    @property
    def shown(self) -> str:
        """Its value; a command line is not shown, which may hold a secret."""
        if self.name in NOT_IN_FILE:
            return "set"
        return ", ".join(self.value) if isinstance(self.value, list) else str(self.value)


def settings_in(folder: Path, env: Mapping[str, str]) -> list[Setting]:
    """All that are set, those of the environment before those of the file.

    Raises:
        click.UsageError: a name or a value that no option has, or a file that can't be read.
    """
    of_env = [_of_variable(name, text) for name, text in env.items() if name.startswith(PREFIX)]
    found = {one.name: one for one in of_env if one.value}
    for one in _of_file(folder):
        own = OWN_VARIABLES.get(one.name)
        if one.name not in found and not (own and env.get(own)):
            found[one.name] = one
    return sorted(found.values(), key=lambda one: one.name)


def defaults_for(command: click.Command, found: Sequence[Setting]) -> dict[str, Any]:
    """The `default_map` of click for a command, or of a group for all below it."""
    if isinstance(command, click.Group):  # the emulator's own accounts are not a client's
        below = {name: one for name, one in command.commands.items() if name != "emulator"}
        return {name: defaults_for(one, found) for name, one in below.items()}
    values = {f"--{one.name}": one.value for one in found}
    return {
        str(one.name): values[word] for one in command.params for word in one.opts if word in values
    }


def _of_variable(variable: str, text: str) -> Setting:
    name = variable.removeprefix(PREFIX).lower().replace("_", "-")
    if name not in (*IN_FILE, *NOT_IN_FILE):
        known = [PREFIX + one.upper().replace("-", "_") for one in (*IN_FILE, *NOT_IN_FILE)]
        raise click.UsageError(
            f"{variable} is set, and there is no such setting{_near(variable, known)}"
        )
    value = [one.strip() for one in text.split(",")] if name == "account" and text else text
    return Setting(name, value, variable)


def _of_file(folder: Path) -> list[Setting]:
    path = folder / FILE
    given: Any = _read(path)
    if given is None:
        path = folder / SHARED_FILE
        tool = (_read(path) or {}).get("tool", {})
        given = tool.get(TABLE, {}) if isinstance(tool, dict) else {}
    if not isinstance(given, dict):
        raise click.UsageError(f"{path.name}: tool.{TABLE} must be a table of options")
    return [_of_member(path.name, name, value) for name, value in given.items()]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with open_regular(path) as file:  # a folder may come from somebody else
            text = file.read().decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        why = getattr(exc, "strerror", None) or exc
        raise click.UsageError(f"{path.name} can't be read: {why}") from None
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        if path.name == SHARED_FILE and f"tool.{TABLE}" not in text:
            return {}  # broken, and none of our business
        raise click.UsageError(f"{path.name} is no TOML: {exc}") from None


def _of_member(file: str, name: str, value: Any) -> Setting:
    if name in NOT_IN_FILE:
        variable = PREFIX + name.upper().replace("-", "_")
        raise click.UsageError(
            f"{file}: {name} is not taken from a file, which may come from somebody else; use "
            f"--{name} or {variable}"
        )
    if name not in IN_FILE:
        more = ". The token belongs into USEAPI_TOKEN" if "token" in name.lower() else ""
        raise click.UsageError(f"{file}: there is no setting {name!r}{more}{_near(name, IN_FILE)}")
    if name == "account":
        value = [value] if isinstance(value, str) else value
        fits = isinstance(value, list) and all(isinstance(one, str) for one in value)
    else:
        fits = isinstance(value, (str, int, float))
    if not fits:
        raise click.UsageError(f"{file}: {name} must be one value, as of the option --{name}")
    return Setting(name, value if isinstance(value, (bool, list)) else str(value), file)


def _near(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f". Did you mean {near[0]}?" if near else f". There are: {', '.join(known)}"


class Configured(click.Group):
    """The commands whose defaults the user may set; what can't be is said with its place."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run what is asked for."""
        try:
            return super().invoke(ctx)
        except click.BadParameter as exc:
            found = next((one for one in ctx.obj or () if _is_of(one, exc)), None)
            if found is None:
                raise
            said = f"{exc.message} (set by {found.source})"
            raise click.BadParameter(said, exc.ctx, exc.param, exc.param_hint) from None


def _is_of(setting: Setting, error: click.BadParameter) -> bool:
    if error.ctx is None or error.param is None or f"--{setting.name}" not in error.param.opts:
        return False
    source = error.ctx.get_parameter_source(error.param.name or "")
    return source is ParameterSource.DEFAULT_MAP


def load(context: click.Context) -> None:
    """Take what is set as the defaults of all commands below this one."""
    found = settings_in(Path(), os.environ)
    context.obj = found
    context.default_map = defaults_for(context.command, found)
