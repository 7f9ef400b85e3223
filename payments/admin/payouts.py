"""Payouts and statements in the admin site."""

import json
import uuid
from collections.abc import Callable

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.template.response import TemplateResponse

from config.admin import (
    MoneyAdmin,
    ReadOnlyAdmin,
    act_on_each,
    html_table,
    money_column,
    money_text,
)
from payments import models
from payments.services.payouts import payouts, statements
from videos.models import Video


@admin.register(models.Payout)
class PayoutAdmin(MoneyAdmin):
    list_display = [
        "created_at", "creator", "amount_text", "status", "requested_by", "approved_by",
    ]  # fmt: skip
    list_filter = ["status", "currency"]
    list_select_related = ["creator", "requested_by", "approved_by"]
    search_fields = ["id", "creator__email", "external_ref"]
    date_hierarchy = "created_at"
    actions = ["approve", "processing", "mark_paid", "mark_failed", "mark_returned", "cancel"]

    amount_text = money_column("amount", "amount")

    def has_manage_permission(self, request):
        return request.user.has_perm("payments.manage_payouts")

    @admin.action(description="Approve", permissions=["manage"])
    def approve(self, request, queryset):
        self._move_each(request, queryset, payouts.approve, "Approved")

    @admin.action(description="Mark as sent to the bank", permissions=["manage"])
    def processing(self, request, queryset):
        self._move_each(request, queryset, payouts.mark_processing, "Sent to the bank")

    @admin.action(description="Mark as paid …", permissions=["manage"])
    def mark_paid(self, request, queryset):
        def pay(payout, reference):
            payouts.mark_paid(payout_id=payout.pk, external_ref=reference, actor=request.user)

        return self._ask_for_each(
            request, queryset, pay, action="mark_paid", title="Payouts that the bank has paid",
            questions=[("The bank's reference", 120)], done="Paid",
        )  # fmt: skip

    @admin.action(description="Mark as failed …", permissions=["manage"])
    def mark_failed(self, request, queryset):
        def fail(payout, reason):
            payouts.mark_failed(payout_id=payout.pk, reason=reason, actor=request.user)

        return self._ask_for_each(
            request, queryset, fail, action="mark_failed", title="Payouts that the bank refused",
            questions=[("The bank's reason", 200)], done="Returned to the balance",
        )  # fmt: skip

    @admin.action(description="Mark as returned by the creator's bank …", permissions=["manage"])
    def mark_returned(self, request, queryset):
        def take_back(payout, reference, reason):
            payouts.mark_returned(
                payout_id=payout.pk, external_ref=reference, reason=reason, actor=request.user
            )

        return self._ask_for_each(
            request, queryset, take_back, action="mark_returned",
            title="Paid payouts that the creators' banks have returned",
            questions=[("The bank's reference of the return", 120), ("The bank's reason", 200)],
            done="Returned to the balance",
        )  # fmt: skip

    @admin.action(
        description="Cancel: the money returns to the creator's balance", permissions=["manage"]
    )
    def cancel(self, request, queryset):
        self._move_each(request, queryset, payouts.cancel, "Canceled")

    def _move_each(self, request, queryset, move: Callable, done: str) -> None:
        def move_one(payout):
            move(payout_id=payout.pk, actor=request.user)

        act_on_each(self, request, queryset, move_one, done)

    def _ask_for_each(
        self,
        request,
        queryset,
        act: Callable[..., object],
        *,
        action: str,
        title: str,
        questions: list[tuple[str, int]],
        done: str,
    ) -> TemplateResponse | None:
        """Show a page with the questions about each payout, then call ``act`` with each one's answers.

        A question is a label and the longest answer. Returns the page, or None once ``act`` was called
        for each payout.
        """
        rows = list(queryset)
        is_answer = "words" in request.POST
        form = _text_form(rows, questions)(request.POST if is_answer else None)
        if is_answer and form.is_valid():
            texts = form.cleaned_data

            def act_with_answers(row):
                act(row, *(texts[_field_name(row, number)] for number in range(len(questions))))

            act_on_each(self, request, rows, act_with_answers, done)
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "form": form,
            "rows": rows,
            "action": action,
            "checkbox": ACTION_CHECKBOX_NAME,
            "media": self.media,
        }
        return TemplateResponse(request, "payments/admin/payout_words.html", context)


def _text_form(rows: list[models.Payout], questions: list[tuple[str, int]]) -> type[forms.Form]:
    """Return a form with one required text for each payout and question."""
    fields = {
        _field_name(row, number): forms.CharField(
            label=f"{label}: {money_text(row.amount, row.currency)} to {row.creator}",
            max_length=max_length,
        )
        for row in rows
        for number, (label, max_length) in enumerate(questions)
    }
    return type("TextForm", (forms.Form,), fields)


def _field_name(row: models.Payout, number: int) -> str:
    """Return the name of a form's field: the payout's id, for further questions with their number."""
    return f"{row.pk}-{number}" if number else str(row.pk)


@admin.register(models.Statement)
class StatementAdmin(ReadOnlyAdmin):
    list_display = ["period", "currency", "creator", "closing", "created_at"]
    list_filter = ["currency"]
    list_select_related = ["creator"]
    search_fields = ["period", "creator__email"]
    fields = [
        "creator", "period", "currency", "opening", "sales", "pool", "adjustments", "paid_out",
        "closing", "proof", "created_at",
    ]  # fmt: skip

    @admin.display(description="opening balance")
    def opening(self, statement):
        return f"{_body(statement)['opening']} {statement.currency}"

    @admin.display(description="closing balance")
    def closing(self, statement):
        return f"{_body(statement)['closing']} {statement.currency}"

    @admin.display(description="sales")
    def sales(self, statement):
        rows = _body(statement)["sales"]
        titles = dict(
            Video.objects.filter(pk__in=[row["video"] for row in rows]).values_list("pk", "title")
        )
        titled = [{**row, "title": titles.get(uuid.UUID(row["video"]), "-")} for row in rows]
        return _table(
            titled, ("title", "video", "count", "gross", "returned", "promotions", "share")
        )

    @admin.display(description="subscriptions")
    def pool(self, statement):
        pool = _body(statement)["pool"]
        names = ("share", "amount", "own_seconds", "total_seconds", "algorithm")
        return _table([pool] if pool else [], names)

    @admin.display(description="adjustments")
    def adjustments(self, statement):
        return _table(_body(statement)["adjustments"], ("kind", "amount"))

    @admin.display(description="payouts")
    def paid_out(self, statement):
        return _table(_body(statement)["payouts"], ("payout", "amount"))

    @admin.display(description="SHA-256")
    def proof(self, statement):
        """Return the stored hash, and whether the stored text still has it."""
        matches = statements.sha256(statement.body) == statement.sha256
        return f"{statement.sha256} ({'of this text' if matches else 'NOT of this text'})"


def _body(statement: models.Statement) -> dict:
    return json.loads(statement.body)


def _table(rows: list[dict], names: tuple[str, ...]) -> str:
    if not rows:
        return "none"
    head = (name.replace("_", " ") for name in names)
    return html_table(head, ([row.get(name, "-") for name in names] for row in rows))
