"""The project's checks: `nox` runs the quick ones on every supported Python that is installed.

With uv, which comes with `nox[uv]`, an environment is there in 2 s, with pip in 20.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import nox
from nox.command import CommandFailed

ROOT = Path(__file__).parent
nox.options.sessions = ["lint", "typing", "tests", "docs", "wheel"]
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True
# Else each of some hundred processes that the tests start would compile all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Ledgers are synced many thousand times. In memory that costs nothing, and a SIGKILL sees no
# difference; what is kept of tests that fail is there, too.
MEMORY = Path("/dev/shm")
if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 * 2**30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

CORES = min(os.cpu_count() or 1, 4)
BEYOND_THE_CORE = (
    "contract", "unit/bulk", "unit/cli", "unit/emulator", "unit/integrations",
    "unit/_files/test_fetching.py", "unit/_polling/test_waiting_sockets.py",
)  # fmt: skip
CHAOS = "tests/heavy/chaos"
# A worker that is done takes over from the others.
PYTEST = ("pytest", "-q", "--dist", "worksteal", "-n")

# PyPI shows the README without the files beside it; see hatch_build.py.
LINKS_ARE_WHOLE = r"""import importlib.metadata, re
readme = importlib.metadata.metadata("kling-async").get_payload()
assert "](https://" in readme
assert not (found := re.search(r"\]\((?!https://|#)[^)]*", readme)), found
"""

PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
DECLARED = [
    found[1]
    for one in PROJECT["project"]["classifiers"]
    if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", one))
]


def _runs(python: str) -> bool:
    """A pyenv shim is on the PATH for versions that then refuse to run, so ask it."""
    try:
        asked = subprocess.run([python, "-c", ""], capture_output=True, timeout=60, check=False)
    except OSError:
        return False
    return asked.returncode == 0


def _installed(version: str) -> str | None:
    """The interpreter of this version: on the PATH, or among pyenv's; None where it is missing."""
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return sys.executable
    found = shutil.which(f"python{version}")
    if found and _runs(found):
        return f"python{version}"
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for one in sorted(versions.glob(f"{version}.*/bin/python")):
        if _runs(str(one)):
            return str(one)
    return None


PYTHONS = {version: found for version in DECLARED if (found := _installed(version))}
_IN_ORDER = sorted(PYTHONS, key=lambda version: int(version.split(".")[1]))
OLDEST, NEWEST = PYTHONS[_IN_ORDER[0]], PYTHONS[_IN_ORDER[-1]]


def install(session: nox.Session, *packages: str, groups: Sequence[str] = ()) -> None:
    """The packages and the groups of pyproject.toml, by uv, or by pip where uv is not there.

    By pip as well where uv fails: only pip reads pip's settings of indexes and proxies.
    """
    packages += nox.project.dependency_groups(PROJECT, *groups)
    try:
        session.install(*packages)
    except CommandFailed:
        if session.venv_backend != "uv":
            raise
        session.run_install("python", "-m", "ensurepip")
        session.run_install("python", "-m", "pip", "install", *packages)


def _chromium(session: nox.Session) -> None:
    """Debian's Chromium for tests/heavy/browser, where it is missing and may be installed.

    Where it can't be had those tests are skipped, and say so.
    """
    if any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        return
    if shutil.which("apt-get") is None or os.getuid() != 0:
        return
    quietly = {"external": True, "silent": True, "success_codes": range(256)}
    session.run("apt-get", "update", "-qq", **quietly)
    session.run(
        *("apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"),
        env={"DEBIAN_FRONTEND": "noninteractive"},
        **quietly,
    )


@nox.session
@nox.parametrize("python", list(PYTHONS.values()), ids=list(PYTHONS))
def tests(session: nox.Session) -> None:
    """The tests; arguments go to pytest.

    The newest Python runs all of them, without measuring what they reach: that doubles the time
    (54 s of CPU instead of 27), so `nox -s coverage` does it. The oldest leaves out the heavy ones
    (tests/heavy: matrix, chaos, storms, docs, memory, commands as processes), which take longer
    than the rest. Each cell of the matrix runs on one transport here; `nox -s matrix` takes both.
    Those between run the core alone, unless arguments say more: what works on the oldest and the
    newest SQLite, server and shell works on theirs, but the loop and attrs have forms in between.
    Nothing gets a second chance: what fails on a busy machine only is a flaw of the test.
    """
    install(session, "-e", ".[all]", groups=("test",))
    workers, which = 2 * CORES, ["-m", "not heavy"]  # many wait for processes and servers
    if session.python == NEWEST:
        _chromium(session)
        which = [f"--ignore={CHAOS}"]
    elif session.python != OLDEST and not session.posargs:
        workers = CORES
        which += [f"--ignore=tests/{one}" for one in BEYOND_THE_CORE]
    session.run(*PYTEST, str(workers), *which, *session.posargs, env={"MATRIX": "half"})
    if session.python == NEWEST and not session.posargs:
        # Apart: its processes are killed after so many milliseconds of real work.
        session.run(*PYTEST, str(CORES), CHAOS)


@nox.session(python=NEWEST)
def matrix(session: nox.Session) -> None:
    """The whole fault matrix, on both transports: what is sent, what users get, what is kept."""
    install(session, "-e", ".[all]", groups=("test",))
    session.run(*PYTEST, str(2 * CORES), "tests/heavy/matrix", *session.posargs)


@nox.session(python=NEWEST)
def coverage(session: nox.Session) -> None:
    """The coverage of statements and branches, and what the tests do not reach, line by line."""
    install(session, "-e", ".[all]", groups=("test",))
    session.run(*PYTEST, str(2 * CORES), "--cov", *session.posargs)


@nox.session(python=NEWEST)
def typing(session: nox.Session) -> None:
    """mypy --strict, pyright, and the pages' programs, as users' checkers do.

    All that can be imported without an underscore says its type: what has to be inferred, each
    checker may infer in another way.
    """
    install(session, "-e", ".[all]", groups=("typing", "test"))
    session.run("mypy")
    programs = session.create_tmp()
    session.run("python", "tests/heavy/docs/programs.py", programs)
    session.run("mypy", "--strict", programs)
    session.run("pyright")
    session.run("pyright", "--verifytypes", "kling_async", "--ignoreexternal", silent=True)


@nox.session(python=NEWEST)
def lint(session: nox.Session) -> None:
    """Ruff: lint and format."""
    install(session, groups=("lint",))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(python=NEWEST)
def wheel(session: nox.Session) -> None:
    """Build sdist and wheel, check them, install the wheel in a clean venv, run the main command.

    `-- FOLDER` keeps both there.
    """
    install(session, groups=("release",))
    built = Path(session.create_tmp()).resolve()
    for old in built.glob("kling_async-*"):
        old.unlink()
    # The wheel is built from the sdist, so what the sdist lacks is noticed.
    session.run("python", "-m", "build", "--outdir", str(built), silent=True)
    (found,), (source,) = built.glob("*.whl"), built.glob("*.tar.gz")
    session.run("twine", "check", "--strict", str(found), str(source))
    session.run("check-wheel-contents", str(found))
    session.run("python", "-m", "venv", str(built / "clean"), silent=True)
    clean = built / "clean" / "bin"
    python = str(clean / "python")
    run = {"external": True, "silent": False}
    session.run(python, "-m", "pip", "install", "-q", str(found), **run)
    session.run(python, "-c", LINKS_ARE_WHOLE, **run)
    with session.chdir(built):  # away from the source tree
        session.run(python, "-c", "import kling_async; print(kling_async.__version__)", **run)
        session.run(python, "-m", "pip", "install", "-q", f"{found}[cli,emulator]", **run)
        session.run(
            *(str(clean / "kling-async"), "bulk", "run"),
            str(ROOT / "docs" / "examples" / "avatars.csv"),
            *("--ledger", "avatars.sqlite", "--emulator", "--rate", "none"),
            **run,
        )
    for folder in map(Path, session.posargs):
        folder.mkdir(parents=True, exist_ok=True)
        for one in (found, source):
            shutil.copy(one, folder)


@nox.session(python=NEWEST)
def docs(session: nox.Session) -> None:
    """The site of docs/, in build/site/site; warnings and links that lead nowhere are errors.

    Then a real Chromium looks at each page.
    """
    install(session, "-e", ".[all]", groups=("docs", "lint", "test"))  # ruff lays signatures out
    session.run("python", "docs/build_site.py", "build/site")
    _chromium(session)
    env = {"KLING_TEST_SITE": "build/site/site"}
    session.run("pytest", "-q", "tests/heavy/browser/test_site_pages.py", env=env)


@nox.session(python=NEWEST)
def changelog(session: nox.Session) -> None:
    """Show what CHANGELOG.md gets at the next release; `-- VERSION` writes it."""
    install(session, "towncrier")
    version = session.posargs[0] if session.posargs else "next"
    draft = () if session.posargs else ("--draft",)
    session.run("towncrier", "build", "--yes", *draft, "--version", version)


@nox.session(python=NEWEST)
def bench(session: nox.Session) -> None:
    """All benchmarks and one table of them; the peers are installed here alone.

    Arguments go to tests/benchmarks/run_all.py: `-- --small`, or names. Nothing is asserted.
    """
    install(session, "-e", ".[all]", groups=("bench",))
    session.run("python", "tests/benchmarks/run_all.py", *session.posargs)


@nox.session(python=NEWEST)
def hostile(session: nox.Session) -> None:
    """Bulk runs beside others, over bad listings and touched ledgers; exit 1 on any fault.

    `nox -s hostile -- --runs 300 --foreign --listings`; `--help` names all ingredients.
    """
    install(session, "-e", ".[all]", groups=("test",))
    session.run("python", "tests/heavy/chaos/hostile.py", *session.posargs)


@nox.session(python=NEWEST)
def distributed(session: nox.Session) -> None:
    """Several machines: the tests, then each bad day in full with its numbers, then what it costs.

    Needs no PostgreSQL of the system. Arguments go to tests/heavy/distributed/run.py:
    `-- mixed --rows 600 --seed 3`.
    """
    install(session, "-e", ".[all,trial]", groups=("test",))
    if not session.posargs:
        session.run(*PYTEST, "2", "tests/heavy/distributed", "tests/contract/test_ledgers.py")
    session.run("python", "tests/heavy/distributed/run.py", *(session.posargs or ["all"]))
    if not session.posargs:
        session.run("python", "tests/benchmarks/distributed.py")


@nox.session(python=NEWEST)
def chaos(session: nox.Session) -> None:
    """Bulk runs killed at random: `nox -s chaos -- --runs 1000 --seed 1`; exit 1 on any fault.

    CHAOS_SEEDS=50 in the environment sweeps all failpoints as well, that many seeds each; those of
    videos: `pytest tests/heavy/chaos/test_sigkill_videos.py`.
    """
    install(session, "-e", ".[all]", groups=("test",))
    session.run("python", "tests/heavy/chaos/run.py", *session.posargs)
    if "CHAOS_SEEDS" in os.environ:
        session.run("pytest", "-q", "-s", "tests/heavy/chaos/test_sigkill.py", "-k", "each_point")


@nox.session(python=NEWEST)
def fuzz(session: nox.Session) -> None:
    """Answers, files, dates and callbacks of any bytes; `-- 5000` examples a test.

    Prints how many there were of each, and what came of them.
    """
    install(session, "-e", ".[all]", groups=("test",))
    count, *rest = session.posargs or ["500"]
    session.run(*PYTEST, str(CORES), "tests/heavy/fuzz", *rest, env={"FUZZ_EXAMPLES": count})


@nox.session(python=NEWEST)
def security(session: nox.Session) -> None:
    """Ruff's rules of security, secrets in files, known flaws of what is installed.

    Where the database of flaws can't be reached, nothing is audited, and the session fails and says
    so; `-- --no-audit` leaves that part out.
    """
    install(session, "-e", ".[all]", groups=("security", "lint"))
    session.run("ruff", "check", "--select", "S", ".")
    session.run("python", "tests/security/find_secrets.py")
    if "--no-audit" in session.posargs:
        session.warn("NOTHING WAS AUDITED, as was asked for")
    else:
        session.run("python", "tests/security/audit.py")


@nox.session(python=NEWEST)
def mutation(session: nox.Session) -> None:
    """Break the deciding core in each small way: at least 90 % must be noticed, the rest listed.

    `[tool.mutmut]` in pyproject.toml says which files and which tests; tests/mutation/survivors.md
    lists what no test can notice, and why. `-- --no-run` compares what the last run left.
    """
    install(session, "-e", ".[all]", groups=("test", "mutation"))
    session.run("python", "tests/mutation/gate.py", *session.posargs)
