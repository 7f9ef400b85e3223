"""Reads what Prometheus reads: the text of `GET /metrics`."""

from collections.abc import Iterator
from unittest import mock

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from config.metrics import scraping
from config.metrics.scraping import Scrapes

PATIENT_SECONDS = 60.0  # a busy machine leaves no part out


class Samples:
    """The samples of one scrape, by name."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))
        self._samples = [sample for family in self.families for sample in family.samples]

    def names(self) -> set[str]:
        return {sample.name for sample in self._samples}

    def of(self, name: str) -> list[tuple[dict[str, str], float]]:
        """Return the labels and the value of each sample with this name."""
        return [(sample.labels, sample.value) for sample in self._samples if sample.name == name]

    def one(self, name: str, **labels: str) -> float:
        """Return the value of the one sample with this name and these labels."""
        (found,) = self._matching(name, labels)
        return found

    def sum(self, name: str, **labels: str) -> float:
        return sum(self._matching(name, labels))

    def _matching(self, name: str, labels: dict[str, str]) -> Iterator[float]:
        for found, value in self.of(name):
            if labels.items() <= found.items():
                yield value


def read(text: str) -> Samples:
    return Samples(text)


def everything() -> list[Metric]:
    """Return all metrics, those without a value too."""
    with mock.patch.object(scraping, "GIVE_UP_SECONDS", PATIENT_SECONDS):
        text = Scrapes()._answer().decode()
    return list(text_string_to_metric_families(text))


def public_name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def labels(family: Metric) -> set[str]:
    return {label for sample in family.samples for label in sample.labels} - {"le"}
