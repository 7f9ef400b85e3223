"""Every state that waits is in the table of docs/invariants.md, with the clock that ends it."""

import pytest
from django.apps import apps
from django.conf import settings
from django.utils import timezone

from analytics.tests.waiting import FINAL, NO_STATE, WAITS, overdue

SECTION = "## What waits, and what ends it"
OWN_APPS = {"accounts", "videos", "payments", "webhooks", "streaming", "analytics", "audit"}


def states() -> set[tuple]:
    """Return all (model, field, value) of fields with choices."""
    return {
        (model, field.name, str(value))
        for model in apps.get_models()
        if model._meta.app_label in OWN_APPS
        for field in model._meta.concrete_fields
        if field.choices and (model, field.name) not in NO_STATE
        for value, _ in field.flatchoices
    }


def test_each_state_waits_or_is_final():
    final = {(model, name, value) for (model, name), values in FINAL.items() for value in values}
    roles = {state for state in states() if state[1] == "role"}
    known = final | WAITS.keys()
    unknown = {state for state in states() - roles if state not in known}
    assert not unknown, f"Give these states a clock in analytics/tests/waiting.py: {unknown}"
    assert not final & WAITS.keys()
    gone = {(model, name) for model, name, _ in known if not hasattr(model, name)}
    assert not gone


def test_the_document_names_each_waiting_state():
    text = (settings.BASE_DIR / "docs" / "invariants.md").read_text(encoding="utf-8")
    table = text.split(SECTION)[1].split("\n## ")[0]
    missing = [
        f"{model.__name__}.{name} = {value}"
        for model, name, value in WAITS
        if f"`{model.__name__}.{name}`" not in table or f"`{value}`" not in table
    ]
    assert not missing


@pytest.mark.django_db
def test_the_queries_of_the_table_run():
    assert overdue(timezone.now()) == []
