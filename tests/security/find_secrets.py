"""Does a file of the repository hold a secret? detect-secrets, and the form of the vendor's token.

What was reviewed and is none is in `secrets.json`, known by file, kind and hash, wherever in the
file it stands, with the reason. Exit code 1 where something else is found: take it out, or, where
it is none, add its line with `python tests/security/find_secrets.py --accept`, and write why.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.settings import transient_settings

ROOT = Path(__file__).parents[2]
REVIEWED = Path(__file__).with_name("secrets.json")
SELF = REVIEWED.relative_to(ROOT).as_posix()


class UseapiTokenDetector(RegexBasedDetector):
    """A token of useapi.net: `user:`, a number, and what no example of ours is long enough for."""

    secret_type = "Token of useapi.net"
    denylist = (re.compile(r"user:\d+-[A-Za-z0-9_-]{16,}"),)


def found() -> dict[tuple[str, str, str], int]:
    """(file, kind, hash) of each -> the line it stands in."""
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True)
    plugins: list[dict[str, Any]] = [
        {"name": one.__name__} for one in get_mapping_from_secret_type_to_class().values()
    ]
    get_mapping_from_secret_type_to_class.cache_clear()  # it shall look for ours, too
    plugins.append({"name": UseapiTokenDetector.__name__, "path": f"file://{__file__}"})
    secrets = SecretsCollection()
    with transient_settings({"plugins_used": plugins}):
        files = [name for name in tracked.stdout.splitlines() if name != SELF]
        secrets.scan_files(*files, num_processors=os.cpu_count() or 1)
    return {(name, one.type, one.secret_hash): one.line_number for name, one in secrets}


def main() -> int:
    """Compare what is found with what was reviewed."""
    os.chdir(ROOT)
    here = found()
    kept = json.loads(REVIEWED.read_text()) if REVIEWED.exists() else []
    reviewed: dict[tuple[str, ...], str] = {tuple(one): why for *one, why in kept}
    if "--accept" in sys.argv:
        rows = [json.dumps([*one, reviewed.get(one, "")]) for one in sorted(here)]
        REVIEWED.write_text("[\n" + ",\n".join(rows) + "\n]\n")
        return 0
    wrong = [
        f"{name}:{line}: {kind}" + (", and nobody wrote why it is none" if one in reviewed else "")
        for one, line in sorted(here.items())
        if not reviewed.get(one)
        for name, kind, _ in (one,)
    ]
    wrong += [
        f"{name}: {kind} is not there any more: take it out of {SELF}"
        for name, kind, _ in sorted(reviewed.keys() - here.keys())
    ]
    said = f"no secret in the files; {len(reviewed)} that look like one were reviewed"
    print(*(wrong or [said]), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
