"""Which small breaks of the deciding core does no test notice? mutmut, with a threshold and a list.

`[tool.mutmut]` in pyproject.toml says what is broken, and which tests are to notice. What survives
stands in `survivors.md` with the reason, known by its function and its change, so that it may move.
Exit code 1 where less than 90 % are noticed, or where one survives that is not listed: write a test
that turns red, or, where none can, list it with the reason.

    python tests/mutation/gate.py             all of it; some minutes of two cores
    python tests/mutation/gate.py --no-run    only compare what the last run left in mutants/
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("survivors.md")
LEAST = 0.9
NOTICED = (1, 3, 24, 36, -24, 152, 255)
"""Exit codes of pytest that mutmut counts as killed, and of those whose time was over."""
NOT_BROKEN = (34, 37)
"""Skipped by a rule; caught by a type checker."""

Mutant = tuple[str, str]
"""The function, and the lines of its change."""


def listed(text: str) -> tuple[Counter[Mutant], list[str]]:
    """What `survivors.md` lists; and the functions for which it gives no reason."""
    found, bare = Counter[Mutant](), list[str]()
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        name, _, rest = part.partition("\n")
        changes = re.findall(r"```diff\n(.*?)```", rest, re.DOTALL)
        found.update((name.strip("` "), _lines(one)) for one in changes)
        if not re.sub(r"```diff\n.*?```", "", rest, flags=re.DOTALL).strip():
            bare.append(name)
    return found, bare


def _lines(diff: str) -> str:
    """The changed lines alone, however deep they are indented."""
    changed = [
        f"{line[0]} {line[1:].strip()}"
        for line in diff.splitlines()
        if line[:1] in ("+", "-") and line[:3] not in ("+++", "---")
    ]
    return "\n".join(changed)


def ran() -> dict[str, int | None]:
    """The exit code of each mutant; None: it was not tried."""
    found: dict[str, int | None] = {}
    for path in sorted((ROOT / "mutants").rglob("*.meta")):
        found |= json.loads(path.read_text())["exit_code_by_key"]
    return found


def survivor(name: str) -> Mutant:
    """A mutant that no test noticed."""
    shown = subprocess.run(
        ["mutmut", "show", name], capture_output=True, text=True, check=True, cwd=ROOT
    )
    module, _, function = name.partition("__mutmut_")[0].rpartition(".")
    function = function[2:].replace("ǁ", ".")  # mutmut's names begin with `x_` or `xǁ`
    return f"{module.removeprefix('kling_async.')}.{function}", _lines(shown.stdout)


def verdict(
    codes: Sequence[int | None], survivors: Counter[Mutant], text: str
) -> tuple[bool, list[str]]:
    """Whether the gate is open, and what to say."""
    known, bare = listed(text)
    tried = [code for code in codes if code not in NOT_BROKEN]
    noticed = sum(code in NOTICED for code in tried)
    score = noticed / len(tried) if tried else 0.0
    new = survivors - known
    lines = [f"not listed in {LIST.name}:\n\n### `{name}`\n```diff\n{diff}\n```" for name, diff in
             new.elements()]  # fmt: skip
    lines += [f"{name}: {LIST.name} gives no reason" for name in bare]
    lines += [
        f"is noticed now, so take it out of {LIST.name}: {name}\n{diff}"
        for name, diff in (known - survivors).elements()
    ]
    lines.append(
        f"{noticed} of {len(tried)} are noticed: {score:.1%}, at least {LEAST:.0%} are asked for; "
        f"{survivors.total()} survive, {new.total()} of them not listed"
    )
    return score >= LEAST and not new and not bare, lines


def main() -> int:
    """Run mutmut, and compare."""
    if "--no-run" not in sys.argv:
        children = ["--max-children", str(min(os.cpu_count() or 1, 4))]
        environment = {**os.environ, "HYPOTHESIS_PROFILE": "mutation"}
        subprocess.run(["mutmut", "run", *children], check=True, cwd=ROOT, env=environment)
    codes = ran()
    left = [name for name, code in codes.items() if code not in (*NOTICED, *NOT_BROKEN)]
    good, lines = verdict([*codes.values()], Counter(map(survivor, left)), LIST.read_text())
    print(*lines, sep="\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
