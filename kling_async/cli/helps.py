"""How is a command explained? `--help`: its options in groups, by what a person wants of them.

rich-click is loaded when help is asked for, and draws help alone: a wrong word stays one line.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import click

_JOB = {
    "Where to": "--ledger --save-to --video-dir",
    "What to make": "--operation --video --again --retry-failed --pay-again --submit",
    "Which rows": "--limit --only --skip-bad --faults-to --keep-columns",
    "What it may cost": "--dry-run --max-videos --max-credits",
    "How fast": "--concurrency --rate",
    "When something goes wrong": "--reconcile-within --wait-for-server --wait-for-database "
    "--resend-after-absence --despite-loss",
}
_CALL = {
    "Accounts and connection": "--account --choose --base-url --rate --transport --emulator "
    "--faults",
    "What is told": "--json --progress --on-done --verbose --log-file --help",
}
_SETTLE = {
    "Which rows": "--all-unknown --from --step",
    "What became of them": "--adopt --resend --abandon",
    "What became of their videos": "--adopt-task --resend-video --abandon-video",
    "Help": "--help",
}
_GROUPS = {"--concurrency": _JOB, "--base-url": _CALL, "--all-unknown": _SETTLE}
"""The groups of those commands that have this option."""


def explained(command: click.Command) -> None:
    """Have this command, and all below it, explain themselves so."""
    command.get_help = partial(_help, command)  # type: ignore[method-assign]
    if isinstance(command, click.Group):
        for below in command.commands.values():
            explained(below)


def _help(command: click.Command, context: click.Context) -> str:
    from rich_click import RichCommand, RichContext, RichGroup, RichHelpConfiguration
    from rich_click.rich_panel import RichOptionPanel, RichPanel

    looks = RichHelpConfiguration(
        theme="default-slim",
        enable_theme_env_var=False,
        force_terminal=None,  # GITHUB_ACTIONS does not make a pipe a terminal
        show_arguments=False,
        options_table_column_types=["opt_all_metavar", "help"],
        options_table_help_sections=["help", "required", "default"],
        text_markup=None,
        append_metavars_help_string="{}",
        default_string=r"\[default: {}]",
        options_panel_title="Other options",  # none is left; the name of a group may not be this
        padding_helptext_first_line=(0, 0, int("\n\n" in (command.help or "")), 0),
        text_paragraph_linebreaks="\n\n",
    )
    panels: list[RichPanel[Any, Any]] = [
        RichOptionPanel(title, own) for title, own in _panels(command, context).items()
    ]
    drawn: RichCommand
    said: dict[str, Any] = {
        name: getattr(command, name) for name in ("name", "params", "help", "context_settings")
    }
    if isinstance(command, click.Group):
        drawn = RichGroup(**said, panels=panels, commands=command.commands)
    else:
        drawn = RichCommand(**said, panels=panels)
    given = RichContext(
        drawn,
        info_name=context.info_name,
        parent=context.parent,
        help_option_names=context.help_option_names,
        rich_help_config=looks,
    )
    return "\n".join(line.rstrip() for line in drawn.get_help(given).splitlines())


def _panels(command: click.Command, context: click.Context) -> dict[str, list[str]]:
    """The title and the options of each group: those of this command alone come first."""
    left = [
        one.opts[-1]
        for one in command.get_params(context)
        if isinstance(one, click.Option) and not one.hidden
    ]
    told = [named for marker, named in _GROUPS.items() if marker in left]
    groups = {"Options": left}
    for title, options in (one for named in told for one in named.items()):
        groups[title] = [one for one in left if one in options.split()]
        groups["Options"] = left = [one for one in left if one not in groups[title]]
    return groups
