"""Is the table of operations what the code says, and does it name all that there is?"""

from __future__ import annotations

import api_coverage
import pytest
from api_coverage import API, COMMANDS, PAGE, Row, page, requests, rows


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "run: python tests/heavy/docs/api_coverage.py"
    )


def test_the_api_has_49_operations_and_each_request_is_one_of_them() -> None:
    every = [operation for operations in API.values() for operation in operations]
    assert (len(every), len(set(every))) == (49, 49)
    assert set(requests()) <= set(every)


def test_what_the_library_sends_has_a_method_and_a_command() -> None:
    for row in rows():
        if row.request is not None:
            assert row.method == row.request.operation
            assert row.command is not None, row


def test_what_is_there_and_what_is_not_are_counted_in_the_text() -> None:
    there = [row for row in rows() if row.request is not None]
    assert f"{len(there)} of the 49 operations" in page()
    assert f"{49 - len(there)} that say *later* are not built yet" in page()


def test_a_missing_method_or_command_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert api_coverage._method("tasks.cancel") is None
    assert api_coverage._command("tasks cancel") is None
    assert api_coverage._command("tasks get now") is None
    monkeypatch.setitem(COMMANDS, "tasks.get", "tasks nowhere")
    (row,) = [one for one in rows() if one.operation == "GET /tasks/{task_id}"]
    assert row.line().endswith("| read | later | yes |")
    assert Row("GET /elements").line() == "| `GET /elements` | later | | | | |"
