"""The configuration of logging: lines on stderr, in the form of logging.config.dictConfig."""

from typing import Any

FORMATS = ("text", "json")


def configuration(level: str, form: str) -> dict[str, Any]:
    """Return the configuration; messages below ``level`` are not written. ``form``: of FORMATS."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "context": {"()": "config.log_records.ContextFilter"},
            "outages": {"()": "config.log_records.OutageFilter"},
            "no_invalid_requests": {"()": "config.http.InvalidRequestFilter"},
            "no_repetition": {"()": "config.http.RepetitionFilter"},
        },
        "formatters": {
            "json": {"()": "config.log_records.JsonLineFormatter"},
            "text": {
                "()": "config.http.OneLineFormatter",
                "format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s",
            },
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": form,
                "filters": ["context", "outages", "no_repetition"],
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
