"""Is a flaw known in what is installed here? pip-audit, with an answer that can't be misread.

pip-audit says "No known vulnerabilities found", and ends with 0, where the database knows nothing
of a package, as behind a mirror. Here that is an answer of its own. Exit code: 0 nothing is known
of any package; 1 a flaw is known; 2 not all could be audited, so nobody knows.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

NONE, FOUND, NOT_AUDITED = 0, 1, 2


def verdict(packages: Sequence[dict[str, Any]], trouble: str) -> tuple[int, list[str]]:
    """The exit code, and what to say.

    Args:
        packages: what pip-audit's JSON has under `dependencies`.
        trouble: what it wrote on stderr.
    """
    audited = [one for one in packages if "skip_reason" not in one]
    lines = [
        f"{one['name']} {one['version']}: {flaw['id']}, mended in "
        f"{', '.join(flaw['fix_versions']) or 'no version yet'}"
        for one in audited
        for flaw in one["vulns"]
    ]
    if not audited:
        why = packages[0]["skip_reason"] if packages else trouble or "no package is installed"
        return NOT_AUDITED, [f"NOTHING WAS AUDITED: {why}"]
    left_out = [one["name"] for one in packages if "skip_reason" in one]
    if left_out:
        lines.append(f"NOT AUDITED, {len(left_out)} of {len(packages)}: {', '.join(left_out)}")
    if any(one["vulns"] for one in audited):
        return FOUND, lines
    lines.append(f"no flaw is known of {len(audited)} packages")
    return (NOT_AUDITED if left_out else NONE), lines


def main() -> int:
    """Audit the environment of this Python, without what is installed from a folder (ourselves)."""
    command = (
        sys.executable,
        "-m",
        "pip_audit",
        "-f",
        "json",
        "--skip-editable",
        "--timeout",
        "10",
    )
    asked = subprocess.run([*command, "--progress-spinner", "off"], capture_output=True, text=True)
    try:
        packages = json.loads(asked.stdout)["dependencies"]
    except ValueError:
        packages = []
    ours = ("kling-async",)
    code, lines = verdict(
        [one for one in packages if one["name"] not in ours], asked.stderr.strip()[-500:]
    )
    print(*lines, sep="\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
