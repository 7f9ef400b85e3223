from django.db import migrations

from audit.migrations._postgresql import join, partition


class Migration(migrations.Migration):

    dependencies = [
        ("audit", "0005_chain_proof"),
    ]

    operations = [
        migrations.RunPython(partition, join),
    ]
