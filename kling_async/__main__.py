"""What does `kling-async` start, and what is said where its extra is missing?"""

from __future__ import annotations

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command line."""
    if not all(map(find_spec, ("click", "rich", "rich_click"))):  # the last is loaded for help only
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
