import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('videos', '0009_chunks'),
    ]

    operations = [
        migrations.AddField(
            model_name='processingjob',
            name='creator',
            field=models.ForeignKey(null=True, db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.RunSQL(
            'UPDATE videos_processingjob SET creator_id = '
            '(SELECT creator_id FROM videos_video WHERE videos_video.id = videos_processingjob.video_id)',
            migrations.RunSQL.noop,
        ),
        migrations.AlterField(
            model_name='processingjob',
            name='creator',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='processingjob',
            name='dispatched_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddIndex(
            model_name='processingjob',
            index=models.Index(condition=models.Q(('state', 'queued')), fields=['stage', 'creator', 'created_at', 'id'], name='job_waiting'),
        ),
        migrations.AddIndex(
            model_name='processingjob',
            index=models.Index(condition=models.Q(('state', 'running')), fields=['creator'], name='job_running'),
        ),
        migrations.AddIndex(
            model_name='processingjob',
            index=models.Index(fields=['creator', '-started_at'], name='job_begun'),
        ),
    ]
