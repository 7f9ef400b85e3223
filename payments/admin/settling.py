"""Payments, refunds, conversions, disputes and evidence in the admin site."""

from datetime import timedelta

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html

from config.admin import MoneyAdmin, money_column, money_text
from config.confirming import asks_first, task
from config.errors import DomainError
from payments import models
from payments.services.gateway_news import reconciliation
from payments.services.settling import evidence, refunds

# What `left_of_bought` reads of an order's or invoice's relations.
PAYMENTS = ("payments__refunds", "payments__disputes")


def left_of_payment(payment):
    """Return the part of a payment that can still be refunded."""
    return max(0, payment.refundable()), payment.currency


def left_of_bought(row):
    """Return the part of an order's or invoice's applied payments that can still be refunded."""
    applied = models.Payment.Disposition.APPLIED
    payments = [each for each in row.payments.all() if each.disposition == applied]
    return sum(max(0, payment.refundable()) for payment in payments), row.currency


HOURS_MAX = 24 * 366  # of a reconciliation
LINES_MAX = 20  # of its report


@admin.register(models.Payment)
class PaymentAdmin(MoneyAdmin):
    list_display = [
        "external_id", "gateway", "status", "disposition", "captured_text", "fee_text",
        "captured_at",
    ]  # fmt: skip
    list_filter = ["status", "disposition", "gateway", "currency"]
    search_fields = ["external_id", "order__id", "id"]
    actions = ["send_back"]

    tasks = ["reconcile"]

    def has_reconcile_permission(self, request):
        return request.user.has_perm("payments.replay_webhookevent")

    @task(
        "Reconcile with the gateway …",
        permission="reconcile",
        title="Reconcile with the gateways?",
        effect="The gateways are asked for everything that has changed in these hours, and what webhook"
        " events have missed is corrected: payments, refunds, disputes and subscriptions.",
        button="Reconcile",
        done="Reconciled.",
        fields=lambda: {
            "hours": forms.IntegerField(
                label="Hours to look back", min_value=1, max_value=HOURS_MAX, initial=48
            )
        },
        preview=lambda page, hours: [f"Everything that has changed in the last {hours} hours"],
        ends_something=False,
    )
    def reconcile(self, actor, hours):
        found = reconciliation.reconcile(timezone.now() - timedelta(hours=hours))
        return [
            f"{found.looked_at} checked, {len(found.changed)} corrected, {len(found.failed)} not"
            " checked.",
            *(f"corrected: {line}" for line in found.changed[:LINES_MAX]),
            *(f"failed: {line}" for line in found.failed[:LINES_MAX]),
        ]

    amount_text = money_column("amount", "amount")
    captured_text = money_column("captured", "captured")
    fee_text = money_column("fee", "gateway's fee")

    def has_refund_permission(self, request):
        return request.user.has_perm("payments.refund_order")

    @asks_first(
        "Refund an unmatched payment …",
        permission="refund",
        title="Refund these payments that are unmatched or duplicates?",
        effect="The payers get everything back. A payment that bought something is refused: refund its"
        " order or invoice. A refund cannot be undone.",
        button="Refund",
        done="Refunded",
        amount=left_of_payment,
        prefetch=["refunds", "disputes"],
    )
    def send_back(self, actor, payment):
        refunds.refund_unapplied(payment_id=payment.pk, actor=actor)


@admin.register(models.Refund)
class RefundAdmin(MoneyAdmin):
    list_display = [
        "payment", "status", "amount_text", "reason", "is_automatic", "by", "created_at",
    ]  # fmt: skip
    list_select_related = ["payment", "by"]
    list_filter = ["status", "is_automatic"]
    search_fields = ["payment__external_id", "external_id"]

    amount_text = money_column("amount", "amount", currency="payment.currency")


@admin.register(models.Conversion)
class ConversionAdmin(MoneyAdmin):
    list_display = ["external_id", "payment", "presented_text", "amount_text", "fee_text"]
    list_select_related = ["payment"]
    list_filter = ["currency"]
    search_fields = ["external_id", "payment__external_id"]

    presented_text = money_column("presented", "of the payment", currency="payment.currency")
    amount_text = money_column("amount", "on the gateway's balance")
    fee_text = money_column("fee", "gateway's fee")


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()


class EvidenceForm(forms.Form):
    """The texts and files of the evidence, by Stripe's names."""

    def __init__(self, *args, row: models.DisputeEvidence, is_open: bool, **kwargs):
        super().__init__(*args, **kwargs)
        for name in evidence.TEXTS:
            self.fields[name] = forms.CharField(
                label=_label(name),
                required=False,
                max_length=evidence.TEXT_MAX,
                initial=row.texts.get(name, ""),
                widget=forms.Textarea(attrs={"rows": 3, "cols": 90}),
                disabled=not is_open,
            )
        for name in evidence.FILES:
            file = row.files.get(name)
            self.fields[name] = forms.FileField(
                label=f"{_label(name)} (file)",
                required=False,
                help_text=f"Now: {file['name']}, {file['size']} bytes." if file else "",
                disabled=not is_open,
            )

    def save(self, *, dispute_id, actor) -> None:
        """Save the draft. Raises DomainError."""
        texts = {name: self.cleaned_data[name] for name in evidence.TEXTS}
        evidence.save_draft(dispute_id=dispute_id, texts=texts, actor=actor)
        for name in evidence.FILES:
            if file := self.cleaned_data[name]:
                evidence.put_file(
                    dispute_id=dispute_id,
                    name=name,
                    file_name=file.name,
                    content=file.read(),
                    actor=actor,
                )


@admin.register(models.Dispute)
class DisputeAdmin(MoneyAdmin):
    list_display = [
        "external_id", "payment", "status", "reason", "amount_text", "held", "evidence_due",
        "evidence_page", "created_at",
    ]  # fmt: skip
    list_select_related = ["payment", "evidence"]
    readonly_fields = ["evidence_page"]
    list_filter = ["status"]
    search_fields = ["external_id", "payment__external_id"]
    actions = ["submit_evidence"]

    amount_text = money_column("amount", "disputed amount", currency="payment.currency")
    withdrawn_text = money_column("withdrawn", "taken by the bank", currency="payment.currency")
    reinstated_text = money_column("reinstated", "given back", currency="payment.currency")
    fee_text = money_column("fee", "gateway's fee", currency="payment.currency")

    def name_of(self, dispute):
        return f"{dispute.external_id} of {dispute.payment.external_id}"

    def has_answer_permission(self, request):
        return request.user.has_perm("payments.answer_dispute")

    @asks_first(
        "Submit the evidence …",
        permission="answer",
        title="Submit the evidence to the bank?",
        effect="The bank decides with the draft as it is saved now. It takes evidence once: nothing can"
        " be added or changed afterwards.",
        button="Submit to the bank",
        done="Submitted to the bank",
        amount=lambda dispute: (dispute.amount, dispute.payment.currency),
    )
    def submit_evidence(self, actor, dispute):
        evidence.submit(dispute_id=dispute.pk, actor=actor)

    @admin.display(description="held by the bank")
    def held(self, dispute):
        return money_text(dispute.withdrawn - dispute.reinstated, dispute.payment.currency)

    @admin.display(description="evidence")
    def evidence_page(self, dispute):
        row = getattr(dispute, "evidence", None)
        return format_html(
            '<a href="{}">{}</a>',
            reverse("admin:payments_dispute_evidence", args=[dispute.pk]),
            row.get_status_display() if row else "add evidence",
        )

    def get_urls(self):
        page = self.admin_site.admin_view(self.edit_evidence)
        return [
            path("<uuid:pk>/evidence/", page, name="payments_dispute_evidence"),
            *super().get_urls(),
        ]

    def edit_evidence(self, request, pk):
        """Show the evidence of a dispute, and save it as a draft; submitting it asks first."""
        if not request.user.has_perm("payments.answer_dispute"):
            raise PermissionDenied
        dispute = get_object_or_404(models.Dispute.objects.select_related("payment"), pk=pk)
        row = evidence.of(dispute)
        reason = evidence.refusal(dispute, row)
        form = EvidenceForm(
            request.POST or None, request.FILES or None, row=row, is_open=reason is None
        )
        if request.method == "POST" and form.is_valid():
            try:
                form.save(dispute_id=pk, actor=request.user)
            except DomainError as error:
                messages.error(request, str(error.detail))
                return HttpResponseRedirect(request.path)
            messages.success(request, "Saved as a draft.")
            asks = reverse("admin:payments_dispute_act", args=["submit_evidence"])
            return HttpResponseRedirect(
                f"{asks}?rows={pk}" if "submit" in request.POST else request.path
            )
        context = {
            **self.admin_site.each_context(request),
            "title": f"Evidence against {dispute.external_id}",
            "opts": self.opts,
            "form": form,
            "dispute": dispute,
            "evidence": row,
            "reason": reason,
            "media": self.media,
        }
        return TemplateResponse(request, "payments/admin/evidence.html", context)
