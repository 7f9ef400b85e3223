"""Liveness and readiness. No detail that would help an attacker."""

from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

from config.signals import health_checked

_PROBE = "health"


def live(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers; asks nothing of the database."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """200 when every part that a request needs works, else 503; each part's state by name.

    The parts that the apps tell of (``config.signals.health_checked``) are no such parts: when the
    latest check of the books found something, the state is ``degraded`` and the answer stays 200.
    Taking the service away would stop the money, and put nothing right.
    """
    needed = {"database": _database(), "cache": _cache()}
    ok = all(state == "ok" for state in needed.values())
    told = _told() if needed["database"] == "ok" else {}
    if not ok:
        status = "unavailable"
    else:
        status = "ok" if all(state == "ok" for state in told.values()) else "degraded"
    return JsonResponse(
        {"status": status, "parts": {**needed, **told}},
        status=200 if ok else 503,
        headers={} if ok else {"Retry-After": "5"},
    )


def _told() -> dict[str, str]:
    answers = (answer for _, answer in health_checked.send_robust(sender=None))
    return dict(answer for answer in answers if answer and not isinstance(answer, Exception))


def _database() -> str:
    try:
        executor = MigrationExecutor(connection)
        targets = executor.loader.graph.leaf_nodes()
        return "migrations pending" if executor.migration_plan(targets) else "ok"
    except DatabaseError:
        return "unavailable"


def _cache() -> str:
    try:
        cache.set(_PROBE, 1, 10)
        return "ok" if cache.get(_PROBE) == 1 else "unavailable"
    except Exception:  # noqa: BLE001 - whatever a cache back end raises, it is not ready
        return "unavailable"
