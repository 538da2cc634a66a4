"""Which operation does this method and path mean?

Pure lookup over the table of operations; a single trailing slash makes no difference (the
vendor's own material mixes both forms).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

from .operation import Operation

_Path = tuple[str, ...]


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
        self._fixed: dict[_Path, list[Operation]] = {}
        self._named: dict[int, list[tuple[_Path, Operation]]] = {}
        for operation in operations:
            parts = tuple(operation.path.split("/")[1:])
            if any(part[0] == "{" for part in parts):
                self._named.setdefault(len(parts), []).append((parts, operation))
            else:
                self._fixed.setdefault(parts, []).append(operation)

    def find(self, method: str, segments: tuple[str, ...]) -> Match:
        """The operation; HEAD is answered by whatever answers GET."""
        wanted = "GET" if method == "HEAD" else method
        allowed: list[str] = []
        for values, operation in self._fitting(segments):
            if operation.method == wanted:
                return Match(operation, values)
            allowed.append(operation.method)
        if "GET" in allowed:
            allowed.append("HEAD")
        return Match(None, {}, tuple(sorted(set(allowed))))

    def _fitting(self, segments: _Path) -> Iterator[tuple[Mapping[str, str], Operation]]:
        """All that fit the path, fixed routes first: a name never hides one of them."""
        for operation in self._fixed.get(segments, ()):
            yield {}, operation
        for parts, operation in self._named.get(len(segments), ()):
            values = _fit(parts, segments)
            if values is not None:
                yield values, operation


def _fit(parts: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, str] | None:
    values: dict[str, str] = {}
    for part, segment in zip(parts, segments, strict=True):
        if part.startswith("{") and segment:
            values[part[1:-1]] = segment
        elif part != segment:
            return None
    return values
