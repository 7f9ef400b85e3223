from django.db import migrations, models
from django.db.models import F


def date_old_refunds(apps, schema_editor):
    refunds = apps.get_model("payments", "Refund").objects.filter(counted_at=None)
    refunds.filter(status__in=["pending", "succeeded"]).update(counted_at=F("created_at"))


class Migration(migrations.Migration):
    dependencies = [("payments", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="refund",
            name="counted_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.RunPython(date_old_refunds, migrations.RunPython.noop),
    ]
