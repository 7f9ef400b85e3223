import config.ids
import django.db.models.deletion
import django.db.models.expressions
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from config.deferred import RunDeferred


class Migration(migrations.Migration):

    replaces = [('streaming', '0001_initial'), ('streaming', '0002_clocked_seconds'), ('streaming', '0003_words'), ('streaming', '0004_restricted'), ('streaming', '0005_delivered'), ('streaming', '0006_forgetting'), ('streaming', '0007_earning'), ('streaming', '0008_withdrawn'), ('streaming', '0009_begun')]

    initial = True

    dependencies = [
        ('accounts', '0005_forgetting'),
        ('payments', '0005_words'),
        ('videos', '0003_words'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='PlaybackSession',
            fields=[
                ('id', models.UUIDField(default=config.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('version', models.CharField(help_text="The video's version when the session started.", max_length=32)),
                ('access', models.CharField(help_text='The reason for access: free, owner, admin, order or subscription.', max_length=12)),
                ('viewer_key', models.CharField(help_text="The user's id, or for an anonymous viewer a keyed hash that changes every day.", max_length=64)),
                ('user_agent', models.CharField(blank=True, max_length=500)),
                ('network', models.GenericIPAddressField(help_text="The first address of the viewer's network, until a month after the session's end.", null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('expires_at', models.DateTimeField(help_text='The end of the grant, or of the access if that is earlier.')),
                ('last_seen_at', models.DateTimeField(default=django.utils.timezone.now, help_text='The latest heartbeat or request for a media file.')),
                ('ended_at', models.DateTimeField(null=True)),
                ('end_reason', models.CharField(blank=True, choices=[('stopped', 'stopped by the viewer'), ('idle', 'idle for too long'), ('revoked', 'the entitlement was revoked'), ('removed', 'the video was deleted'), ('restricted', 'the video is no longer open to the viewer'), ('deactivated', 'the user was deactivated')], max_length=12)),
                ('state', models.CharField(blank=True, help_text="The player's state in the latest heartbeat.", max_length=10)),
                ('position_seconds', models.FloatField(default=0, help_text='The position in the video in the latest heartbeat.')),
                ('watched', models.JSONField(default=list, help_text='[from, to] in seconds of the video, ascending, without overlap.')),
                ('watched_seconds', models.FloatField(default=0, help_text='Different seconds of the video that were played: the sum of watched.')),
                ('rejected_seconds', models.FloatField(default=0, help_text="Reported seconds that the clock or the video's length does not allow.")),
                ('last_heartbeat_at', models.DateTimeField(null=True)),
                ('rebuffer_ms', models.PositiveBigIntegerField(default=0, help_text='Milliseconds of stalling, reported by the player.')),
                ('startup_ms', models.PositiveBigIntegerField(help_text='Milliseconds to the first picture, reported by the player.', null=True)),
                ('entitlement', models.ForeignKey(help_text='The entitlement that gives access. Revoking it ends the session.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='playback_sessions', to='payments.entitlement')),
                ('user', models.ForeignKey(help_text='Empty for an anonymous viewer.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('video', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='playback_sessions', to='videos.video')),
                ('folded_seconds', models.PositiveIntegerField(default=0, help_text='Counted seconds that the daily watch time contains already.')),
                ('counted_seconds', models.FloatField(default=0, help_text='Watched seconds that count: at most the seconds since the start, and the delivered.')),
                ('delivered', models.BinaryField(default=b'', help_text='The segments that were sent: bit n stands for segment n.')),
                ('delivered_seconds', models.PositiveIntegerField(default=0, help_text='Seconds of the video that were sent: the sum of delivered.')),
                ('network_key', models.CharField(blank=True, help_text="A keyed hash of the viewer's own network and of the day: bounds its views.", max_length=40)),
                ('moments', models.JSONField(default=list, help_text='When the seconds that earn were played, until the daily watch time contains them: [from, to] in milliseconds since 1970, ascending, without overlap.')),
                ('placed_until', models.BigIntegerField(default=0, help_text='The end of the latest moments, in milliseconds since 1970.')),
                ('begun', models.BinaryField(default=b'', help_text='The segments that were sent in part: bit n stands for segment n.')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('ended_at__isnull', False)), fields=['ended_at'], name='session_ended'), models.Index(condition=models.Q(('ended_at', None)), fields=['user'], name='session_of_user'), models.Index(condition=models.Q(('ended_at', None)), fields=['entitlement'], name='session_of_right'), models.Index(condition=models.Q(('ended_at', None)), fields=['last_seen_at'], name='session_idle'), models.Index(fields=['video', 'created_at'], name='session_of_video'), models.Index(condition=models.Q(('counted_seconds__gte', django.db.models.expressions.CombinedExpression(models.F('folded_seconds'), '+', models.Value(1))), ('user__isnull', False)), fields=['last_heartbeat_at'], name='session_to_fold'), models.Index(condition=models.Q(('ended_at__isnull', False), ('network__isnull', False)), fields=['ended_at'], name='session_to_forget')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('end_reason', ''), ('ended_at__isnull', True)), models.Q(('ended_at__isnull', False), models.Q(('end_reason', ''), _negated=True)), _connector='OR'), name='session_end_has_reason')],
            },
        ),
        migrations.CreateModel(
            name='WatchClock',
            fields=[
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to=settings.AUTH_USER_MODEL)),
                ('taken', models.JSONField(default=list)),
            ],
        ),
        RunDeferred(),
    ]
