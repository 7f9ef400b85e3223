import config.ids
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from audit.migrations import _postgresql
from config.deferred import RunDeferred


class Migration(migrations.Migration):

    replaces = [('audit', '0001_initial'), ('audit', '0002_money_actions'), ('audit', '0003_words'), ('audit', '0004_doors'), ('audit', '0005_chain_proof'), ('audit', '0006_chain_partitions'), ('audit', '0007_activity'), ('audit', '0008_reading_indexes'), ('audit', '0009_facts')]

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.UUIDField(default=config.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('action', models.CharField(choices=[('api.request', 'API request'), ('audit.dropped', 'API requests that could not be recorded'), ('user.registered', 'User registered'), ('login.succeeded', 'Login succeeded'), ('login.failed', 'Login failed'), ('user.logged_out', 'Logged out'), ('refresh.reused', 'Used refresh token presented again'), ('user.password_changed', 'Password changed'), ('user.profile_changed', 'Profile changed'), ('user.role_changed', 'Role changed'), ('user.activated', 'User activated'), ('user.deactivated', 'User deactivated'), ('video.created', 'Video created'), ('video.changed', 'Video changed'), ('video.uploaded', 'File uploaded'), ('video.processing', 'Processing started'), ('video.ready', 'Video ready'), ('video.failed', 'Processing failed'), ('video.retried', 'Processing retried'), ('video.deleted', 'Video deleted'), ('video.restored', 'Video restored'), ('order.created', 'Order created'), ('order.paid', 'Order paid'), ('order.refunded', 'Order refunded'), ('order.canceled', 'Order canceled'), ('payment.captured', 'Payment captured'), ('payment.declined', 'Payment declined'), ('refund.succeeded', 'Refund succeeded'), ('refund.failed', 'Refund failed'), ('dispute.opened', 'Dispute opened'), ('dispute.closed', 'Dispute decided by the bank'), ('evidence.changed', 'Evidence against a dispute changed'), ('evidence.submitted', 'Evidence against a dispute submitted'), ('webhook.replayed', 'Webhook event replayed'), ('coupon.changed', 'Coupon created or changed'), ('plan.changed', 'Plan created or changed'), ('suspense.settled', 'Unmatched payment sent back'), ('pool.closed', 'Month closed, pool shared'), ('payout.requested', 'Payout requested'), ('payout.approved', 'Payout approved'), ('payout.sent', 'Payout sent to the bank'), ('payout.settled', 'Payout paid, failed or canceled'), ('payout.returned', 'Payout returned by the bank'), ('debt.written_off', "Creator's debt written off"), ('payments.mode_changed', "Mode of the database's money changed"), ('sandbox.moved', 'Sandbox changed by hand'), ('subscription.started', 'Subscription started'), ('subscription.canceled', 'Subscription canceled'), ('subscription.renewed', 'Subscription renewed'), ('subscription.resumed', 'Subscription resumed'), ('subscription.changed', 'Plan of a subscription changed'), ('subscription.past_due', 'Renewal failed'), ('subscription.method_changed', 'Payment method changed'), ('subscription.ended', 'Subscription ended'), ('entitlement.granted', 'Entitlement granted'), ('entitlement.revoked', 'Entitlement revoked'), ('playback.started', 'Playback started'), ('playback.ended', 'Playback ended')], max_length=40)),
                ('method', models.CharField(blank=True, max_length=10)),
                ('path', models.CharField(blank=True, max_length=500)),
                ('status', models.PositiveSmallIntegerField(null=True)),
                ('target_type', models.CharField(blank=True, max_length=40)),
                ('target_id', models.CharField(blank=True, max_length=64)),
                ('ip', models.GenericIPAddressField(null=True)),
                ('user_agent', models.CharField(blank=True, max_length=300)),
                ('request_id', models.CharField(blank=True, max_length=128)),
                ('duration_ms', models.PositiveIntegerField(null=True)),
                ('data', models.JSONField(default=dict)),
                ('position', models.PositiveBigIntegerField(editable=False, null=True)),
                ('hash', models.CharField(editable=False, max_length=64, null=True)),
                ('actor', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name_plural': 'audit entries',
                'indexes': [models.Index(fields=['-at', '-id'], name='audit_newest'), models.Index(condition=models.Q(('position__isnull', True)), fields=['id'], name='audit_unsealed'), models.Index(fields=['position'], name='audit_position'), models.Index(fields=['actor', '-at', 'ip', 'action', 'method', 'status', 'target_type'], name='audit_by_actor'), models.Index(fields=['ip', '-at', 'action', 'method', 'status', 'target_type'], name='audit_by_ip'), models.Index(fields=['target_type', '-at', 'action', 'method', 'status'], name='audit_by_type'), models.Index(fields=['target_id', '-at'], name='audit_by_target'), models.Index(fields=['action', '-at', 'method', 'status'], name='audit_by_action'), models.Index(fields=['method', '-at'], name='audit_by_method'), models.Index(condition=models.Q(('status__isnull', False)), fields=['status', '-at', 'method'], name='audit_by_status')],
            },
        ),
        RunDeferred(),  # the indexes, because they are made again on the table with partitions
        migrations.RunPython(_postgresql.partition, _postgresql.join),
        migrations.CreateModel(
            name='AuditCheckpoint',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(editable=False)),
                ('reason', models.CharField(choices=[('begin', 'First entry, or first keyed one'), ('periodic', 'Made every hour or by command'), ('key', 'New key'), ('prune', 'Old entries deleted'), ('restart', 'New proof begun by an operator')], max_length=10)),
                ('position', models.PositiveBigIntegerField()),
                ('hash', models.CharField(max_length=64)),
                ('begins_at', models.PositiveBigIntegerField()),
                ('base', models.CharField(max_length=64)),
                ('key_id', models.CharField(max_length=16)),
                ('signature', models.CharField(max_length=64)),
            ],
            options={
                'indexes': [models.Index(fields=['position', 'at'], name='audit_checkpoint_order'), models.Index(condition=models.Q(('reason', 'prune')), fields=['begins_at'], name='audit_checkpoint_pruned'), models.Index(condition=models.Q(('reason', 'restart')), fields=['id'], name='audit_checkpoint_restarts')],
            },
        ),
        migrations.CreateModel(
            name='Caller',
            fields=[
                ('number', models.BigAutoField(primary_key=True, serialize=False)),
                ('day', models.DateField()),
                ('ip', models.GenericIPAddressField(null=True)),
                ('user_agent', models.CharField(blank=True, max_length=200)),
                ('actor', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['day'], name='caller_by_day'), models.Index(fields=['actor', 'day'], name='caller_by_actor'), models.Index(fields=['ip', 'day'], name='caller_by_ip')],
            },
        ),
        migrations.CreateModel(
            name='ApiRequest',
            fields=[
                ('number', models.BigAutoField(primary_key=True, serialize=False)),
                ('method', models.CharField(blank=True, max_length=10)),
                ('path', models.CharField(blank=True, help_text='In a counted row, * stands for the parts that vary.', max_length=200)),
                ('status', models.PositiveSmallIntegerField()),
                ('duration_ms', models.PositiveIntegerField(null=True)),
                ('request_id', models.CharField(blank=True, max_length=128)),
                ('count', models.PositiveIntegerField(help_text='Empty for a single request.', null=True)),
                ('until', models.DateTimeField(null=True, verbose_name='last request')),
                ('caller', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='audit.caller')),
            ],
            options={
                'verbose_name': 'API request',
                'indexes': [models.Index(fields=['caller', 'number', 'status', 'method'], name='api_request_by_caller'), models.Index(fields=['status', 'number', 'method'], name='api_request_by_status'), models.Index(fields=['method', 'number', 'status'], name='api_request_by_method')],
            },
        ),
        migrations.RunPython(_postgresql.know_pairs, _postgresql.forget_pairs),
        RunDeferred(),
    ]
