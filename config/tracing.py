"""Traces by OpenTelemetry: a span for each request to Django, and for each attempt at a job.

Nothing happens, and nothing is imported, unless OTEL_EXPORTER_OTLP_ENDPOINT is set. A span has ids,
routes and states; never a path, an address or a header, because those may hold secrets.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings

SERVICE = "vod"
FLUSH_MS = 3000
Interval = tuple[str, int, int]  # a step, and its begin and end in nanoseconds since 1970

_lock = threading.Lock()
_provider: Any = None  # of this process


def _tracer() -> Any:
    """Return the tracer of this process. The first call begins the thread that sends spans."""
    global _provider
    with _lock:
        if _provider is None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor

            _provider = TracerProvider(resource=Resource.create({"service.name": SERVICE}))
            exporter = OTLPSpanExporter(f"{settings.OTEL_EXPORTER_OTLP_ENDPOINT}/v1/traces")
            _provider.add_span_processor(BatchSpanProcessor(exporter))
    return _provider.get_tracer(SERVICE)


class Span:
    """What the work in a span tells about it. Without traces it is told to nobody."""

    def __init__(self, real: Any = None) -> None:
        self._real = real

    def rename(self, name: str) -> None:
        if self._real is not None:
            self._real.update_name(name)

    def set(self, **attributes: Any) -> None:
        """Set attributes; a double underscore in a name stands for a dot."""
        if self._real is not None:
            for name, value in attributes.items():
                self._real.set_attribute(name.replace("__", "."), value)

    def fail(self) -> None:
        """Mark the span as failed, by a fault of the service."""
        if self._real is not None:
            from opentelemetry.trace import StatusCode

            self._real.set_status(StatusCode.ERROR)


NOTHING = Span()


@contextmanager
def span(name: str, **attributes: Any) -> Iterator[Span]:
    """Make a span of what happens meanwhile. An exception marks it as failed, by its class alone."""
    if not settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        yield NOTHING
        return
    with _tracer().start_as_current_span(
        name, record_exception=False, set_status_on_exception=False
    ) as real:
        found = Span(real)
        found.set(**attributes)
        try:
            yield found
        except BaseException as error:
            found.set(error__type=type(error).__name__)
            found.fail()
            raise


def add(intervals: Iterable[Interval]) -> None:
    """Add spans of what has happened already, inside the current one."""
    if not settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        return
    tracer = _tracer()
    for name, begin, end in intervals:
        tracer.start_span(name, start_time=begin).end(end)


def flush() -> None:
    """Send what was not sent yet, before the process ends. Waits for FLUSH_MS at most."""
    if _provider is not None:
        _provider.force_flush(FLUSH_MS)
