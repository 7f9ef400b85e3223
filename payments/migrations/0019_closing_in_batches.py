"""A month is closed in batches: a pool is CLOSING until all its rows are written."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0018_facts")]

    operations = [
        migrations.AddField(
            model_name="pool",
            name="status",
            field=models.CharField(
                choices=[("closing", "being closed"), ("closed", "closed")],
                default="closed",
                max_length=7,
            ),
        ),
    ]
