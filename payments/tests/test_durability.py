"""A power cut undoes nothing of a purchase: which of its commits wait for the disk."""

import pytest
from django.db import connection

from config.tests.durability import DOES_NOT, WAITS, writes
from payments.models import Order, SandboxEvent, SandboxPayment


@pytest.mark.skipif(connection.vendor != "sqlite", reason="an option of SQLite")
@pytest.mark.django_db(transaction=True)
def test_of_a_purchase_only_the_sandboxs_own_rows_do_not_wait(client_for, viewer, make_video):
    """They are in the same file as the books, whose commit waits for both."""
    video = make_video(price=1999)

    with writes() as seen:
        answer = client_for(viewer).post(
            f"/api/v1/payments/purchase/{video.pk}", {"payment_method": "pm_card_visa"}
        )

    assert answer.status_code == 201
    assert Order.objects.get().status == Order.Status.PAID
    own = {model._meta.db_table for model in (SandboxPayment, SandboxEvent)}
    assert {table for table, values in seen.items() if values != {WAITS}} == own
    assert all(seen[table] == {DOES_NOT} for table in own)
    assert {"payments_order", "payments_payment", "payments_transfer", "audit_auditentry"} <= {
        *seen
    }
