"""What did the caller put into the body? Fields, whatever the encoding.

The reference allows JSON and `multipart/form-data` with the same field names; urlencoded forms
are taken too, since curl sends them. What the fields mean is left to `fields.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from .envelopes import bad_request
from .messages import Request

try:
    from python_multipart.exceptions import ParseError
    from python_multipart.multipart import MultipartParser, parse_options_header
except ImportError as _exc:
    raise ImportError(
        "the emulator needs two more packages: pip install 'kling-async[emulator]'"
    ) from _exc

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


def parse_fields(request: Request) -> Mapping[str, object]:
    """The fields of a POST body, by name; an empty body has none.

    Raises:
        Refusal: 400 when the body can't be read as what its Content-Type says. Which status the
            vendor answers there is unknown; 400 is what it documents for bad parameters.
    """
    if not request.body.strip():
        return {}
    content_type = request.header("content-type") or "application/json"
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return _from_json(request.body)
    if kind == "multipart/form-data":
        return _from_multipart(content_type, request.body)
    if kind == "application/x-www-form-urlencoded":
        return _from_urlencoded(request.body)
    raise bad_request(
        f"Content-Type {kind} is not supported here; use application/json or multipart/form-data"
    )


def _from_json(body: bytes) -> Mapping[str, object]:
    try:
        value: object = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise bad_request("The body is not valid JSON") from None
    if not isinstance(value, dict):
        raise bad_request("The body must be a JSON object")
    return value  # pyright: ignore[reportUnknownVariableType] - JSON objects have string keys


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is Python's, not JSON's")


def _from_urlencoded(body: bytes) -> Mapping[str, object]:
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    except ValueError:
        raise bad_request("The form is not valid UTF-8") from None


def _from_multipart(content_type: str, body: bytes) -> Mapping[str, object]:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise bad_request("multipart/form-data comes without a boundary")
    collector = _PartCollector()
    try:
        parser = MultipartParser(boundary, collector.callbacks())
        parser.write(body)
        parser.finalize()
        fields = {name.decode(): value.decode() for name, value in collector.parts}
    except (ParseError, ValueError):
        raise bad_request("The multipart body can't be read") from None
    if not collector.ended:
        raise bad_request("The multipart body is cut short")
    return fields


class _PartCollector:
    """Gathers name and content of each text part; parts with a file name are unknown fields."""

    def __init__(self) -> None:
        self.parts: list[tuple[bytes, bytes]] = []
        self.ended = False
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._disposition = b""
        self._content = bytearray()

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": lambda data, a, b: self._header_name.extend(data[a:b]),
            "on_header_value": lambda data, a, b: self._header_value.extend(data[a:b]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, a, b: self._content.extend(data[a:b]),
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        self._disposition = b""
        self._content.clear()

    def _end_header(self) -> None:
        if bytes(self._header_name).lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _end_part(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" in options and b"filename" not in options:
            self.parts.append((options[b"name"], bytes(self._content)))

    def _end(self) -> None:
        self.ended = True
