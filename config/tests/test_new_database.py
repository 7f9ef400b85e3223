"""A new database on SQLite is made from a file, which is what the migrations make, or is not used."""

import pytest
from django.db import DatabaseError, connection, connections

from config.sqlite3 import new
from config.sqlite3.base import DatabaseWrapper

HOW = "Run `python -m config.tests.migrating --write`, or `make migrations`, which does so, too."


@pytest.fixture
def empty(db, tmp_path):
    """A connection to an empty database on SQLite, whatever database the tests use."""
    if connection.vendor != "sqlite":
        pytest.skip("the file is for SQLite")
    place = connection.settings_dict | {"NAME": str(tmp_path / "new.sqlite3")}
    connections["new"] = DatabaseWrapper(place, "new")
    yield connections["new"]
    connections["new"].close()
    del connections["new"]


def test_the_file_is_of_the_present_migrations():
    """`test_a_new_database_is_what_all_steps_make` shows that it makes the same tables."""
    assert new.FILE.read_text(encoding="utf-8").startswith(new.head_line() + new.BETWEEN), HOW


def test_all_tables_are_made_at_once_and_only_once(empty):
    assert new.make(empty)
    made = empty.introspection.table_names()
    assert {"videos_video", "payments_transfer", "django_migrations"} <= set(made)
    assert not new.make(empty)
    assert empty.introspection.table_names() == made


def test_a_database_with_any_table_is_left_to_the_migrations(empty):
    with empty.cursor() as cursor:
        cursor.execute("CREATE TABLE django_migrations (id integer)")
    assert not new.make(empty)
    assert empty.introspection.table_names() == ["django_migrations"]


def test_a_file_of_other_migrations_is_not_used(empty, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(new, "head_line", lambda: "-- of other migrations")
        assert not new.make(empty)
    assert empty.introspection.table_names() == []


def test_a_file_that_fails_leaves_an_empty_database(empty, monkeypatch, tmp_path):
    """As after a kill: the next start makes all of it."""
    statements = new.FILE.read_text(encoding="utf-8").split(new.BETWEEN)
    broken = tmp_path / "broken.sql"
    broken.write_text(new.BETWEEN.join([*statements, "CREATE TABLE"]), encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(new, "FILE", broken)
        with pytest.raises(DatabaseError):
            new.make(empty)
    assert empty.introspection.table_names() == []
    assert new.make(empty)
