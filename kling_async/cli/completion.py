"""How does a shell complete our commands? `kling-async completion` prints what it has to read."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from .streams import echo_raw

NAME, VARIABLE = "kling-async", "_KLING_ASYNC_COMPLETE"
"""The program, and the variable by which click is asked for completions."""


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> None:
    """Print the completion of commands and options for SHELL.

    bash, in ~/.bashrc: eval "$(kling-async completion bash)". zsh, in ~/.zshrc: the same with zsh.
    fish: kling-async completion fish > ~/.config/fish/completions/kling-async.fish
    """
    found = get_completion_class(shell)
    assert found is not None  # click has all three
    completes = found(context.find_root().command, {}, NAME, VARIABLE)
    echo_raw(completes.source_template % completes.source_vars())
