"""Fill what the new columns and tables must hold for what was sold before them."""

from django.db import migrations
from django.db.models import F, Value
from django.db.models.functions import StrIndex, Substr


def name_roles(apps, schema_editor):
    accounts = apps.get_model("payments", "LedgerAccount").objects.filter(role="")
    accounts.update(role=Substr("code", 1, StrIndex(F("code"), Value(":")) - 1))


def mark_declined(apps, schema_editor):
    payments = apps.get_model("payments", "SandboxPayment").objects
    payments.exclude(decline_code="").update(status="failed")


def hand_over_subscriptions(apps, schema_editor):
    """The sandbox bills now: it is told of every subscription that runs."""
    subscriptions = apps.get_model("payments", "Subscription").objects
    at_gateway = apps.get_model("payments", "SandboxSubscription").objects
    billed = apps.get_model("payments", "SandboxInvoice").objects
    running = subscriptions.filter(status="active", gateway="sandbox", external_id=None)
    for row in running.select_related("plan"):
        there = at_gateway.create(
            id=f"sbs_{row.pk.hex}",
            idempotency_key=f"sub:{row.pk}:handed-over",
            reference=str(row.pk),
            plan_code=row.plan.code,
            amount=row.plan.amount,
            currency=row.plan.currency,
            interval=row.plan.interval,
            payment_method="pm_card_visa",
            status="active",
            anchor=row.period_start,
            period_start=row.period_start,
            period_end=row.period_end,
            cancel_at_period_end=row.cancel_at_period_end,
        )
        subscriptions.filter(pk=row.pk).update(external_id=there.pk)
        for invoice in row.invoices.all():
            invoice.external_id = f"sbi_{invoice.pk.hex}"
            invoice.save(update_fields=["external_id"])
            billed.create(
                id=invoice.external_id,
                subscription=there,
                period_start=invoice.period_start,
                period_end=invoice.period_end,
                amount=invoice.amount,
                currency=invoice.currency,
                status=invoice.status,
            )


def date_payments(apps, schema_editor):
    """What was earned before there was a hold may be paid out at once."""
    invoices = apps.get_model("payments", "Invoice").objects
    for invoice in invoices.filter(status="paid", paid_at=None):
        invoice.paid_at = invoice.period_start
        invoice.save(update_fields=["paid_at"])


class Migration(migrations.Migration):
    dependencies = [("payments", "0003_money")]
    operations = [
        migrations.RunPython(step, migrations.RunPython.noop)
        for step in (name_roles, mark_declined, hand_over_subscriptions, date_payments)
    ]
