import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from audit.migrations._postgresql import forget_pairs, know_pairs

# Names that Django gave. On PostgreSQL, 0006_chain_partitions has left the first one only on the table that
# it renamed, under a longer name.
SINGLE = [
    ("audit_auditentry_actor_id_8ab278be", "audit_auditentry", "actor_id"),
    ("audit_apirequest_caller_id_73975a63", "audit_apirequest", "caller_id"),
    ("audit_caller_actor_id_a227d2cb", "audit_caller", "actor_id"),
]


def wait(apps, schema_editor):
    """Let the indexes of a long log take their time."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("SET LOCAL statement_timeout = 0")


def drop_single(name):
    return [f'DROP INDEX IF EXISTS "{name}"', f'DROP INDEX IF EXISTS "{name}_older"']


def key(model):
    return models.ForeignKey(
        db_constraint=False,
        db_index=False,
        null=True,
        on_delete=django.db.models.deletion.DO_NOTHING,
        related_name="+",
        to=model,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0007_activity"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunPython(wait, wait),
        # Only indexes change: AlterField would copy the whole log on SQLite.
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    drop_single(name),
                    [f'CREATE INDEX IF NOT EXISTS "{name}" ON "{table}" ("{column}")'],
                )
                for name, table, column in SINGLE
            ],
            state_operations=[
                migrations.AlterField("auditentry", "actor", key(settings.AUTH_USER_MODEL)),
                migrations.AlterField("apirequest", "caller", key("audit.caller")),
                migrations.AlterField("caller", "actor", key(settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.RemoveIndex("apirequest", "api_request_by_status"),
        migrations.RemoveIndex("apirequest", "api_request_by_method"),
        migrations.RemoveIndex("auditentry", "audit_by_actor"),
        migrations.RemoveIndex("auditentry", "audit_by_action"),
        migrations.RemoveIndex("auditentry", "audit_by_target"),
        migrations.RemoveIndex("caller", "caller_by_ip"),
        migrations.AddIndex(
            "apirequest",
            models.Index(
                fields=["caller", "number", "status", "method"], name="api_request_by_caller"
            ),
        ),
        migrations.AddIndex(
            "apirequest",
            models.Index(fields=["status", "number", "method"], name="api_request_by_status"),
        ),
        migrations.AddIndex(
            "apirequest",
            models.Index(fields=["method", "number", "status"], name="api_request_by_method"),
        ),
        migrations.AddIndex(
            "auditentry",
            models.Index(
                fields=["actor", "-at", "ip", "action", "method", "status", "target_type"],
                name="audit_by_actor",
            ),
        ),
        migrations.AddIndex(
            "auditentry",
            models.Index(
                fields=["ip", "-at", "action", "method", "status", "target_type"],
                name="audit_by_ip",
            ),
        ),
        migrations.AddIndex(
            "auditentry",
            models.Index(
                fields=["target_type", "-at", "action", "method", "status"], name="audit_by_type"
            ),
        ),
        migrations.AddIndex(
            "auditentry", models.Index(fields=["target_id", "-at"], name="audit_by_target")
        ),
        migrations.AddIndex(
            "auditentry",
            models.Index(fields=["action", "-at", "method", "status"], name="audit_by_action"),
        ),
        migrations.AddIndex(
            "auditentry", models.Index(fields=["method", "-at"], name="audit_by_method")
        ),
        migrations.AddIndex(
            "auditentry",
            models.Index(
                fields=["status", "-at", "method"],
                name="audit_by_status",
                condition=models.Q(status__isnull=False),
            ),
        ),
        migrations.AddIndex(
            "caller", models.Index(fields=["actor", "day"], name="caller_by_actor")
        ),
        migrations.AddIndex("caller", models.Index(fields=["ip", "day"], name="caller_by_ip")),
        migrations.RunPython(know_pairs, forget_pairs),
    ]
