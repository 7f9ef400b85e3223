"""The ledger check of payments and gifts: do the books hold the credits that their facts require?

The database adds up the facts and the bookings of each payment, and returns each combination of them
once: most payments are alike, because prices are few. The rule of the split then judges each of them.
"""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from django.db import connections, router, transaction
from django.db.models import (
    Aggregate,
    Case,
    Count,
    F,
    Func,
    Min,
    Q,
    QuerySet,
    Sum,
    TextField,
    Value,
    When,
)
from django.db.models.functions import Coalesce

from config import bulk
from payments import locks
from payments.models import Conversion, Dispute, LedgerAccount, Order, Payment, Refund, Transfer
from payments.services.settling import split

Role = LedgerAccount.Role

BATCH = 20_000  # payments that are added up by one statement
# The accounts of one currency without an owner that a payment credits; those of _EXCHANGED also in the
# currency of its conversions.
_SHARED = (
    *(Role.PLATFORM, Role.PROMOTIONS, Role.LOSSES, Role.DEFERRED, Role.POOL, Role.SUSPENSE),
    *(Role.FEES, Role.FX_TRADING),
)
_EXCHANGED = (Role.FX_TRADING, Role.FEES)
# Stand for the ends of a batch while the statement is written.
_FIRST, _END, _AFTER_ALL = (uuid.UUID(int=number) for number in (1, 2, 2**128 - 1))
_FACTS = len(split.SplitFacts._fields)
_BOOKED = "entries__transfers"
_UNUSUAL = "?"  # stands for a transfer whose accounts the roles do not tell
_CURRENCY = F("currency")
_OWNERS = {
    Role.CREATOR: F("order__creator"),
    Role.CUSTOMER_REFUND: Coalesce("order__buyer", "invoice__subscription__user"),
}


class _Case(NamedTuple):
    """The facts and the bookings of payments that are alike in all of them; amounts in minor units."""

    facts: split.SplitFacts
    order_status: str | None
    refunded: int
    disputed: int
    bank_fees: int
    is_undecided: bool
    is_lost: bool
    exchange: split.Converted | None  # the sums of the conversions into one currency
    booked: dict[tuple[str, str], int]  # the credits by role and currency, without clearing
    is_clear: bool  # no unusual account is used, and not more than one currency of conversions

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> "_Case":
        """Return the case that a row of `_Statement.rows` stands for."""
        (status, transfers, refunded, disputed, bank_fees, undecided, lost, currencies, currency,
         amount, fee, presented) = row[_FACTS:]  # fmt: skip
        exchange = split.Converted(currency, *map(_whole, (amount, fee, presented)))
        booked: defaultdict[tuple[str, str], int] = defaultdict(int)
        lines = [line.split(" ") for line in transfers.split(",")] if transfers else []
        is_clear = _whole(currencies) <= 1 and all(len(line) == 4 for line in lines)
        for credited, debited, of_both, moved in lines if is_clear else []:
            booked[credited, of_both] += int(moved)
            booked[debited, of_both] -= int(moved)
        return cls(
            split.SplitFacts(*row[:_FACTS]),
            status,
            _whole(refunded),
            _whole(disputed),
            _whole(bank_fees),
            bool(undecided),
            bool(lost),
            exchange if currencies else None,
            {(role, of): net for (role, of), net in booked.items() if role != Role.CLEARING},
            is_clear,
        )

    def is_booked(self) -> bool:
        """Tell whether the books hold exactly the required credits, as far as that is clear here."""
        if not self.is_clear:
            return False
        required = split.required_credits(
            self.facts,
            back=self.refunded + self.disputed,
            bank_fees=self.bank_fees,
            converted=[self.exchange] if self.exchange else [],
        )
        return _without_zeros(self.booked) == _without_zeros(required)

    def fits_order(self) -> bool:
        """Tell whether the status of the order fits the payment's refunds and disputes."""
        return _order_follows(
            self.order_status,
            self.facts.disposition,
            captured=self.facts.captured,
            refunded=self.refunded,
            disputed=self.disputed,
            is_undecided=self.is_undecided,
            is_lost=self.is_lost,
        )


def _whole(amount: Any) -> int:
    return int(amount or 0)  # a sum is a Decimal on PostgreSQL, and None without rows


def _without_zeros(credits: Mapping[Any, int]) -> dict[Any, int]:
    return {key: credit for key, credit in credits.items() if credit}


def payments(on_step: Callable[[int], None]) -> Iterator[str]:
    """Report payments that are booked in another way than their facts require, and their orders.

    Two statements for each batch of payments, one more if a payment in it looks wrong, and a few for
    each of these: it is checked again under its lock. ``on_step`` is called with the number of payments
    that are checked.
    """
    ids = Payment.objects.order_by("pk").values_list("pk", flat=True)
    statement = _Statement()
    first, done = ids.first(), 0
    while first is not None:
        following = ids.filter(pk__gte=first)[BATCH : BATCH + 1].first()
        yield from _wrong_in(statement, first, following or _AFTER_ALL)
        first, done = following, done + BATCH
        on_step(done)


def _wrong_in(statement: "_Statement", first: uuid.UUID, end: uuid.UUID) -> Iterator[str]:
    judged: dict[tuple[Any, ...], tuple[bool, bool]] = {}

    def judge(row: tuple[Any, ...]) -> tuple[bool, bool]:
        if row not in judged:
            case = _Case.of(row)
            judged[row] = case.is_booked(), case.fits_order()
        return judged[row]

    if all(all(judge(row)) for row in statement.rows("DISTINCT ", first, end)):
        return
    # Each payment is judged by the rows of its second reading: its transfers may come in another order.
    suspects = [
        (uuid.UUID(str(pk)), judge(tuple(row)))
        for pk, *row in statement.rows("payment_id, ", first, end)
        if not all(judge(tuple(row)))
    ]
    for pk, (is_booked, fits_order) in sorted(suspects):
        if not is_booked and (changes := _differences(pk)):
            yield f"payment {pk}: the books differ from its facts: {changes}"
        if not fits_order and (order := _order_if_wrong(pk)):
            yield f"order {order.pk} is {order.status}, which does not fit its payment"


class _Part(NamedTuple):
    """One table of the statement: its name, its columns after ``payment_id``, and its rows."""

    name: str
    columns: tuple[str, ...]
    rows: QuerySet[Any, Any]


class _Statement:
    """The statement that adds up facts and bookings, written once for all batches."""

    def __init__(self) -> None:
        self._connection = connections[router.db_for_read(Payment)]
        parts, tables = _parts(), []
        self._values: list[Any] = []
        for part in parts:
            compiler = part.rows.query.get_compiler(connection=self._connection)
            sql, values = compiler.as_sql()
            tables.append(f"{part.name} (payment_id, {', '.join(part.columns)}) AS ({sql})")
            self._values += values
        self._with = f"WITH {', '.join(tables)} SELECT "
        columns = ", ".join(column for part in parts for column in part.columns)
        joined = " ".join(f"LEFT JOIN {part.name} USING (payment_id)" for part in parts[1:])
        self._from = f"{columns} FROM {parts[0].name} {joined}"

    def rows(self, what: str, first: uuid.UUID, end: uuid.UUID) -> Iterator[tuple[Any, ...]]:
        """Yield ``what`` and the columns for the payments from ``first`` until before ``end``."""
        ends = {_FIRST: first, _END: end}
        stored = {
            bulk.id_for(self._connection, name): bulk.id_for(self._connection, pk)
            for name, pk in ends.items()
        }
        with self._connection.cursor() as cursor:
            cursor.execute(self._with + what + self._from, [stored.get(v, v) for v in self._values])
            while rows := cursor.fetchmany(2000):
                yield from rows


def _parts() -> list[_Part]:
    """Return the tables of the statement for the payments from _FIRST until before _END."""

    def within(field: str) -> Q:
        return Q(**{f"{field}__gte": _FIRST, f"{field}__lt": _END})

    # One pass in the order of the payments: their entries and transfers are grouped as they are read.
    facts_and_bookings = (
        Payment.objects.filter(within("pk"))
        .order_by()
        .values_list(
            "pk", "currency", "disposition", "captured", "fee", "recognised", "order__fee_bps",
            "order__discount", "order__coupon__funded_by", "invoice__fee_bps", "order__status",
        )
        .annotate(transfers=_Listed(_transfer()))
    )  # fmt: skip
    refunds = Refund.objects.filter(within("payment"), status__in=Refund.COUNTS)
    disputes = Dispute.objects.filter(within("payment"))
    conversions = Conversion.objects.filter(within("payment"))

    def sums(rows: QuerySet[Any, Any], **amounts: Any) -> QuerySet[Any, Any]:
        return rows.order_by().values_list("payment").annotate(**amounts)

    return [
        _Part(
            "booked",
            (*split.SplitFacts._fields, "order_status", "transfers"),
            facts_and_bookings,
        ),
        _Part("refunded", ("refunded",), sums(refunds, total=Sum("amount"))),
        _Part(
            "disputed",
            ("disputed", "bank_fees"),
            sums(disputes, held=Sum(F("withdrawn") - F("reinstated")), fees=Sum("fee")),
        ),
        _Part("undecided", ("undecided",), sums(disputes.undecided(), number=Count("pk"))),
        _Part("lost", ("lost",), sums(disputes.lost(), number=Count("pk"))),
        _Part(
            "exchanged",
            ("currencies", "other_currency", "amount", "exchange_fee", "presented"),
            sums(
                conversions, number=Count("currency", distinct=True), into=Min("currency"),
                total=Sum("amount"), fees=Sum("fee"), given=Sum("presented"),
            ),
        ),
    ]  # fmt: skip


class _Listed(Aggregate):
    """The texts of all rows of a group, with commas between them; None if all are null."""

    function = "GROUP_CONCAT"
    output_field = TextField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "STRING_AGG(%(expressions)s, ',')"
        return self.as_sql(compiler, connection, template=template, **context)


def _text(separator: str, *parts: Any) -> Func:
    """Return the text of some columns with a separator between them; null if one is null."""
    joiner = f" || '{separator}' || "
    return Func(*parts, template="(%(expressions)s)", arg_joiner=joiner, output_field=TextField())


def _transfer() -> Case:
    """Return the text of one transfer of a payment: its roles, its currency and its amount."""
    credit, debit = f"{_BOOKED}__credit", f"{_BOOKED}__debit"
    is_known = Q(**{f"{credit}__currency": F(f"{debit}__currency")})
    is_known &= _known(credit) & _known(debit)
    text = _text(
        " ", f"{credit}__role", f"{debit}__role", f"{credit}__currency", f"{_BOOKED}__amount"
    )
    return Case(
        When(is_known, then=text),
        When(Q(**{f"{_BOOKED}__isnull": False}), then=Value(_UNUSUAL)),
        output_field=TextField(),
    )


def _known(side: str) -> Q:
    """Return the condition that a side of a transfer is the account that its role tells."""

    def account(**fields: Any) -> Q:
        return Q(**{f"{side}__{field}": value for field, value in fields.items()})

    clearing = _text(":", Value(Role.CLEARING), "gateway", f"{side}__currency")
    is_owned = account(owner=None, role__in=_SHARED)
    for role, owner in _OWNERS.items():
        is_owned |= account(role=role, owner=owner)
    is_own = account(currency=_CURRENCY) | account(role__in=_EXCHANGED)
    return account(role=Role.CLEARING, code=clearing) | (is_owned & is_own)


@transaction.atomic
def _differences(payment_id: uuid.UUID) -> str:
    """Return the changes that would correct the books of a payment, or "". Locks the payment."""
    payment = locks.lock_payment(pk=payment_id)
    changes = {account.code: change for account, change in split.differences(payment).items()}
    return ", ".join(
        f"{code} must change by {change}" for code, change in sorted(changes.items()) if change
    )


def _order_follows(status: str | None, disposition: str, **facts: Any) -> bool:
    """Return whether an order's status fits the refunds and disputes of a payment, if it pays it."""
    if status is None or disposition != Payment.Disposition.APPLIED:
        return True
    # A superseded order keeps its status until its money is refunded: the buyer bought again.
    expected = Order.status_when_paid(**facts)
    return status in {expected, Order.Status.SUPERSEDED, Order.Status.VOID}


@transaction.atomic
def _order_if_wrong(payment_id: uuid.UUID) -> Order | None:
    """Return the order of a payment if its status does not fit. Locks the payment."""
    payment = locks.lock_payment(pk=payment_id)
    order = payment.order
    follows = _order_follows(
        order.status if order else None,
        payment.disposition,
        captured=payment.captured,
        refunded=payment.refunded(),
        disputed=payment.disputed(),
        is_undecided=payment.has_undecided_dispute(),
        is_lost=payment.has_lost_dispute(),
    )
    return None if follows else order


def gifts() -> Iterator[str]:
    """Report free orders that are booked in another way than their split.

    Also report gifts that are booked for orders with a price.
    """
    is_free = Q(amount=0, paid_at__isnull=False)
    free = Order.objects.filter(is_free).select_related("coupon").order_by("pk")
    after = uuid.UUID(int=0)
    while batch := list(free.filter(pk__gt=after)[:BATCH]):
        after = batch[-1].pk
        span = {"entry__order__gte": batch[0].pk, "entry__order__lte": after}
        booked: defaultdict[uuid.UUID, dict[str, int]] = defaultdict(dict)
        net = Transfer.objects.filter(**span).net_by("entry__order_id", account=("role",))
        for (order_id, role), credit in net.items():
            booked[order_id][role] = credit
        for order in batch:
            required = _without_zeros(split.required_gift_credits(order))
            if _without_zeros(booked[order.pk]) != required:
                yield f"order {order.pk} cost nothing, but its entries are not its split"
    # A comparison and no IS NOT NULL: SQLite uses the index for it.
    gifts = Transfer.objects.filter(entry__order__gte=uuid.UUID(int=0))
    others = gifts.exclude(entry__order__amount=0, entry__order__paid_at__isnull=False)
    for pk in others.order_by().values_list("entry__order", flat=True).distinct():
        yield f"order {pk} has the entry of a free order, but was not free"
