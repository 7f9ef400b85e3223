import config.emails
import config.ids
import config.texts
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from config.deferred import RunDeferred


class Migration(migrations.Migration):

    replaces = [('accounts', '0001_initial'), ('accounts', '0002_words'), ('accounts', '0003_sign_ins'), ('accounts', '0004_one_address'), ('accounts', '0005_forgetting')]

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='User',
            fields=[
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('id', models.UUIDField(default=config.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('email', models.EmailField(max_length=254, unique=True, validators=[config.emails.validate])),
                ('display_name', models.CharField(blank=True, max_length=100, validators=[config.texts.validate_name])),
                ('is_staff', models.BooleanField(default=False, verbose_name='may open the admin site')),
                ('is_active', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('role', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='auth.group')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
            ],
            options={
                'permissions': [('manage_users', 'Can see all users and change their role and status')],
                'indexes': [models.Index(fields=['-created_at', '-id'], name='user_newest')],
                'constraints': [models.CheckConstraint(condition=models.Q(('email', ''), _negated=True), name='user_email_not_empty')],
            },
        ),
        migrations.CreateModel(
            name='RefreshFamily',
            fields=[
                ('id', models.UUIDField(default=config.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('current', models.CharField(max_length=32, verbose_name='id of the valid refresh token')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='signed in (UTC)')),
                ('expires_at', models.DateTimeField(verbose_name='expires (UTC)')),
                ('revoked_at', models.DateTimeField(null=True, verbose_name='ended (UTC)')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='refresh_families', to=settings.AUTH_USER_MODEL)),
                ('previous', models.CharField(blank=True, max_length=32, verbose_name='id of the refresh token before it')),
                ('network', models.CharField(blank=True, max_length=64, verbose_name='signed in from this network')),
                ('rotated_at', models.DateTimeField(null=True, verbose_name='last refresh (UTC)')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('revoked_at__isnull', True)), fields=['user'], name='family_live'), models.Index(fields=['expires_at'], name='family_by_end')],
                'verbose_name': 'sign-in',
            },
        ),
        RunDeferred(),
    ]
