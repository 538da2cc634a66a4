"""What do other libraries log of our calls? Addresses; and an address may tell too much.

httpx writes a line with the whole URL for each request, at INFO: the account's e-mail is in it.
Servers write the path of each request: for a callback, that is its secret.

    hide_addresses()

Our own lines name routes by their templates and need no filter.
"""

from __future__ import annotations

import logging
import re

from .hidden import without_secrets

LOGGERS = ("httpx", "uvicorn.access", "aiohttp.access")
_NUMBERS = (int, float, bool, type(None))


class HideAddresses(logging.Filter):
    """Takes e-mails, tokens and webhook secrets out of every record that passes; drops none.

    Args:
        webhook_prefix: of the `WebhookReceiver`.

    Examples:
        >>> logging.getLogger("app").addFilter(HideAddresses())
    """

    def __init__(self, webhook_prefix: str = "/kling-webhook") -> None:
        super().__init__()
        self._secret = re.compile(rf"({re.escape(webhook_prefix)}/)[A-Za-z0-9_-]{{16,}}")

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True; the record is changed."""
        record.msg = self._hidden(record.msg)
        if isinstance(record.args, tuple):
            # Numbers stay numbers: "%d" wants them.
            record.args = tuple(self._hidden(one) for one in record.args)
        return True

    def _hidden(self, value: object) -> object:
        if isinstance(value, _NUMBERS):
            return value
        before = str(value)
        after = self._secret.sub(r"\1(secret)", without_secrets(before))
        return value if after == before else after


def hide_addresses(*loggers: str, webhook_prefix: str = "/kling-webhook") -> None:
    """Put the filter on loggers, once each.

    Args:
        loggers: their names; default: those of httpx, uvicorn's and aiohttp's access logs.
        webhook_prefix: of the `WebhookReceiver`.

    Examples:
        >>> hide_addresses("httpx", "app")
    """
    for name in loggers or LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, HideAddresses) for one in logger.filters):
            logger.addFilter(HideAddresses(webhook_prefix))
