"""What does the emulator take, as an OpenAPI document? Made from its tables of operations and jobs.

Jobs say each field and its limits, because their table does. The fields of other operations are
read by code, so their bodies are objects about which nothing is said; answers are not described.
The emulator's own endpoints come from their table as well.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from .inspection import ENDPOINTS
from .operation import API_ROOT, Operation
from .operations import OPERATIONS
from .operations.image_jobs import IMAGE_JOBS
from .operations.jobfields import JobField
from .operations.starting import MAX_MAX_JOBS
from .operations.video_jobs import JOBS as VIDEO_JOBS

Schema: TypeAlias = dict[str, object]

_TEXT: Schema = {"type": "string"}
_OF_ALL_JOBS: dict[str, Schema] = {
    "email": _TEXT,
    "maxJobs": {"type": "integer", "minimum": 1, "maximum": MAX_MAX_JOBS},
    "replyUrl": {"type": "string", "format": "uri"},
    "replyRef": _TEXT,
}
_JOBS = {spec.name: spec for spec in (*VIDEO_JOBS, *IMAGE_JOBS)}


def document() -> Schema:
    """An OpenAPI 3.1 document of all operations; paths are whole, so there is no `servers`."""
    paths: dict[str, dict[str, Schema]] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    for (method, name), endpoint in ENDPOINTS.items():
        own: Schema = {
            "operationId": f"emulator.{method.lower()}_{name}",
            "tags": ["emulator"],
            "summary": endpoint.does,
            "responses": {"200": {"description": "JSON"}},
            "security": [],
        }
        if endpoint.body is not None:
            own["requestBody"] = {"content": {"application/json": {"schema": endpoint.body}}}
        paths.setdefault(f"/_emulator/{name}", {})[method.lower()] = own
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "kling-async's emulator of the Kling API v1 of useapi.net",
            "version": API_ROOT.split("/")[1],
        },
        "paths": paths,
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
    }


def _operation(one: Operation) -> Schema:
    places = [(name, "path") for name in re.findall(r"\{(\w+)\}", one.path)]
    if one.email == "query":
        places.append(("email", "query"))
    shown: Schema = {
        "operationId": one.name,
        "tags": [one.name.partition(".")[0]],
        "parameters": [
            {"name": name, "in": place, "required": place == "path", "schema": _TEXT}
            for name, place in places
        ],
        "responses": {"200": {"description": "What the vendor's pages show"}},
    }
    if one.open_to_all:
        shown["security"] = []
    if one.reads_body_fields:
        schema = _body(one.name)
        forms = ("application/json", "multipart/form-data", "application/x-www-form-urlencoded")
        shown["requestBody"] = {"content": {form: {"schema": schema} for form in forms}}
    elif one.method == "POST":
        shown["requestBody"] = {"content": {"*/*": {}}, "required": True}
    return shown


def _body(name: str) -> Schema:
    if (spec := _JOBS.get(name)) is None:
        return {"type": "object"}
    own = {field.name: _field(field) for field in spec.fields}
    required = [field.name for field in spec.fields if field.required]
    return {"type": "object", "properties": own | _OF_ALL_JOBS, "required": required}


def _field(field: JobField) -> Schema:
    if field.kind == "flag":
        return {"type": "boolean"}
    if field.kind in ("number", "whole"):
        kind = "integer" if field.kind == "whole" else "number"
        return {"type": kind, "minimum": field.low, "maximum": field.high}
    if field.is_file:
        return {"type": "string", "format": "uri"}
    shown: Schema = {"type": "string"}
    if field.values:
        shown["enum"] = list(field.values)
    if field.max_chars is not None:
        shown["maxLength"] = field.max_chars
    return shown
