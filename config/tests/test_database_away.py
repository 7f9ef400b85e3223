"""The API, the pages and the commands name the fault of a broken database, and the remedy."""

import io
import logging
import os
import sqlite3
import subprocess
import sys
from typing import Any

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError, ProgrammingError, connection

from config import database
from config.http import OneLineFormatter, RepetitionFilter
from config.tests.test_env import python

pytestmark = pytest.mark.long

MIGRATE = "`make run`, or `python manage.py migrate`"


class Cause(Exception):
    def __init__(self, sqlstate):
        self.sqlstate = sqlstate


def caused(error: Exception, sqlstate: str) -> Exception:
    error.__cause__ = Cause(sqlstate)
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OperationalError("no such table: accounts_user"), MIGRATE),
        (OperationalError("no such column: videos_video.title"), MIGRATE),
        (OperationalError("table x has no column named y"), MIGRATE),
        (caused(ProgrammingError('relation "x" does not exist'), "42P01"), MIGRATE),
        (caused(ProgrammingError('column "x" does not exist'), "42703"), MIGRATE),
        (DatabaseError("file is not a database"), "no SQLite database"),
        (DatabaseError("database disk image is malformed"), "damaged"),
        (OperationalError("attempt to write a readonly database"), "read-only"),
        (OperationalError("database or disk is full"), "disk of the database is full"),
        (
            caused(OperationalError("could not extend file"), "53100"),
            "disk of the database is full",
        ),
        (OperationalError("FATAL:  sorry, too many clients already"), "no free connection"),
        (OperationalError('FATAL:  too many connections for role "vod"'), "no free connection"),
        (
            OperationalError("FATAL:  remaining connection slots are reserved for SUPERUSERs"),
            "no free connection",
        ),
        (OperationalError("unable to open database file"), "cannot be opened"),
        (OperationalError("database is locked"), "does not answer"),
        (OperationalError("connection failed"), "does not answer"),
        (caused(OperationalError("statement timeout"), "57014"), "does not answer"),
        (InterfaceError("connection already closed"), "does not answer"),
        (sqlite3.DatabaseError("file is not a database"), "no SQLite database"),  # the cache's file
        (caused(ProgrammingError("syntax error"), "42601"), None),
        (DatabaseError("too many SQL variables"), None),
        (ValueError("no such table"), None),
        (None, None),
    ],
)
def test_a_reason_is_known_or_the_error_is_ours(error, words):
    reason = database.unavailability(error)

    assert (reason is None) is (words is None)
    assert (words or "") in (reason or "")


@pytest.fixture
def unmigrated(transactional_db):
    """The database without the tables of users, videos and sessions."""
    names = ["accounts_user", "videos_video", "django_session"]
    with connection.cursor() as cursor:
        for name in names:
            cursor.execute(f"ALTER TABLE {name} RENAME TO {name}_away")
    yield
    with connection.cursor() as cursor:
        for name in names:
            cursor.execute(f"ALTER TABLE {name}_away RENAME TO {name}")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("get", "/api/v1/videos/", None),
        ("post", "/api/v1/auth/login", {"email": "a@example.com", "password": "x"}),
        ("post", "/admin/login/", {"username": "a@example.com", "password": "x"}),
    ],
)
def test_an_unmigrated_database_is_a_503_with_the_command(unmigrated, client, method, path, body):
    client.raise_request_exception = False
    kind = "application/json" if path.startswith("/api") else "multipart/form-data"
    arguments = {"data": body} if method == "post" and path.startswith("/admin") else {}
    if body and path.startswith("/api"):
        arguments = {"data": body, "content_type": kind}

    answer = getattr(client, method)(path, **arguments)

    assert answer.status_code == 503
    assert answer["Retry-After"] == "5"
    assert MIGRATE in answer.content.decode()
    if path.startswith("/api"):
        assert answer.json()["errors"][0]["code"] == "unavailable"


def test_an_error_in_a_middleware_is_a_503_too(client, monkeypatch):
    def full(*args):
        raise OperationalError("database or disk is full")

    client.raise_request_exception = False
    monkeypatch.setattr(
        "django.contrib.sessions.middleware.SessionMiddleware.process_response", full
    )

    answer = client.get("/admin/login/")

    assert answer.status_code == 503
    assert b"full" in answer.content


def test_other_errors_of_the_database_stay_faults_of_ours(client, monkeypatch):
    def wrong(*args):
        raise caused(ProgrammingError("syntax error"), "42601")

    client.raise_request_exception = False
    monkeypatch.setattr(
        "django.contrib.sessions.middleware.SessionMiddleware.process_response", wrong
    )

    assert client.get("/admin/login/").status_code == 500


def test_the_log_has_the_reason_in_place_of_a_traceback():
    def line(error: Exception) -> str:
        try:
            raise error
        except (OperationalError, ValueError):
            record = logging.LogRecord("", logging.WARNING, "", 0, "It waits.", (), sys.exc_info())
        return OneLineFormatter("%(message)s").format(record)

    away = line(OperationalError("no such table: a"))
    assert away == f"It waits. {database.UNMIGRATED} (no such table: a)"
    assert "Traceback" in line(ValueError("ours"))


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("/api/v1/videos/", "rest_framework.views.APIView.initial"),
        ("/admin/login/", "django.contrib.sessions.middleware.SessionMiddleware.process_response"),
    ],
)
@pytest.mark.django_db
def test_many_refusals_are_one_line_of_the_log(client, monkeypatch, path, part):
    """Each request meets the same fault, so a flood would fill the disk of the log."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(OneLineFormatter("%(message)s"))
    repetition = RepetitionFilter()
    handler.addFilter(repetition)
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])

    def away(*args, **kwargs):
        raise OperationalError("connection failed")

    monkeypatch.setattr(part, away)
    client.raise_request_exception = False

    assert {client.get(path).status_code for _ in range(5)} == {503}
    (line,) = stream.getvalue().splitlines()
    assert "Traceback" not in line
    repetition.SECONDS = 0
    client.get(path)
    assert "(4 more times" in stream.getvalue().splitlines()[1]


@pytest.mark.parametrize(
    "path", ["/health/live", "/health/live/", "/health/ready", "/health/ready/"]
)
@pytest.mark.django_db
def test_health_checks_have_both_slash_forms(client, path):
    assert client.get(path).status_code == 200


def said(run: subprocess.CompletedProcess[str]) -> str:
    """The one line that a command which failed has said."""
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    return line


@pytest.mark.parametrize("command", ["seed", "verify_ledger", "close_pool 2026-01", "verify_audit"])
def test_a_command_on_an_unmigrated_database_names_the_command(tmp_path, command):
    assert MIGRATE in said(python("manage.py", *command.split(), DATA_DIR=str(tmp_path)))


@pytest.mark.parametrize("command", ["seed", "migrate", "serve", "verify_audit"])
def test_a_file_that_is_no_database_is_one_sentence(tmp_path, command):
    file = tmp_path / "db.sqlite3"
    file.write_text("This is a letter, and it is long enough to be read as a header. " * 100)

    run = python("manage.py", command, DATA_DIR=str(tmp_path), PORT="2329")

    assert said(run).startswith(
        f"The database's file is damaged, or is no SQLite database. {file}: "
    )
    assert "letter" in file.read_text()


@pytest.mark.parametrize("command", ["seed", "migrate", "serve"])
def test_a_database_server_that_is_away_is_one_sentence(tmp_path, command):
    url = "postgresql+asyncpg://ann:hunter2@127.0.0.1:9/vod"

    run = python("manage.py", command, DATA_DIR=str(tmp_path), DATABASE_URL=url, PORT="2329")

    line = said(run)
    assert line.startswith(
        "The database cannot be used. DATABASE_URL=postgresql+asyncpg://***@127.0.0.1:9/"
    )
    assert "Connection refused" in line
    assert "hunter2" not in line


def test_with_the_option_the_traceback_is_shown(tmp_path):
    run = python("manage.py", "seed", "--traceback", DATA_DIR=str(tmp_path))

    assert run.returncode == 1
    assert "Traceback" in run.stderr
    assert os.listdir(tmp_path)


@pytest.fixture
def locked(transactional_db):
    """Another program holds the lock that a registration needs; this process gives up soon."""
    other: Any
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            cursor.execute("PRAGMA busy_timeout = 200")
            after = "PRAGMA busy_timeout = 20000"
        else:
            other = connection.copy()
            other.set_autocommit(False)
            other.cursor().execute("LOCK TABLE accounts_user")
            cursor.execute("SET lock_timeout = '200ms'")
            after = "SET lock_timeout = '5s'"
    yield other
    other.close()
    with connection.cursor() as cursor:
        cursor.execute(after)


def test_a_lock_that_is_not_given_up_is_a_503_and_the_next_request_works(locked, client, make_user):
    client.raise_request_exception = False
    body = {"email": "ann@example.com", "password": "a long pass phrase"}

    def register():
        return client.post("/api/v1/auth/register", body, content_type="application/json")

    refused = register()
    assert (refused.status_code, refused["Retry-After"]) == (503, "5")
    assert refused.json()["errors"][0]["code"] == "unavailable"

    locked.rollback()
    assert register().status_code == 201


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="only SQLite can be given a limit")
def test_a_full_disk_stops_writing_only_and_comes_back(
    transactional_db, client, make_video, settings
):
    """The limit of pages is SQLite's own: the error is the one that a full disk causes."""
    settings.AUDIT_READS = False  # in tests, the record of a request is written with its answer
    video = make_video(title="Before")
    client.raise_request_exception = False
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")  # no free page is left
        (pages,) = cursor.execute("PRAGMA page_count").fetchone()
        (limit,) = cursor.execute("PRAGMA max_page_count").fetchone()
        cursor.execute(f"PRAGMA max_page_count = {pages}")
    try:
        answers = [
            client.post(
                "/api/v1/auth/register",
                {"email": f"ann{number}@example.com", "password": "a long pass phrase",
                 "display_name": "x" * 100},
                content_type="application/json",
            )
            for number in range(60)
        ]  # fmt: skip
        reading = client.get(f"/api/v1/videos/{video.pk}")
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA max_page_count = {limit}")

    assert {answer.status_code for answer in answers} == {201, 503}
    assert answers[-1].status_code == 503
    assert b"The disk of the database is full" in answers[-1].content
    assert reading.status_code == 200
    body = {"email": "bob@example.com", "password": "a long pass phrase"}
    again = client.post("/api/v1/auth/register", body, content_type="application/json")
    assert again.status_code == 201
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA integrity_check").fetchone() == ("ok",)
