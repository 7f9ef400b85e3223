"""Filters of the list endpoints of payments."""

from django.conf import settings
from django.core.validators import RegexValidator
from django.db.models import Exists, OuterRef, Q, QuerySet
from django_filters import rest_framework as filters  # type: ignore[import-untyped]  # ships no types

from config import money
from config.api.filters import TimeFilter, TrueFalseFilter
from payments.models import (
    Coupon,
    Dispute,
    JournalEntry,
    LedgerAccount,
    Order,
    Payout,
    Pool,
    Transfer,
    WebhookEvent,
)
from payments.periods import MONTH_NAME


class OrderFilter(filters.FilterSet):
    class Meta:
        model = Order
        fields = ["status", "kind", "video"]


def _choices(words: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(word, word) for word in words]


class EntryFilter(filters.FilterSet):
    kind = filters.ChoiceFilter(choices=JournalEntry.Kind.choices)
    account = filters.ModelChoiceFilter(
        queryset=LedgerAccount.objects.all(),
        to_field_name="code",
        method="of_account",
        label="An account's code.",
    )
    role = filters.ChoiceFilter(
        choices=LedgerAccount.Role.choices, method="of_role", label="An account's role."
    )

    from_ = TimeFilter(
        field_name="effective_at", lookup_expr="gte", help_text="The beginning, in ISO 8601."
    )
    to = TimeFilter(
        field_name="effective_at", lookup_expr="lt", help_text="The end, which is not included."
    )

    class Meta:
        model = JournalEntry
        fields = ["payment", "pool", "payout"]

    @classmethod
    def get_filters(cls):
        entry_filters = super().get_filters()
        # The API's name is a keyword of Python, so the class cannot use it.
        entry_filters["from"] = entry_filters.pop("from_")
        return entry_filters

    def of_account(self, queryset, name, value: str):
        return _touching(queryset, Q(debit=value) | Q(credit=value))

    def of_role(self, queryset, name, value: str):
        return _touching(queryset, Q(debit__role=value) | Q(credit__role=value))


def _touching(entries: QuerySet[JournalEntry], transfers: Q) -> QuerySet[JournalEntry]:
    """Return the entries that have at least one matching transfer."""
    # A join would return an entry once for each of its matching transfers.
    return entries.filter(Exists(Transfer.objects.filter(transfers, entry=OuterRef("pk"))))


def _currency() -> filters.ChoiceFilter:
    return filters.ChoiceFilter(
        choices=_choices(tuple(sorted(money.EXPONENTS))),
        help_text="A currency (ISO 4217), such as EUR.",
    )


_IS_MONTH = RegexValidator(MONTH_NAME, "Name a month as YYYY-MM, such as 2026-09.")


class DisputeFilter(filters.FilterSet):
    class Meta:
        model = Dispute
        fields = ["status", "payment"]


class PoolFilter(filters.FilterSet):
    period = filters.CharFilter(validators=[_IS_MONTH], help_text="A month, as YYYY-MM.")
    currency = _currency()

    class Meta:
        model = Pool
        fields = ["period", "currency"]


class PayoutFilter(filters.FilterSet):
    currency = _currency()

    class Meta:
        model = Payout
        fields = ["status", "creator", "currency"]


class CouponFilter(filters.FilterSet):
    is_active = TrueFalseFilter(method="active")

    class Meta:
        model = Coupon
        fields = ["funded_by", "creator"]

    def active(self, queryset, name, value):
        return queryset.filter(is_active=value == "true")


class WebhookEventFilter(filters.FilterSet):
    gateway = filters.ChoiceFilter(choices=_choices(settings.PAYMENT_GATEWAYS))
    type = filters.CharFilter(
        help_text="The gateway's name of what happened, such as payment.captured."
    )

    class Meta:
        model = WebhookEvent
        fields = ["gateway", "status", "type"]
