"""The programs of the README and of all pages, each as a file, for type checkers to read.

Run: `python tests/heavy/docs/programs.py FOLDER`; `nox -s typing` does, and has mypy --strict
read them.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROGRAM = re.compile(r"^```python[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def write_programs(folder: Path) -> None:
    """Each program as `folder/PAGE_N.py`."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        name = page.stem.replace("-", "_").lower()
        for number, text in enumerate(PROGRAM.findall(page.read_text("utf-8")), start=1):
            path = folder / f"{name}_{number}.py"
            path.write_text(textwrap.dedent(text), "utf-8")


if __name__ == "__main__":
    write_programs(Path(sys.argv[1]))
