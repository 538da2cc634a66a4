"""Which operation does this method and path mean?

Pure lookup over the table of operations; a single trailing slash makes no difference (the
vendor's own material mixes both forms).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from .operation import Operation


@frozen
class Match:
    """What a path leads to.

    Args:
        operation: None when the path is unknown or does not take the method.
        path: the decoded values of the `{names}` in the route.
        allowed: the methods the path takes; empty when it is unknown.
    """

    operation: Operation | None
    path: Mapping[str, str]
    allowed: tuple[str, ...] = ()


class Routes:
    """A table of operations, asked by method and path."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        table = [(tuple(one.path.split("/")[1:]), one) for one in operations]
        # Routes with fewer {names} first: a name never hides a fixed route.
        self._table = sorted(table, key=lambda row: sum(part[0] == "{" for part in row[0]))

    def find(self, method: str, segments: tuple[str, ...]) -> Match:
        """The operation; HEAD is answered by whatever answers GET."""
        wanted = "GET" if method == "HEAD" else method
        allowed: list[str] = []
        for parts, operation in self._table:
            values = _fit(parts, segments)
            if values is None:
                continue
            if operation.method == wanted:
                return Match(operation, values)
            allowed.append(operation.method)
        if "GET" in allowed:
            allowed.append("HEAD")
        return Match(None, {}, tuple(sorted(set(allowed))))


def _fit(parts: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, str] | None:
    if len(parts) != len(segments):
        return None
    values: dict[str, str] = {}
    for part, segment in zip(parts, segments, strict=True):
        if part.startswith("{") and segment:
            values[part[1:-1]] = segment
        elif part != segment:
            return None
    return values
