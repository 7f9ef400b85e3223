"""Reading many rows as the driver gives them."""

import gc

import pytest
from django.db import connection

from accounts.models import User
from config import bulk


@pytest.mark.twice
@pytest.mark.django_db
def test_an_id_has_the_same_text_in_python_and_in_the_database(make_user):
    expected = {(str(make_user().pk), "viewer") for _ in range(3)}
    User.objects.update(display_name="viewer")
    rows = User.objects.filter(pk__in=[pk for pk, _ in expected]).values_list("pk", "display_name")
    assert {(bulk.id_text(pk), name) for pk, name in bulk.read(rows)} == expected
    text = bulk.id_text_sql(connection, "id")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {text}, display_name FROM accounts_user")  # noqa: S608 - no values
        assert expected <= set(cursor.fetchall())


@pytest.mark.django_db
def test_no_id_is_no_uuid():
    assert bulk.id_text(None) == "None"


def test_the_garbage_collector_gets_its_usual_counts_back():
    """Also after a failure, and when the first of two threads leaves first."""
    usual = gc.get_threshold()
    first, second = bulk.rare_collections(), bulk.rare_collections()
    first.__enter__()
    rare = gc.get_threshold()
    second.__enter__()
    first.__exit__(None, None, None)
    assert gc.get_threshold() == rare > usual
    second.__exit__(None, None, None)
    assert gc.get_threshold() == usual
    with pytest.raises(KeyError), bulk.rare_collections():
        raise KeyError
    assert gc.get_threshold() == usual
