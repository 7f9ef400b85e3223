"""Several hosts of one PostgreSQL database: sessions, `migrate`, and the version before."""

import threading
import time
import uuid
from concurrent.futures import Future

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import connection, models, transaction
from django.db.migrations import operations as ops
from django.db.migrations.loader import MigrationLoader

from config import bounded, health
from config.env_urls import database
from config.management.commands.migrate import LOCK
from config.tests.threads import at_once


def only_postgresql(test):
    """Mark a test that runs where the tests are repeated on PostgreSQL."""
    skip = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one host")
    return pytest.mark.postgres(skip(test))


# The migrations that were there before the rule below was a test.
BEFORE = {
    "accounts": 13, "analytics": 5, "audit": 18, "payments": 25,
    "streaming": 13, "videos": 22, "webhooks": 1,
}  # fmt: skip


@pytest.fixture
def odd_database(transactional_db):
    """The database with settings of its own, as an administrator of many may have given it."""
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    odd = {
        "default_transaction_isolation": "serializable",
        "DateStyle": "German",
        "IntervalStyle": "sql_standard",
        "TimeZone": "America/New_York",
    }
    with connection.cursor() as cursor:
        for setting, value in odd.items():
            cursor.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'")
        connection.close()
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} RESET ALL")
    connection.close()


@only_postgresql
def test_a_session_is_the_same_whatever_the_database_has_as_its_own(odd_database, client_for):
    shown = {}
    with connection.cursor() as cursor:
        for setting in ("transaction_isolation", "DateStyle", "IntervalStyle", "TimeZone"):
            cursor.execute(f"SHOW {setting}")
            shown[setting] = cursor.fetchone()[0].partition(",")[0]
    assert shown == {
        "transaction_isolation": "read committed",
        "DateStyle": "ISO",
        "IntervalStyle": "postgres",
        "TimeZone": "UTC",
    }
    form = {"email": "pat@example.com", "password": "a long enough password"}
    assert client_for().post("/api/v1/auth/register", form).status_code == 201
    assert client_for().post("/api/v1/auth/login", form).status_code == 200


def test_options_of_the_url_are_kept(monkeypatch):
    url = "postgres://u:p@h/n?options=-c%20search_path%3Dvod&connect_timeout=9"
    monkeypatch.setenv("DATABASE_URL", url)
    options = database("DATABASE_URL", "")["OPTIONS"]
    assert options["options"].endswith(" -c search_path=vod")
    assert "-c statement_timeout=30000" in options["options"]
    assert int(options["connect_timeout"]) == 9


@only_postgresql
@pytest.mark.django_db
def test_a_host_whose_database_is_a_standby_is_not_ready(client, monkeypatch):
    # Its keys are checked at the end of the test, as those of the seed after a test that emptied tables.
    Group.objects.create(name="new").permissions.add(Permission.objects.earliest("pk"))
    monkeypatch.setattr(health, "readiness", health.Readiness())
    monkeypatch.setattr(bounded, "begin", begin_here)
    with transaction.atomic():  # read-only until its end
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL transaction_read_only = on")
        answer = client.get("/health/ready")

    assert answer.status_code == 503
    assert answer.json()["parts"]["database"] == "read-only"
    assert "standby" in answer.json()["reasons"]["database"]


def begin_here(work) -> Future:
    """Do the work in this thread, whose transaction is read-only."""
    future: Future = Future()
    try:
        future.set_result(work())
    except Exception as error:  # noqa: BLE001 - as a thread keeps it
        future.set_exception(error)
    return future


@pytest.mark.parametrize(("ahead", "told"), [(9, False), (-9, False), (11, True), (-3600, True)])
@only_postgresql
@pytest.mark.django_db
def test_readiness_and_the_log_name_a_host_whose_clock_differs(ahead, told, monkeypatch, caplog):
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + ahead)

    parts = {part.name: part for part in health.reported_parts()}

    assert ("clock" in parts) is told
    assert ("NTP" in caplog.text) is told
    if told:
        assert parts["clock"].state == "differs"
        assert ("ahead of" if ahead > 0 else "behind") in parts["clock"].reason


@only_postgresql
@pytest.mark.django_db(transaction=True)
def test_one_host_migrates_at_a_time(capsys):
    other = connection.copy()
    other.set_autocommit(False)
    ended = threading.Event()

    def migrate(_):
        try:
            call_command("migrate", verbosity=0)
            ended.set()
        finally:
            connection.close()

    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        waiting = threading.Thread(target=migrate, args=[0])
        waiting.start()
        assert not ended.wait(1.5)
        other.rollback()
        waiting.join(60)
    finally:
        other.close()
    assert ended.is_set()
    assert "Waiting for its end" in capsys.readouterr().err
    ended.clear()
    at_once(3, migrate)
    assert ended.is_set()


@only_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_migration_may_take_as_long_as_it_needs(monkeypatch):
    seen = []

    def look(*args, **options):
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            seen.append(cursor.fetchone()[0])

    monkeypatch.setattr("django.core.management.commands.migrate.Command.handle", look)
    call_command("migrate", verbosity=0)
    look()
    assert seen == ["0", "30s"]


@only_postgresql
@pytest.mark.django_db(transaction=True)
def test_the_version_before_stores_rows_after_a_migration():
    """It names the columns that it knows, and no other."""

    class Known(models.Model):  # noqa: DJ008 - it has no pages
        name = models.TextField()

        class Meta:
            app_label = "config"
            db_table = f"known_{uuid.uuid4().hex}"

    added = {
        "is_new": models.BooleanField(default=False),
        "domains": models.JSONField(default=list),
        "words": models.CharField(max_length=9, blank=True),
        "perhaps": models.DateTimeField(null=True),
        "count": models.IntegerField(default=7),
    }
    table = Known._meta.db_table
    with connection.schema_editor() as editor:
        editor.create_model(Known)
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {table} (name) VALUES ('before')")  # noqa: S608 - a name of ours
        with connection.schema_editor() as editor:
            for name, field in added.items():
                field.set_attributes_from_name(name)
                field.model = Known
                editor.add_field(Known, field)
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {table} (name) VALUES ('after')")  # noqa: S608 - a name of ours
            cursor.execute(f"SELECT is_new, domains::text, words, perhaps, count FROM {table}")  # noqa: S608 - a name of ours
            assert cursor.fetchall() == [(False, "[]", "", None, 7)] * 2
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE {table}")


def test_no_migration_takes_from_the_version_before_what_it_needs():
    """Remove a column or table one release after the code that used it, and never rename one."""
    wrong = []
    for (app, name), migration in MigrationLoader(None).disk_migrations.items():
        if migration.replaces or app not in BEFORE or int(name[:4]) <= BEFORE[app]:
            continue
        for each in migration.operations:
            taken = (ops.RemoveField, ops.RenameField, ops.DeleteModel, ops.RenameModel)
            filled = isinstance(each, ops.AlterField) and not each.preserve_default
            if (
                isinstance(each, taken)
                or filled
                or (isinstance(each, ops.AddField) and lacks_default(each.field))
            ):
                wrong.append(f"{app}.{name}: {each.describe()}")
    assert wrong == []


def lacks_default(field) -> bool:
    """Return whether a row that does not name the column is refused (config.postgresql.schema)."""
    if field.null or field.many_to_many or field.has_db_default():
        return False
    if not field.has_default():
        return field.unique or not (field.blank and field.empty_strings_allowed)
    return field.unique or (callable(field.default) and field.default not in (dict, list))
