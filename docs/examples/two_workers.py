"""A trial on one machine: a PostgreSQL, an emulator, two workers, and 200 rows through them.

    python -m pip install ".[cli,emulator,trial]" && python docs/examples/two_workers.py

Nothing leaves the machine, and nothing of it is left behind but what it prints.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROWS, RATE = 200, "40/s"
KLING = (sys.executable, "-m", "kling_async")


def started(*words: str) -> subprocess.Popen[str]:
    """A command in the background."""
    return subprocess.Popen((*KLING, *words), stdout=subprocess.PIPE, text=True)


def ready(process: subprocess.Popen[str], beginning: str) -> dict[str, str]:
    """The variables that it says to export, once it has printed a line with this beginning."""
    exported: dict[str, str] = {}
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        exported |= dict(re.findall(r"(\w+)=(\S+)", line)) if line.startswith("export") else {}
        if line.startswith(beginning):
            break
    return exported


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


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
    port = free_port()
    os.environ |= {
        "KLING_BASE_URL": f"http://127.0.0.1:{port}/v1/kling", "USEAPI_TOKEN": "user:1-emulator",
    }  # fmt: skip
    running = []
    try:
        emulator = started("emulator", "--port", str(port))
        running.append(emulator)
        first = started("worker", "--trial", str(folder / "postgres"), "--rate", RATE)
        running.append(first)
        address = ready(first, "working on")["KLING_LEDGER"]
        running.append(started("worker", address, "--rate", RATE))
        ready(emulator, "export KLING_BASE_URL")
        run = ("bulk", "run", str(table), "--ledger", f"{address}#people", "--rate", RATE)
        return subprocess.run((*KLING, *run)).returncode
    finally:
        for process in reversed(running):  # the first worker, with the database, after the second
            process.send_signal(signal.SIGINT)
            print(process.communicate()[0], end="")


if __name__ == "__main__":
    sys.exit(main())
