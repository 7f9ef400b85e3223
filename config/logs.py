"""The configuration of logging: lines on stderr, in the form of logging.config.dictConfig."""

from typing import Any


def configuration(level: str) -> dict[str, Any]:
    """Return the configuration; messages below ``level`` are not written."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "request_id": {"()": "config.http.RequestIdFilter"},
            "no_invalid_requests": {"()": "config.http.InvalidRequestFilter"},
            "no_repetition": {"()": "config.http.RepetitionFilter"},
        },
        "formatters": {
            "line": {
                "()": "config.http.OneLineFormatter",
                "format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s",
            }
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["request_id", "no_repetition"],
            }
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Client errors (4xx) are not logged here: the audit log records them with their request.
            "django.request": {"level": "ERROR"},
            # A stranger must not be able to fill the log, so it has no lines about refused requests.
            "django.security": {"level": "CRITICAL"},
            "uvicorn.error": {"filters": ["no_invalid_requests"]},
            "uvicorn.access": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
        },
    }
