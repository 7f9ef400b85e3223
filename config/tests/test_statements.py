"""The few tests that send every statement, and what a statement is."""

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, transaction

from config.tests import statements

User = get_user_model()


def test_few_tests_send_every_statement_and_cheap_ones_come_first():
    tests = {
        "all, and slow": {"a": 900, "b": 1, "c": 1},
        "a": {"a": 1},
        "a and b": {"a": 1, "b": 1},
        "c": {"c": 2},
        "nothing new": {"x": 1},
    }
    assert statements.covering(tests, {"x"}) == {"a and b", "c"}


def test_what_was_sent_is_not_sent_again():
    assert statements.covering({"one": {"a": 1}, "two": {"b": 1}}, {"a"}) == {"two"}
    assert statements.covering({}, {"a"}) == set()


def test_every_statement_is_sent_whatever_the_tests_are():
    tests = {f"{n}": {f"{n * at % 31}": at for at in range(1, 1 + n % 7)} for n in range(60)}
    chosen = statements.covering(tests, set())
    sent = {each for test in chosen for each in tests[test]}
    assert sent == {each for test in tests.values() for each in test}
    assert len(chosen) < len(tests)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT a FROM b WHERE c IN (%s, %s)", "SELECT a FROM b WHERE c IN (%s, %s, %s)"),
        ("SAVEPOINT s140_x1", "SAVEPOINT s140_x2"),
        ("SELECT 1 FROM b LIMIT 21", "SELECT 1 FROM b LIMIT 2"),
    ],
)
def test_values_make_no_other_statement(one, other):
    assert statements._statement(one, "") == statements._statement(other, "")


def test_text_and_refusal_make_another_statement():
    texts = ["SELECT a FROM b", "SELECT a FROM c", "SELECT a FROM b WHERE c IN (%s)"]
    named = {
        statements._statement(text, refused) for text in texts for refused in ("", "DataError")
    }
    assert len(named) == 6


@pytest.mark.django_db
def test_what_a_test_sends_is_noted_with_its_refusals(monkeypatch, make_user):
    role = make_user(email="ann@example.com").role_id
    with connection.execute_wrapper(statements._note):
        sent: dict[str, int] = {}
        monkeypatch.setattr(statements, "_sent", sent)
        User.objects.filter(email="x").exists()
        User.objects.filter(email="y").exists()
        assert len(sent) == 1
        with pytest.raises(IntegrityError), transaction.atomic():
            User.objects.bulk_create([User(email="ann@example.com", role_id=role)])
        refused = {*sent}
        User.objects.bulk_create([User(email="other@example.com", role_id=role)])
    assert {*sent} > refused  # the same text, and not refused
