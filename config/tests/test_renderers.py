"""The quick renderer writes the bytes of REST framework's own."""

import datetime
import decimal
import uuid

import pytest
from django.db.models import TextChoices
from django.utils.translation import gettext_lazy
from rest_framework.renderers import JSONRenderer

from config.api.renderers import QuickJSONRenderer


class Word(TextChoices):
    ONE = "one"


VALUES = [
    {"a": 1, "b": [True, False, None], "c": {"d": "é 字 \u2028 \u2029 \x1f \x7f </script>"}},
    [0.1, 3600.0, -0.0, 1e15, 123456.789, 0.001, 0.0001],
    [decimal.Decimal("19.90"), uuid.UUID(int=7), Word.ONE, gettext_lazy("lazy"), ("a", 1)],
    [
        datetime.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=datetime.UTC),
        datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
        datetime.date(2026, 1, 2),
        datetime.timedelta(seconds=1.5),
    ],
    [2**63 - 1, -(2**63), 2**70],
    "", [], {}, None, 0,
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("kind", ["application/json", "application/json; indent=4", None])
def test_the_bytes_are_the_same(value, kind):
    assert QuickJSONRenderer().render(value, kind) == JSONRenderer().render(value, kind)


def test_what_no_renderer_can_write_stays_an_error():
    for renderer in (QuickJSONRenderer(), JSONRenderer()):
        with pytest.raises(TypeError):
            renderer.render({"a": object()})
