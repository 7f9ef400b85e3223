"""Liveness and readiness checks. They reveal no detail that would help an attacker."""

from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from config.signals import health_checked

_PROBE = "health"


@csrf_exempt  # no cookie is read, so that any method but these is a 405
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """Answer 200 as long as the process runs. The database is not asked."""
    return JsonResponse({"status": "ok"})


@csrf_exempt
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Answer with the state of each part: 200 if database and cache work, else 503.

    Parts reported by apps (``config.signals.health_checked``) are informational. If one of them is not
    "ok", such as the books after a failed check, the status is ``degraded`` and the answer stays 200:
    to take the service away would stop all payments and repair nothing.
    """
    required = {"database": _database(), "cache": _cache()}
    works = all(state == "ok" for state in required.values())
    reported = _reported_parts() if required["database"] == "ok" else {}
    if not works:
        status = "unavailable"
    else:
        status = "ok" if all(state == "ok" for state in reported.values()) else "degraded"
    return JsonResponse(
        {"status": status, "parts": {**required, **reported}},
        status=200 if works else 503,
        headers={} if works else {"Retry-After": "5"},
    )


def _reported_parts() -> dict[str, str]:
    """Return the parts that apps report, by name. An app whose receiver fails is left out."""
    answers = (answer for _, answer in health_checked.send_robust(sender=None))
    return dict(answer for answer in answers if answer and not isinstance(answer, Exception))


def _database() -> str:
    """Return "ok", "migrations pending" or "unavailable"."""
    try:
        executor = MigrationExecutor(connection)
        targets = executor.loader.graph.leaf_nodes()
        return "migrations pending" if executor.migration_plan(targets) else "ok"
    except DatabaseError:
        return "unavailable"


def _cache() -> str:
    """Return "ok" if a value that is stored can be read back, else "unavailable"."""
    try:
        cache.set(_PROBE, 1, 10)
        return "ok" if cache.get(_PROBE) == 1 else "unavailable"
    except Exception:  # noqa: BLE001 - each back end raises errors of its own
        return "unavailable"
