"""Does the Dockerfile make an emulator that serves, is healthy, and ends when told to?"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulator_process import listening

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "Dockerfile").read_text()


def words(instruction: str) -> list[str]:
    """The JSON list of an instruction."""
    found = re.search(rf"^{instruction}\b.*?(\[.*\])$", TEXT, re.MULTILINE)
    assert found is not None
    return json.loads(found[1])


def test_its_commands_work() -> None:
    command, *options = words("ENTRYPOINT")
    assert command == "kling-async"
    process = subprocess.Popen(
        [sys.executable, "-m", "kling_async", *options, "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        base_url = listening(process)[0]
        assert process.stdout is not None
        origin = base_url.removesuffix("/v1/kling")
        assert process.stdout.readline() == f"its page: {origin}/\n"
        port = origin.removeprefix("http://127.0.0.1:")
        python, *check = words("HEALTHCHECK")
        assert python == "python"
        healthy = [sys.executable, *(one.replace(":8808", f":{port}") for one in check)]
        assert subprocess.run(healthy, check=False).returncode == 0
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as page:
            assert b"Kling, emulated" in page.read()
        process.terminate()
        assert process.wait(20) == 143
        assert subprocess.run(healthy, check=False, stderr=subprocess.DEVNULL).returncode != 0
    finally:
        process.kill()
        process.communicate()


def test_what_is_sent_to_the_builder_is_what_the_wheel_needs() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    needs = {"pyproject.toml", *project["project"]["license-files"]}
    needs |= {"hatch_build.py", "README.md"}  # the one makes the long description of the other
    assert sent == {*wheel, *needs}
    assert all((ROOT / one).exists() for one in sent)


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def container() -> Iterator[str]:
    """The container, running; skipped where there is no docker that can build it."""
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True).returncode
    ):
        pytest.skip("there is no docker, or it does not run")
    for base in set(re.findall(r"^FROM (\S+)", TEXT, re.MULTILINE)):
        if subprocess.run(["docker", "pull", base], capture_output=True).returncode:
            pytest.skip(f"docker can't get {base}: no way to its registry")
    image = docker("build", "-q", str(ROOT))
    name = docker("run", "-d", "-p", "127.0.0.1::8808", "--health-interval=1s", image)
    yield name
    docker("rm", "-f", name)
    docker("rmi", image)


def test_it_is_built_and_runs(container: str) -> None:
    def state(of: str) -> str:
        return docker("inspect", "-f", f"{{{{{of}}}}}", container)

    ends = time.monotonic() + 120
    while (health := state(".State.Health.Status")) == "starting" and time.monotonic() < ends:
        time.sleep(0.2)
    assert health == "healthy", docker("logs", container)
    where = docker("port", container, "8808")
    with urllib.request.urlopen(f"http://{where}/_emulator/state") as reply:
        assert json.load(reply)["avatars"] == []
    assert docker("exec", container, "id", "-u") == "10001"
    docker("exec", container, "touch", "/data/world.json")
    docker("stop", "-t", "20", container)
    assert state(".State.ExitCode") == "143"
