from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0010_money_modes'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='invoice',
            name='invoice_positive',
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gte', 0)), name='invoice_not_negative'),
        ),
    ]
