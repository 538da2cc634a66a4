"""`KlingClient` where it is used: forks, ends of programs, Flask, Django's ORM, Celery's workers.

Each program is a process of its own, and asks an emulator over a socket.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kling_async.emulator import Emulator

TOKEN = "user:4711-services"


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(token=TOKEN)


@pytest.fixture
def environment(emulator: Emulator) -> Iterator[dict[str, str]]:
    """Where programs find the token and the emulator, which is served by a thread."""
    urls, ready, ends = list[str](), threading.Event(), list[asyncio.Event]()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        ends.append(asyncio.Event())
        async with emulator.serve() as base_url:
            urls.append(base_url)
            ready.set()
            await ends[0].wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    assert ready.wait(30)
    yield {**os.environ, "USEAPI_TOKEN": TOKEN, "KLING_BASE_URL": urls[0]}
    loop.call_soon_threadsafe(ends[0].set)
    thread.join(30)
    loop.close()


def run(program: str, folder: Path, env: dict[str, str], *options: str) -> list[str]:
    """The lines that a program prints; it says nothing else, and ends by itself."""
    (folder / "program.py").write_text(textwrap.dedent(program), "utf-8")
    done = subprocess.run(
        [sys.executable, *(options or ("-W", "error")), "program.py"],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert TOKEN not in done.stdout
    return done.stdout.splitlines()


def test_a_program_ends_though_a_job_was_left_open(
    environment: dict[str, str], emulator: Emulator, tmp_path: Path
) -> None:
    program = """
        from kling_async import KlingClient
        kling = KlingClient()
        rows = [{"image_url": f"https://x.y/{at}.png"} for at in range(30)]
        job = kling.avatars.create_many(rows, ledger="a.sqlite")
        print(next(job).state)
    """
    assert run(program, tmp_path, environment) == ["created"]
    whole = program.replace("next(job).state", "len(list(job))")
    assert run(whole, tmp_path, environment) == ["30"]
    assert len(emulator.avatars) == 30


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks of POSIX")
def test_forks(environment: dict[str, str], tmp_path: Path) -> None:
    program = """
        import os, sys
        from kling_async import ConfigurationError, KlingClient

        def in_fork(kling):
            if (pid := os.fork()) == 0:
                try:
                    print(len(kling.tts.voices()), flush=True)
                except ConfigurationError as exc:
                    print(exc, flush=True)
                kling.close()
                sys.exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            return len(kling.tts.voices())

        with_fork = KlingClient()
        print(in_fork(with_fork))
        print(in_fork(with_fork))
    """
    # Python warns of forks beside threads, which is what is tried here.
    unused, parent, told, parent_again = run(
        program, tmp_path, environment, "-W", "ignore::DeprecationWarning"
    )
    assert unused == parent == parent_again
    assert "this is a fork: its thread does not run here" in told


def test_a_query_of_djangos_gives_the_rows(
    environment: dict[str, str], emulator: Emulator, tmp_path: Path
) -> None:
    """It refuses threads in which a loop runs, and its connections belong to one thread each."""
    program = """
        import django
        from django.conf import settings
        settings.configure(
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
        )
        django.setup()
        from django.db import connection, models

        class Person(models.Model):
            photo = models.CharField(max_length=99)
            class Meta:
                app_label = "people"

        with connection.schema_editor() as editor:
            editor.create_model(Person)
        for at in range(7):
            Person.objects.create(photo=f"https://x.y/{at}.png")

        from kling_async import KlingClient
        people = Person.objects.values_list("pk", "photo").iterator(chunk_size=2)
        rows = ({"key": str(pk), "image_url": photo} for pk, photo in people)
        with KlingClient() as kling:
            for row in kling.avatars.create_many(rows, ledger="a.sqlite"):
                print(Person.objects.get(pk=row.key).pk, row.state)
    """
    lines = run(program, tmp_path, environment)
    assert sorted(lines) == [f"{at} created" for at in range(1, 8)]
    assert len(emulator.avatars) == 7


def test_flask_serves_many_threads(environment: dict[str, str], tmp_path: Path) -> None:
    program = """
        from concurrent.futures import ThreadPoolExecutor
        from flask import Flask, jsonify
        from kling_async import KlingClient

        app, kling = Flask(__name__), KlingClient()

        @app.get("/voices")
        def voices():
            return jsonify(len(kling.tts.voices()))

        with ThreadPoolExecutor(8) as pool:
            print({*pool.map(lambda _: app.test_client().get("/voices").status_code, range(16))})
    """
    assert run(program, tmp_path, environment) == ["{200}"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Celery's workers fork")
def test_celerys_workers_have_a_client_each(
    environment: dict[str, str], emulator: Emulator, tmp_path: Path
) -> None:
    (tmp_path / "portraits.py").write_text(
        textwrap.dedent("""
            import os
            from celery import Celery
            from kling_async import KlingClient

            app = Celery("portraits", broker="filesystem://", backend="file://results")
            app.conf.broker_transport_options = {
                name: "queue" for name in ("data_folder_in", "data_folder_out", "control_folder")
            }
            kling = KlingClient()

            @app.task
            def create_avatar(url):
                return os.getpid(), kling.avatars.create(image_url=url).id
        """),
        "utf-8",
    )
    for folder in ("queue", "results"):
        (tmp_path / folder).mkdir()
    words = ["-m", "celery", "-A", "portraits", "worker", "-P", "prefork", "-c", "2", "-l", "ERROR",
             "--without-gossip", "--without-mingle", "--without-heartbeat"]  # fmt: skip
    with subprocess.Popen(
        [sys.executable, *words],
        cwd=tmp_path,
        env={**environment, "C_FORCE_ROOT": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as worker:
        try:
            program = """
                from portraits import create_avatar
                asked = [create_avatar.delay(f"https://x.y/{at}.png") for at in range(8)]
                got = [one.get(timeout=80) for one in asked]
                print(*{made for _, made in got})
            """
            (line,) = run(program, tmp_path, environment, "-W", "ignore")
        finally:
            worker.terminate()
            worker.wait(60)
    assert set(line.split()) == {one.id for one in emulator.avatars}
    assert len(emulator.avatars) == 8
