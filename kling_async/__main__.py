"""What does `kling-async` start, and what is said where its extra is missing?"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        import click  # noqa: F401
        import rich  # noqa: F401
    except ImportError:
        sys.exit("kling-async: the command needs an extra: pip install 'kling-async[cli]'")
    from .cli.app import cli
    from .cli.streams import install, leave

    stdout = install()
    try:
        cli()
    except SystemExit as exc:
        leave(exc.code, stdout)


if __name__ == "__main__":
    main()
