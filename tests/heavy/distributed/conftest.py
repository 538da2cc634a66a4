"""Without the programs of a PostgreSQL, these tests say so and are skipped."""

from __future__ import annotations

import os

import pytest
from databases import HERE

from kling_async import ConfigurationError
from kling_async.bulk.launcher import binaries


@pytest.fixture(autouse=True)
def a_postgres() -> None:
    if HERE not in os.environ:
        try:
            binaries()
        except ConfigurationError as exc:
            pytest.skip(str(exc))
