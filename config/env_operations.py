"""Readers of the settings of operations."""

from importlib.util import find_spec

from config.env import origin, wrong

INSTALL = "it needs OpenTelemetry: pip install -r requirements-tracing.txt"


def collector(name: str) -> str:
    """Return the origin of a collector of OpenTelemetry, or "" without one."""
    found = origin(name)
    if found and find_spec("opentelemetry") is None:
        wrong(name, INSTALL, example="")
    return found
