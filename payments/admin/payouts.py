"""Payouts and statements in the admin site."""

import json
import uuid
from collections import Counter

from django.contrib import admin

from config.admin import MoneyAdmin, ReadOnlyAdmin, html_table, money_column, money_text
from config.confirming import Question, asks_first, task
from payments import models
from payments.services.payouts import payouts, statements
from videos.models import Video

Status = models.Payout.Status


def _amount(payout):
    return payout.amount, payout.currency


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

    tasks = ["run_payouts"]

    def has_manage_permission(self, request):
        return request.user.has_perm("payments.manage_payouts")

    def name_of(self, payout):
        return f"{payout.creator} ({payout.get_status_display()})"

    def would_be_run(self):
        totals: Counter[str] = Counter()
        number = 0
        for amount, currency in payouts.foreseen():
            totals[currency] += amount
            number += 1
        yield f"{number} new payout{'' if number == 1 else 's'}"
        for currency, amount in sorted(totals.items()):
            yield money_text(amount, currency)

    @task(
        "Create the payouts that are due …",
        permission="manage",
        title="Create a payout for every creator who is owed enough?",
        effect="Every creator and currency that has reached the minimum gets a payout of all that is"
        " available, unless one is under way. Each waits for the approval of another administrator.",
        button="Create the payouts",
        done="The payouts were created.",
        preview=would_be_run,
        ends_something=False,
    )
    def run_payouts(self, actor):
        created = payouts.run(actor=actor)
        return [f"{len(created)} created; each waits for approval."]

    @asks_first(
        "Approve …",
        permission="manage",
        title="Approve these payouts?",
        effect="They can be sent to the bank from then on. Nobody approves a payout of their own, or one"
        " that they requested.",
        button="Approve",
        offered=lambda payout: payout.status == Status.DRAFT,
        done="Approved",
        amount=_amount,
        ends_something=False,
    )
    def approve(self, actor, payout):
        payouts.approve(payout_id=payout.pk, actor=actor)

    @asks_first(
        "Mark as sent to the bank …",
        permission="manage",
        title="Mark these payouts as sent to the bank?",
        effect="Say so only when the bank has the order. They can no longer be canceled.",
        button="Mark as sent",
        offered=lambda payout: payout.status == Status.APPROVED,
        done="Sent to the bank",
        amount=_amount,
        ends_something=False,
    )
    def processing(self, actor, payout):
        payouts.mark_processing(payout_id=payout.pk, actor=actor)

    @asks_first(
        "Mark as paid …",
        permission="manage",
        title="Has the bank paid these payouts?",
        effect="The money leaves the books with the bank's reference.",
        button="Mark as paid",
        offered=lambda payout: payout.status in {Status.APPROVED, Status.PROCESSING},
        done="Paid",
        amount=_amount,
        questions=[Question("reference", "The bank's reference", 120)],
        ends_something=False,
    )
    def mark_paid(self, actor, payout, reference):
        payouts.mark_paid(payout_id=payout.pk, external_ref=reference, actor=actor)

    @asks_first(
        "Mark as failed …",
        permission="manage",
        title="Has the bank refused these payouts?",
        effect="The money returns to the creators' balances, and the creators read the bank's reason.",
        button="Mark as failed",
        offered=lambda payout: payout.status in {Status.APPROVED, Status.PROCESSING},
        done="Returned to the balance",
        amount=_amount,
        questions=[Question("why", "The bank's reason", 200)],
    )
    def mark_failed(self, actor, payout, why):
        payouts.mark_failed(payout_id=payout.pk, reason=why, actor=actor)

    @asks_first(
        "Mark as returned by the creator's bank …",
        permission="manage",
        title="Have the creators' banks returned these paid payouts?",
        effect="The money returns to the creators' balances, and the creators read the bank's reason.",
        button="Mark as returned",
        offered=lambda payout: payout.status == Status.PAID,
        done="Returned to the balance",
        amount=_amount,
        questions=[
            Question("reference", "The bank's reference of the return", 120),
            Question("why", "The bank's reason", 200),
        ],
    )
    def mark_returned(self, actor, payout, reference, why):
        payouts.mark_returned(payout_id=payout.pk, external_ref=reference, reason=why, actor=actor)

    @asks_first(
        "Cancel …",
        permission="manage",
        title="Cancel these payouts?",
        effect="The money returns to the creators' balances. A later run creates new payouts of it.",
        button="Cancel the payouts",
        offered=lambda payout: payout.status in {Status.DRAFT, Status.APPROVED},
        done="Canceled",
        amount=_amount,
    )
    def cancel(self, actor, payout):
        payouts.cancel(payout_id=payout.pk, actor=actor)


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
