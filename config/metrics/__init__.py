"""What `GET /metrics` tells: counters of the web processes, and figures that are read from the database.

Each app registers its figures in a module ``metrics`` of its own. They only read, and are right
whichever web process answers (docs/adr/0026-counters-in-files-figures-from-the-database.md).
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.module_loading import autodiscover_modules
from prometheus_client.core import GaugeMetricFamily, Metric

Read = Callable[[], Iterable[Metric]]


@dataclass(slots=True)
class Figures:
    """Some figures that are read together, with the names of all of them.

    ``every``: for so many seconds a process tells what it has read. 0 reads at each scrape.
    ``needs_tables``: they are left out while the database does not answer.
    """

    name: str
    read: Read
    every: float
    needs_tables: bool
    _read_at: float = float("-inf")
    _latest: list[Metric] = field(default_factory=list)

    def current(self) -> list[Metric]:
        if not self.every or time.monotonic() - self._read_at >= self.every:
            self._latest, self._read_at = list(self.read()), time.monotonic()
        return self._latest

    def forget(self) -> None:
        self._read_at = float("-inf")


_figures: dict[str, Figures] = {}


def figures(name: str, *, every: float = 0.0, needs_tables: bool = True) -> Callable[[Read], Read]:
    """Register a function that reads figures."""

    def register(read: Read) -> Read:
        _figures[name] = Figures(name, read, every, needs_tables)
        return read

    return register


def all_figures() -> list[Figures]:
    """Return the figures of all apps."""
    import_module("config.metrics.service")
    autodiscover_modules("metrics")
    return list(_figures.values())


def gauge(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    """Return a figure without labels; None leaves it without a value."""
    family = GaugeMetricFamily(f"vod_{name}", text)
    if value is not None:
        family.add_metric([], float(value))
    return family


def gauges(
    name: str, text: str, labels: list[str], values: Mapping[Any, float]
) -> GaugeMetricFamily:
    """Return a figure with labels. The keys of ``values`` are tuples of their values, in this order."""
    family = GaugeMetricFamily(f"vod_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(list(key), float(value))
    return family


def id_after(age: timedelta) -> UUID:
    """Return the lowest id of rows that are younger than ``age``.

    Ids begin with the time (UUIDv7), so that the primary key's index finds them without one of its own.
    """
    milliseconds = int((timezone.now() - age).timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62)
