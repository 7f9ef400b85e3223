from django.db import migrations, models
from django.db.models import F, Q
from django.db.models.functions import Cast, Ceil

BATCH = 5000
# The past counts as delivered: nothing recorded what was.
UNRECORDED = Q(delivered_seconds=0, watched_seconds__gt=0)


def take_the_past_as_delivered(apps, schema_editor):
    sessions = apps.get_model("streaming", "PlaybackSession").objects
    seconds = Cast(Ceil("watched_seconds"), models.PositiveIntegerField())
    while ids := list(sessions.filter(UNRECORDED).values_list("pk", flat=True)[:BATCH]):
        sessions.filter(pk__in=ids).update(delivered_seconds=seconds)


class Migration(migrations.Migration):
    dependencies = [
        ("streaming", "0004_restricted"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="playbacksession", name="session_to_fold"),
        migrations.RenameField("playbacksession", "clocked_seconds", "counted_seconds"),
        migrations.AlterField(
            model_name="playbacksession",
            name="counted_seconds",
            field=models.FloatField(
                default=0,
                help_text="Watched seconds that count: at most the seconds since the start, and the delivered.",
            ),
        ),
        migrations.AddField(
            model_name="playbacksession",
            name="delivered",
            field=models.BinaryField(
                default=b"", help_text="The segments that were sent: bit n stands for segment n."
            ),
        ),
        migrations.AddField(
            model_name="playbacksession",
            name="delivered_seconds",
            field=models.PositiveIntegerField(
                default=0, help_text="Seconds of the video that were sent: the sum of delivered."
            ),
        ),
        migrations.AddField(
            model_name="playbacksession",
            name="network_key",
            field=models.CharField(
                blank=True,
                help_text="A keyed hash of the viewer's own network and of the day: bounds its views.",
                max_length=40,
            ),
        ),
        migrations.AlterField(
            model_name="playbacksession",
            name="folded_seconds",
            field=models.PositiveIntegerField(
                default=0,
                help_text="Counted seconds that the daily watch time contains already.",
            ),
        ),
        migrations.AddIndex(
            model_name="playbacksession",
            index=models.Index(
                fields=["last_heartbeat_at"],
                name="session_to_fold",
                condition=Q(counted_seconds__gte=F("folded_seconds") + 1, user__isnull=False),
            ),
        ),
        migrations.RunPython(take_the_past_as_delivered, migrations.RunPython.noop),
    ]
