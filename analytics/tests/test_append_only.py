"""Append-only tables: both databases refuse to change or delete their rows."""

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from analytics.tests.fixtures import PROTECTED
from audit import protection as audit_protection
from config import append_only
from payments.ledger import protection

pytestmark = pytest.mark.django_db


@pytest.fixture
def table():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE once (id integer, name varchar(20), seal integer)")
        cursor.execute("INSERT INTO once VALUES (1, 'one', NULL), (2, NULL, NULL)")
    append_only.protect("default", "once", set_once=("seal",))
    return "once"


def run(statement: str):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def rows() -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, name, seal FROM once ORDER BY id")
        return list(cursor.fetchall())


REFUSED = [
    "UPDATE once SET name = 'two'",
    "UPDATE once SET name = NULL WHERE id = 1",
    "UPDATE once SET name = 'x' WHERE id = 2",
    "UPDATE once SET id = 3 WHERE id = 1",
    "UPDATE once SET name = 'x', seal = 1",
    "DELETE FROM once",
    "DELETE FROM once WHERE id = 2",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_a_row_is_not_changed_or_deleted(table, statement):
    before = rows()

    with pytest.raises(DatabaseError, match="once is append-only"):
        run(statement)

    assert rows() == before


@pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite alone has REPLACE")
def test_a_row_is_not_replaced():
    run("CREATE TABLE keyed (id integer PRIMARY KEY, name text UNIQUE)")
    run("INSERT INTO keyed VALUES (1, 'one')")
    append_only.protect("default", "keyed")

    for values in ("(1, 'two')", "(2, 'one')"):
        with pytest.raises(DatabaseError, match="keyed is append-only"):
            run(f"INSERT OR REPLACE INTO keyed VALUES {values}")  # noqa: S608


def test_rows_are_added_and_a_seal_is_set_once(table):
    run("INSERT INTO once VALUES (3, 'three', NULL)")
    run("UPDATE once SET seal = 7 WHERE id = 1")
    run("UPDATE once SET seal = 7 WHERE id = 1")  # the same again changes nothing
    for statement in ("seal = 8", "seal = NULL"):
        with pytest.raises(DatabaseError, match="append-only"):
            run(f"UPDATE once SET {statement} WHERE id = 1")  # noqa: S608

    assert rows() == [(1, "one", 7), (2, None, None), (3, "three", None)]


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no TRUNCATE")
def test_a_table_is_not_emptied(table):
    with pytest.raises(DatabaseError, match="append-only"):
        run("TRUNCATE once")
    assert len(rows()) == 2


def test_protecting_twice_is_protecting_once(table):
    append_only.protect("default", "once", set_once=("seal",))

    with pytest.raises(DatabaseError, match="append-only"):
        run("DELETE FROM once")
    append_only.release("default", "once")
    run("DELETE FROM once")
    assert rows() == []


@pytest.mark.parametrize("name", PROTECTED)
def test_every_append_only_table_is_protected(name):
    assert not [trigger for trigger in missing() if trigger.startswith(name)]


def missing() -> list[str]:
    """The missing triggers of all append-only tables."""
    return audit_protection.missing("default") + protection.missing("default")


@pytest.mark.parametrize("name", PROTECTED)
def test_migrate_puts_the_protection_back(name):
    append_only.release("default", name)
    assert len([trigger for trigger in missing() if trigger.startswith(name)]) >= 2

    call_command("migrate", verbosity=0)

    assert missing() == []
