from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_words")]

    operations = [
        migrations.AddField(
            model_name="refreshfamily",
            name="previous",
            field=models.CharField(
                blank=True,
                default="",
                max_length=32,
                verbose_name="id of the refresh token before it",
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="refreshfamily",
            name="network",
            field=models.CharField(
                blank=True,
                default="",
                max_length=64,
                verbose_name="signed in from this network",
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="refreshfamily",
            name="rotated_at",
            field=models.DateTimeField(null=True, verbose_name="last refresh (UTC)"),
        ),
    ]
