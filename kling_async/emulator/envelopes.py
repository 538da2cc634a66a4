"""What does a refusal look like on the wire?

The error bodies the reference documents, each made in one place. Operations raise `Refusal`; the
emulator turns it into the reply it carries. Wording is ours wherever the reference prints none.
"""

from __future__ import annotations

import json

from .messages import Reply

_CODE = "(CM_EXT.POther)"  # the documented code of a moderated request
MODERATED = f"The content may violate the community guidelines {_CODE}"


class Refusal(Exception):
    """The request is turned down; `reply` says how."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def error(text: str, status: int) -> Reply:
    """`{"error": text}`: documented for validation, not-found and most other errors."""
    return Reply.of_json({"error": text}, status)


def error_with_code(text: str, status: int) -> Reply:
    """`{"error": text, "code": status}`: documented for 401 and 402."""
    return Reply.of_json({"error": text, "code": status}, status)


def error_with_message(text: str, message: str, status: int = 500) -> Reply:
    """`{"error": text, "message": message}`: documented for 500; `error` is the one that counts."""
    return Reply.of_json({"error": text, "message": message}, status)


def moderated() -> Reply:
    """500 is how moderation shows, documented; the code is in both texts."""
    return error_with_message(MODERATED, f"Service busy, please try again later {_CODE}")


def nested_error(text: str, status: int) -> Reply:
    """An upstream error passed through: documented for the platform, with objects inside."""
    inner: dict[str, object] = {"code": status, "message": text, "status": "UNKNOWN", "details": []}
    return Reply.of_json({"error": inner}, status)


def unauthorized() -> Reply:
    """Documented to the letter."""
    return error_with_code("Unauthorized", 401)


def bad_request(text: str) -> Refusal:
    """400 with a text for people."""
    return Refusal(error(text, 400))


def missing(name: str) -> Refusal:
    """400 of a parameter that must be there, documented to the letter."""
    return bad_request(f"Parameter {name} is required")


def malformed(name: str, value: object) -> Refusal:
    """400 of a value that is not allowed, documented to the letter; how long texts show is not."""
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return bad_request(f"Parameter {name} ({shown}) has incorrect format")


def invalid_parameters() -> Refusal:
    """The documented 400 of `/assets/uploaded/` and `/assets/download`."""
    return Refusal(error("Invalid parameters", 400))


def not_found(text: str) -> Refusal:
    """404 with a text for people."""
    return Refusal(error(text, 404))


def prose_not_found(text: str) -> Refusal:
    """The 404 of the accounts pages, which the reference prints as prose and not as JSON.

    Unknown is whether the wire carries text, JSON or nothing; text is the hardest for a client.
    """
    return Refusal(Reply.of_text(text, 404))
