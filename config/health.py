"""Liveness and readiness. No detail that would help an attacker."""

from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

_PROBE = "health"


def live(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers; asks nothing of the database."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """200 when every part that a request needs works, else 503; each part's state by name."""
    parts = {"database": _database(), "cache": _cache()}
    ok = all(state == "ok" for state in parts.values())
    return JsonResponse(
        {"status": "ok" if ok else "unavailable", "parts": parts},
        status=200 if ok else 503,
        headers={} if ok else {"Retry-After": "5"},
    )


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
