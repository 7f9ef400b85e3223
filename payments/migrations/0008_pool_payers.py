from django.db import migrations, models

CHOICES = [
    ("invoiced", "subscribers with a paid invoice, also after its refund"),
    ("kept", "subscribers whose money has stayed"),
]


def field(default):
    return models.CharField(
        choices=CHOICES,
        default=default,
        help_text="Months that were closed by an older version have counted refunded subscribers too.",
        max_length=10,
        verbose_name="whose watch time counts",
    )


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0007_clocks"),
    ]

    operations = [
        # The months that are closed already keep the rule by which they were shared.
        migrations.AddField(model_name="pool", name="payers", field=field("invoiced")),
        migrations.AlterField(model_name="pool", name="payers", field=field("kept")),
    ]
