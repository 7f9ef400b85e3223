"""The figures of playback, and the counting of its decisions in the API."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Count
from prometheus_client.core import Metric
from rest_framework.response import Response

from config.metrics import figures, gauges, processes
from streaming.models import PREVIEW, PlaybackSession

ACCESS = ("free", "owner", "admin", "moderator", "order", "subscription", PREVIEW)


@figures("sessions")
def sessions() -> Iterator[Metric]:
    """One statement, over an index of the sessions that have not ended."""
    rows = PlaybackSession.objects.running().order_by().values_list("access").annotate(Count("pk"))
    found = {(access,): 0.0 for access in ACCESS} | {(access,): number for access, number in rows}
    text = "Running playback sessions, by the reason for access."
    yield gauges("playback_sessions", text, ["access"], found)


class CountsDecisions:
    """A view whose answers decide about playback. ``step`` names the decision."""

    step = ""

    def finalize_response(self, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(*args, **kwargs)  # type: ignore[misc]  # of a view
        processes.count_decision(self.step, _result(response))
        return response


def _result(response: Any) -> str:
    if response.status_code < 400:
        return "granted"
    body = response.data if isinstance(response, Response) else None
    errors = body.get("errors") if isinstance(body, dict) else None
    return str(errors[0]["code"]) if errors else f"http_{response.status_code}"
