import json
import uuid

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.template.response import TemplateResponse

from config.admin import ReadOnlyAdmin, amount, carry_out, shown, table
from payments import models
from payments.services.payouts import payouts, statements
from videos.models import Video


@admin.register(models.Payout)
class PayoutAdmin(ReadOnlyAdmin):
    list_display = [
        "created_at", "creator", amount("amount", "amount"), "status", "requested_by",
        "approved_by",
    ]  # fmt: skip
    list_filter = ["status", "currency"]
    list_select_related = ["creator", "requested_by", "approved_by"]
    search_fields = ["id", "creator__email", "external_ref"]
    date_hierarchy = "created_at"
    actions = ["approve", "processing", "mark_paid", "mark_failed", "cancel"]

    def has_settle_permission(self, request):
        return request.user.has_perm("payments.manage_payouts")

    @admin.action(description="Approve", permissions=["settle"])
    def approve(self, request, queryset):
        self._each(request, queryset, payouts.approve, "Approved", actor=request.user)

    @admin.action(description="The bank has been told", permissions=["settle"])
    def processing(self, request, queryset):
        self._each(request, queryset, payouts.mark_processing, "On their way", actor=request.user)

    @admin.action(description="Paid …", permissions=["settle"])
    def mark_paid(self, request, queryset):
        def act(payout, text):
            payouts.mark_paid(payout_id=payout.pk, external_ref=text, actor=request.user)

        return self._with_words(
            request, queryset, act, action="mark_paid", title="These payouts have arrived",
            label="The bank's reference", max_length=120, done="Paid",
        )  # fmt: skip

    @admin.action(description="Failed …", permissions=["settle"])
    def mark_failed(self, request, queryset):
        def act(payout, text):
            payouts.mark_failed(payout_id=payout.pk, reason=text, actor=request.user)

        return self._with_words(
            request, queryset, act, action="mark_failed", title="The bank did not take these",
            label="What the bank says", max_length=200, done="Back in the balance",
        )  # fmt: skip

    @admin.action(description="Cancel: the money is in the balance again", permissions=["settle"])
    def cancel(self, request, queryset):
        self._each(request, queryset, payouts.cancel, "Canceled", actor=request.user)

    def _each(self, request, queryset, move, done: str, **arguments):
        carry_out(self, request, queryset, lambda row: move(payout_id=row.pk, **arguments), done)

    def _with_words(
        self, request, queryset, act, *, action: str, title: str, label: str, max_length: int, done
    ):
        """A page in between asks for a word about each; the second time the words are there."""
        rows = list(queryset)
        asked = "words" in request.POST
        form = _words(rows, label, max_length)(request.POST if asked else None)
        if asked and form.is_valid():
            words = form.cleaned_data
            carry_out(self, request, rows, lambda row: act(row, words[str(row.pk)]), done)
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


def _words(rows: list[models.Payout], label: str, max_length: int) -> type[forms.Form]:
    fields = {
        str(row.pk): forms.CharField(
            label=f"{label}: {shown(row.amount, row.currency)} to {row.creator}",
            max_length=max_length,
        )
        for row in rows
    }
    return type("Words", (forms.Form,), fields)


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
    readonly_fields = fields

    @admin.display(description="opening balance")
    def opening(self, statement):
        return f"{_read(statement)['opening']} {statement.currency}"

    @admin.display(description="closing balance")
    def closing(self, statement):
        return f"{_read(statement)['closing']} {statement.currency}"

    @admin.display(description="sales")
    def sales(self, statement):
        rows = _read(statement)["sales"]
        titles = dict(
            Video.objects.filter(pk__in=[row["video"] for row in rows]).values_list("pk", "title")
        )
        named = [{**row, "title": titles.get(uuid.UUID(row["video"]), "-")} for row in rows]
        return _lines(named, ("title", "video", "count", "gross", "returned", "share"))

    @admin.display(description="subscriptions")
    def pool(self, statement):
        found = _read(statement)["pool"]
        names = ("share", "amount", "own_seconds", "total_seconds", "algorithm")
        return _lines([found] if found else [], names)

    @admin.display(description="adjustments")
    def adjustments(self, statement):
        return _lines(_read(statement)["adjustments"], ("kind", "amount"))

    @admin.display(description="payouts")
    def paid_out(self, statement):
        return _lines(_read(statement)["payouts"], ("payout", "amount"))

    @admin.display(description="SHA-256")
    def proof(self, statement):
        right = statements.sha256(statement.body) == statement.sha256
        return f"{statement.sha256} ({'of this text' if right else 'NOT of this text'})"


def _read(statement: models.Statement) -> dict:
    return json.loads(statement.body)


def _lines(rows: list[dict], names: tuple[str, ...]) -> str:
    if not rows:
        return "none"
    head = tuple(name.replace("_", " ") for name in names)
    return table(head, ([row[name] for name in names] for row in rows))
