"""The filters and the formatter of logs as JSON. Those of lines of text are in `config.http`."""

import logging
import time
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from config import database, log_context
from config.http import explained, mask_secrets

# What a line of JSON may have. Libraries put requests and sockets, with their secrets, into records.
KEYS = ("time", "level", "logger", "message", *log_context.NAMES, "outage", "data", "exc_info")
# The libraries whose errors of connections tell that a part is away.
PARTS = {
    "kombu": "broker", "amqp": "broker", "celery": "broker", "redis": "redis",
    "botocore": "storage", "urllib3": "storage", "stripe": "gateway",
}  # fmt: skip
AWAY = ("connection", "connect", "timeout", "operational", "closed")
DEPTH = 8  # causes of an error that are looked at


class ContextFilter(logging.Filter):
    """A logging filter that adds what the code works on to each record, and drops none."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in log_context.current().items():
            setattr(record, name, value)
        return True


def outage_of(error: BaseException | None) -> str:
    """Return the part that is away by an error or its causes: database, broker, storage …; or ""."""
    for _ in range(DEPTH):
        if error is None:
            break
        if kind := getattr(error, "outage", ""):
            return str(kind)
        reason = database.unavailability(error)
        if reason is not None and reason != database.UNMIGRATED:
            return "database"
        kind = PARTS.get(type(error).__module__.partition(".")[0], "")
        if kind and any(word in type(error).__name__.lower() for word in AWAY):
            return kind
        error = error.__cause__ or error.__context__
    return ""


class OutageFilter(logging.Filter):
    """A logging filter that passes one warning a minute about each part that is away.

    Everything that needs the part fails meanwhile, and each failure would be an error of its own. The
    next line says how many were left out.
    """

    SECONDS = 60.0

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        kind = getattr(record, "outage", "") or outage_of(error)
        if record.name.startswith("opentelemetry."):  # it tells of each batch that it cannot send
            kind = "traces"
        if not kind:
            return True
        now = time.monotonic()
        last, left_out = self._last.get(kind, (float("-inf"), 0))
        if now - last < self.SECONDS:
            self._last[kind] = (last, left_out + 1)
            return False
        self._last[kind] = (now, 0)
        record.outage = kind
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        if left_out:
            record.msg = (
                f"{record.getMessage()} ({left_out} more lines about the {kind} were left out)"
            )
            record.args = None
        return True


class JsonLineFormatter(JsonFormatter):
    """A formatter that writes each record as one line of JSON, with KEYS alone and secrets masked."""

    def __init__(self) -> None:
        super().__init__(
            ["levelname", "name", "message"],
            rename_fields={"levelname": "level", "name": "logger"},
            reserved_attrs=[*RESERVED_ATTRS],
            timestamp="time",
        )

    def format(self, record: logging.LogRecord) -> str:
        return super().format(explained(record))

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        found = {key: log_data.get(key) for key in KEYS}
        return {
            # Before it is written as JSON, where a secret may end in a backslash.
            key: mask_secrets(value) if isinstance(value, str) else value
            for key, value in found.items()
            if value not in (None, "", "-")
        }
