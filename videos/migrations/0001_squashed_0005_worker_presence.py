import config.ids
import config.texts
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from config.deferred import RunDeferred


class Migration(migrations.Migration):

    replaces = [('videos', '0001_initial'), ('videos', '0002_rentals'), ('videos', '0003_words'), ('videos', '0004_names'), ('videos', '0005_worker_presence')]

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ProcessingJob',
            fields=[
                ('id', models.UUIDField(default=config.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('key', models.CharField(max_length=120, unique=True)),
                ('kind', models.CharField(choices=[('transcode', 'transcode a video')], default='transcode', max_length=20)),
                ('source_path', models.CharField(max_length=200)),
                ('state', models.CharField(choices=[('queued', 'waiting'), ('running', 'running'), ('done', 'done'), ('failed', 'failed'), ('canceled', 'replaced by a newer file')], default='queued', max_length=10)),
                ('attempt', models.PositiveIntegerField(default=0)),
                ('strikes', models.PositiveIntegerField(default=0)),
                ('max_attempts', models.PositiveIntegerField(default=4)),
                ('fence', models.PositiveIntegerField(default=0)),
                ('worker', models.CharField(blank=True, max_length=120)),
                ('lease_until', models.DateTimeField(null=True)),
                ('not_before', models.DateTimeField(default=django.utils.timezone.now)),
                ('step', models.CharField(blank=True, max_length=20)),
                ('percent', models.PositiveSmallIntegerField(default=0)),
                ('error_code', models.CharField(blank=True, max_length=40)),
                ('error_detail', models.CharField(blank=True, max_length=500)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('started_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('state__in', ['queued', 'running'])), fields=['created_at'], name='job_open')],
                'constraints': [models.CheckConstraint(condition=models.Q(('percent__lte', 100)), name='job_percent'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'running'), _negated=True), ('lease_until__isnull', False), _connector='OR'), name='job_running_has_lease')],
            },
        ),
        migrations.CreateModel(
            name='Tag',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=40, unique=True)),
            ],
        ),
        migrations.CreateModel(
            name='Video',
            fields=[
                ('id', models.UUIDField(default=config.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('title', models.CharField(max_length=200, validators=[config.texts.validate_name])),
                ('description', models.TextField(blank=True, max_length=10000)),
                ('category', models.CharField(blank=True, max_length=60, validators=[config.texts.validate_name])),
                ('status', models.CharField(choices=[('CREATED', 'no file yet'), ('UPLOADED', 'waiting to be processed'), ('PROCESSING', 'being processed'), ('READY', 'ready'), ('FAILED', 'processing failed')], default='CREATED', max_length=12)),
                ('visibility', models.CharField(choices=[('public', 'in the catalogue'), ('unlisted', 'by link only'), ('private', 'owner and administrators')], default='public', max_length=10)),
                ('is_paid', models.BooleanField(default=False)),
                ('price', models.BigIntegerField(default=0, validators=[django.core.validators.MinValueValidator(0)], verbose_name='price in minor units')),
                ('currency', models.CharField(default='USD', max_length=3)),
                ('source_path', models.CharField(blank=True, max_length=200)),
                ('source_filename', models.CharField(blank=True, max_length=255)),
                ('source_size', models.BigIntegerField(null=True)),
                ('source_checksum', models.CharField(blank=True, max_length=80)),
                ('source_container', models.CharField(blank=True, max_length=80)),
                ('source_video_codec', models.CharField(blank=True, max_length=40)),
                ('source_audio_codec', models.CharField(blank=True, max_length=40)),
                ('current_version', models.CharField(blank=True, max_length=32)),
                ('duration_seconds', models.FloatField(null=True)),
                ('width', models.PositiveIntegerField(null=True)),
                ('height', models.PositiveIntegerField(null=True)),
                ('renditions', models.JSONField(default=list)),
                ('views', models.PositiveBigIntegerField(default=0)),
                ('likes', models.PositiveBigIntegerField(default=0)),
                ('dislikes', models.PositiveBigIntegerField(default=0)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('published_at', models.DateTimeField(editable=False, null=True)),
                ('deleted_at', models.DateTimeField(editable=False, null=True)),
                ('creator', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='videos', to=settings.AUTH_USER_MODEL)),
                ('job', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='videos.processingjob')),
                ('tags', models.ManyToManyField(blank=True, related_name='videos', to='videos.tag')),
                ('rental_hours', models.PositiveIntegerField(blank=True, null=True)),
                ('rental_price', models.BigIntegerField(blank=True, null=True, verbose_name='rental price in minor units')),
            ],
            options={
                'permissions': [('view_any_video', 'Can see every video, and how it is processed'), ('change_any_video', 'Can change every video and replace its file'), ('delete_any_video', 'Can delete every video'), ('retry_any_video', 'Can queue every failed video for processing again'), ('watch_any_video', 'Can watch every video without paying'), ('restore_video', 'Can restore deleted videos')],
                'indexes': [models.Index(condition=models.Q(('deleted_at', None), ('visibility', 'public'), models.Q(('current_version', ''), _negated=True)), fields=['-created_at', '-id'], name='video_public_newest'), models.Index(condition=models.Q(('deleted_at', None)), fields=['-created_at', '-id'], name='video_alive_newest'), models.Index(fields=['creator', '-created_at', '-id'], name='video_by_creator'), models.Index(fields=['-views', '-id'], name='video_most_viewed'), models.Index(fields=['-published_at', '-id'], name='video_newest_published'), models.Index(fields=['category', '-created_at'], name='video_by_category')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('is_paid', True), ('price__gt', 0), ('price__lte', 1000000000000)), models.Q(('is_paid', False), ('price', 0)), _connector='OR'), name='video_price_matches_is_paid'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'READY'), _negated=True), models.Q(('current_version', ''), _negated=True), _connector='OR'), name='video_ready_is_playable'), models.CheckConstraint(condition=models.Q(('current_version', ''), ('published_at__isnull', False), _connector='OR'), name='video_playable_is_published'), models.CheckConstraint(condition=models.Q(models.Q(('source_path', ''), ('status', 'CREATED')), models.Q(models.Q(('status', 'CREATED'), _negated=True), models.Q(('source_path', ''), _negated=True)), _connector='OR'), name='video_created_has_no_file'), models.CheckConstraint(condition=models.Q(models.Q(('rental_hours__isnull', True), ('rental_price__isnull', True)), models.Q(('is_paid', True), ('rental_hours__gt', 0), ('rental_hours__isnull', False), ('rental_price__gt', 0), ('rental_price__isnull', False), ('rental_price__lte', 1000000000000)), _connector='OR'), name='video_rental_is_whole')],
            },
        ),
        migrations.CreateModel(
            name='WorkerPresence',
            fields=[
                ('name', models.CharField(max_length=120, primary_key=True, serialize=False)),
                ('started_at', models.DateTimeField(verbose_name='first seen (UTC)')),
                ('seen_at', models.DateTimeField(verbose_name='last seen (UTC)')),
            ],
        ),
        migrations.AddField(
            model_name='processingjob',
            name='video',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='jobs', to='videos.video'),
        ),
        migrations.AddConstraint(
            model_name='processingjob',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['queued', 'running'])), fields=('video',), name='job_one_open_per_video'),
        ),
        RunDeferred(),
    ]
