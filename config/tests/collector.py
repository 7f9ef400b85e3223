"""A collector of OpenTelemetry for tests: takes spans over HTTP, as one does in production."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class Collector:
    """The spans that have arrived, each with its name, attributes, ids and state."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.spans: list[dict[str, Any]] = []
        self.raw = b""

    def named(self, name: str) -> list[dict[str, Any]]:
        return [span for span in self.spans if span["name"] == name]


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector. Skips the test where OpenTelemetry is not installed."""
    try:
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
    except ImportError:
        pytest.skip("missing: opentelemetry (requirements-tracing.txt)")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                raise AssertionError("not asked for")
            found.raw += body
            sent = service.ExportTraceServiceRequest.FromString(body)
            for resource in sent.resource_spans:
                for scope in resource.scope_spans:
                    found.spans += [_read(span) for span in scope.spans]
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Collector(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def _read(span: Any) -> dict[str, Any]:
    values = {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes
    }
    return {
        "name": span.name,
        "id": span.span_id,
        "parent": span.parent_span_id,
        "failed": span.status.code == 2,
        "seconds": (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        **values,
    }
