"""The ledger check reports each kind of corruption in the words that are recorded here."""

import json
import re
from pathlib import Path

import pytest
from django.db import connection, transaction

from config import append_only
from payments.books import verification, verification_payments
from payments.ledger import protection
from payments.tests import corruptions
from payments.tests.corruptions import BOOKS, FACTS, settle_constraints

pytestmark = [pytest.mark.django_db, pytest.mark.long, pytest.mark.twice]
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=transfer )\d+")


@pytest.fixture
def story(every_kind_of_money, monkeypatch):
    monkeypatch.setattr(verification_payments, "BATCH", 3)
    monkeypatch.setattr(verification, "SHOWN", 1000)
    orders = every_kind_of_money
    invoice = corruptions.Invoice.objects.earliest("pk")
    corruptions.add_rare_payments(orders[4], invoice)
    assert reported() == []


def reported() -> list[str]:
    """Return the discrepancies of the ledger check, sorted, with # in the place of each id."""
    return sorted(ID.sub("#", line) for line in verification.verify_ledger().first_discrepancies)


def reported_after(corrupt: corruptions.Corruption) -> list[str]:
    """Return what the check reports after a corruption, and undo the corruption."""
    point = transaction.savepoint()
    settle_constraints()
    for table in protection.TABLES:
        append_only.release(connection.alias, table)
    corrupt()
    settle_constraints()
    protection.install(connection.alias)
    lines = reported()
    transaction.savepoint_rollback(point)
    return lines


UNSEEN = ["write_off: a larger amount"]
RECORDED = json.loads(Path(__file__).with_name("corruptions.json").read_text(encoding="utf-8"))


def test_each_kind_of_corruption_is_reported_as_it_is_recorded(story):
    """More than a hundred rows are corrupted, one at a time, and each is reported in the recorded words.

    A larger write-off is not found: only its journal entry tells its amount.
    """
    found = {name: reported_after(corrupt) for name, corrupt in {**BOOKS, **FACTS}.items()}
    assert found == RECORDED
    assert [name for name, lines in found.items() if not lines] == UNSEEN
    assert reported() == []
