import config.ids
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from config.deferred import RunDeferred


class Migration(migrations.Migration):

    replaces = [('analytics', '0001_initial'), ('analytics', '0002_words'), ('analytics', '0003_networks')]

    initial = True

    dependencies = [
        ('streaming', '0005_delivered'),
        ('videos', '0003_words'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Reaction',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('value', models.CharField(choices=[('like', 'like'), ('dislike', 'dislike')], max_length=8, verbose_name='reaction')),
                ('at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='given at')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('video', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='reactions', to='videos.video')),
            ],
            options={
                'indexes': [models.Index(fields=['video', 'at'], name='reaction_of_video')],
                'constraints': [models.UniqueConstraint(fields=('user', 'video'), name='reaction_once')],
            },
        ),
        migrations.CreateModel(
            name='VideoView',
            fields=[
                ('id', models.UUIDField(default=config.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('viewer_key', models.CharField(help_text="The user's id, or for an anonymous viewer a keyed hash that changes every day.", max_length=64)),
                ('at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='counted at')),
                ('creator', models.ForeignKey(help_text="The video's creator, copied so that a dashboard needs no join.", on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('session', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='view', to='streaming.playbacksession')),
                ('video', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='counted_views', to='videos.video')),
                ('network_key', models.CharField(blank=True, help_text="A keyed hash of the viewer's own network and of the day: bounds its views.", max_length=40)),
            ],
            options={
                'permissions': [('view_own_analytics', 'Can see the analytics of their own videos'), ('view_platform_analytics', 'Can see the analytics of the platform')],
                'indexes': [models.Index(fields=['video', 'viewer_key', '-at'], name='view_of_viewer'), models.Index(fields=['video', 'at'], name='view_of_video'), models.Index(fields=['creator', 'at'], name='view_of_creator'), models.Index(fields=['at'], name='view_at'), models.Index(fields=['video', 'network_key'], name='view_of_network')],
            },
        ),
        RunDeferred(),
    ]
