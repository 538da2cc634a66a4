"""What PostgreSQL do tests use? One a process, started when the first test asks, without syncing.

`KLING_TEST_POSTGRES` names one that is there.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from kling_async.bulk.launcher import TrialServer

HERE = "KLING_TEST_POSTGRES"


@cache
def database() -> str:
    """Its address; child processes are told of it."""
    if found := os.environ.get(HERE):
        return found
    folder = Path(tempfile.mkdtemp(prefix="kling-tests-"))
    folder.chmod(0o755)  # as root, the server is nobody's
    server = TrialServer(folder / "data", durable=False)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.stop)
    os.environ[HERE] = server.start()
    return os.environ[HERE]
