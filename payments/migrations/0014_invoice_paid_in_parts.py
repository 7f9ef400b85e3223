from django.db import migrations, models
from django.db.models import F, OuterRef, Q, Subquery


def give_payments_their_part(apps, schema_editor):
    """Move each invoice's recognised amount to its one payment; until now an invoice had only one."""
    Payment = apps.get_model("payments", "Payment")
    Invoice = apps.get_model("payments", "Invoice")
    of_invoice = Invoice.objects.filter(pk=OuterRef("invoice_id")).values("recognised")[:1]
    paying = Payment.objects.filter(disposition="applied", invoice__recognised__gt=0)
    paying.update(recognised=Subquery(of_invoice))


class Migration(migrations.Migration):

    dependencies = [
        ("payments", "0013_rights"),
    ]

    operations = [
        migrations.AddField(
            model_name="payment",
            name="recognised",
            field=models.BigIntegerField(default=0),
        ),
        migrations.RunPython(give_payments_their_part, migrations.RunPython.noop, elidable=True),
        migrations.AlterField(
            model_name="payment",
            name="disposition",
            field=models.CharField(
                choices=[
                    ("none", "nothing captured yet"),
                    ("applied", "pays its order or invoice"),
                    ("duplicate", "duplicate: is sent back"),
                    ("unmatched", "pays no order or invoice: in suspense"),
                ],
                default="none",
                max_length=12,
            ),
        ),
        migrations.RemoveConstraint(
            model_name="payment",
            name="payment_applied_to_invoice",
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                name="payment_recognised",
                condition=Q(recognised__gte=0, recognised__lte=F("captured")),
            ),
        ),
    ]
