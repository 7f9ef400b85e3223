"""Acts of the admin site for tests: the list's action, its confirmation page, and the answer to it."""

from typing import Any

from django.db.models import Model
from django.test import Client
from django.urls import reverse

REASON = "asked for by the test"


def choose(client: Client, action: str, *rows: Model, query: str = "") -> Any:
    """Choose an action for the rows of a list. Return the answer: the confirmation page."""
    meta = rows[0]._meta
    path = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    form = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    return client.post(path + query, form, follow=True)


def confirm(client: Client, page: Any, *, reason: str = REASON, **answers: str) -> Any:
    """Answer a confirmation page, and return the page that the browser comes to."""
    hidden = {name: page.context["form"][name].value() or "" for name in ("rows", "back")}
    form = {**hidden, "shown": page.context["shown"], "reason": reason, **answers}
    return client.post(page.context["to"], form, follow=True)


def act(client: Client, action: str, *rows: Model, query: str = "", **answers: str) -> Any:
    """Choose an action for the rows and confirm it, if it is offered."""
    page = choose(client, action, *rows, query=query)
    is_question = page.context is not None and "what" in page.context
    return confirm(client, page, **answers) if is_question else page
