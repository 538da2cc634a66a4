"""A trial on one machine: a PostgreSQL, an emulator, two workers, and 200 rows through them.

    python -m pip install ".[cli,emulator,trial]" && python docs/examples/two_workers.py

Nothing leaves the machine, and nothing of it is left behind but what it prints.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROWS = 200
KLING = (sys.executable, "-m", "kling_async")


def started(*words: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """A command in the background, and the variables that it says to export."""
    process = subprocess.Popen((*KLING, *words), stdout=subprocess.PIPE, text=True)
    exported: dict[str, str] = {}
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        exported |= dict(re.findall(r"(\w+)=(\S+)", line)) if line.startswith("export") else {}
        if line.startswith(("working on", "export KLING_BASE_URL")):
            break
    return process, exported


def main() -> int:
    """Start everything, bring the rows in, wait for them."""
    with tempfile.TemporaryDirectory(prefix="kling-trial-") as folder:
        Path(folder).chmod(0o755)  # as root, the PostgreSQL runs as nobody
        return trial(Path(folder))


def trial(folder: Path) -> int:
    """The exit code of the run."""
    table = folder / "rows.csv"
    lines = [f"portrait-{n},https://example.com/{n}.png,Ann {n}" for n in range(ROWS)]
    table.write_text("\n".join(["key,image_url,nickname", *lines]))
    running = []
    try:
        emulator, there = started("emulator", "--port", "0")
        running.append(emulator)
        os.environ |= there
        first, there = started("worker", "--trial", str(folder / "postgres"), "--rate", "20/s")
        running.append(first)
        ledger = f"{there['KLING_LEDGER']}#people"
        second, _ = started("worker", there["KLING_LEDGER"], "--rate", "20/s")
        running.append(second)
        run = ("bulk", "run", str(table), "--ledger", ledger, "--rate", "20/s")
        done = subprocess.run((*KLING, *run))
        subprocess.run((*KLING, "bulk", "status", ledger))
        return done.returncode
    finally:
        for process in reversed(running):  # the first worker, with the database, after the second
            process.send_signal(signal.SIGINT)
            print(process.communicate()[0], end="")


if __name__ == "__main__":
    sys.exit(main())
