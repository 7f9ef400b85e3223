from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0011_upgrades'),
    ]

    operations = [
        migrations.AddField(
            model_name='subscription',
            name='must_not_renew',
            field=models.BooleanField(default=False),
        ),
        migrations.AddIndex(
            model_name='subscription',
            index=models.Index(condition=models.Q(('must_not_renew', True)), fields=['status'], name='subscription_must_not_renew'),
        ),
    ]
