"""Values for the driver are those that the fields make, whatever a value's type is."""

import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db import connection, models

from analytics.models import VideoView
from config.driver_values import adapting
from payments.models import Order
from streaming.models import PlaybackSession
from videos.models import Video

pytestmark = pytest.mark.django_db

ID = uuid.UUID("01a221d3-1913-755f-bfd3-6397c0ae668e")
MOMENT = datetime(2026, 11, 28, 11, 3, 32, 370807, tzinfo=UTC)


class Kind(models.TextChoices):
    """A value of a field whose type is not str itself."""

    ONE = "one"


@pytest.mark.parametrize(
    ("model", "name", "value"),
    [
        (Order, "id", ID),
        (Order, "id", str(ID)),
        (Order, "buyer", ID),
        (Order, "coupon", None),
        (Order, "created_at", MOMENT),
        (Order, "created_at", MOMENT.replace(microsecond=0)),
        (Order, "created_at", MOMENT.astimezone(timezone(timedelta(hours=2)))),
        (Order, "paid_at", None),
        (Order, "amount", 1999),
        (Order, "amount", "1999"),
        (Order, "status", "paid"),
        (Order, "status", Kind.ONE),
        (Video, "is_paid", True),
        (Video, "is_paid", "False"),
        (Video, "duration_seconds", 2.5),
        (Video, "duration_seconds", 2),
        (PlaybackSession, "rebuffer_ms", 2**40),
        (VideoView, "session", ID),
    ],
)
def test_a_value_is_the_one_that_the_field_makes(model, name, value):
    field = model._meta.get_field(name)

    made, expected = (
        prepare(value, connection)
        for prepare in (adapting(field, connection), field.get_db_prep_save)
    )

    # psycopg has integers of a size of its own, each equal to its int.
    assert made == expected
    assert isinstance(expected, type(made))
