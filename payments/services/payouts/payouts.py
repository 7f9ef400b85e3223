"""Payouts: from a creator's balance to their bank, with the approval of a second person."""

import math
import uuid
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from typing import TypedDict

from django.conf import settings
from django.db import transaction
from django.db.models import Q, Sum
from django.utils import timezone

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config.money import EXPONENTS, to_decimal, to_text
from payments import gateways, locks, modes
from payments.errors import NoDebt, NothingToPayOut, PartialReturn, PayoutNotOpen, SamePerson
from payments.ledger import accounts, posting
from payments.models import JournalEntry, LedgerAccount, Payout, Transfer
from payments.services.payouts.holding import refuse_on_hold
from payments.signals import payout_changed

EntryKind = JournalEntry.Kind
Role = LedgerAccount.Role
Status = Payout.Status


def minimum(currency: str) -> int:
    """Return the smallest payout in minor units: PAYOUT_MINIMUM in the currency, at least 1."""
    exact = to_decimal(settings.PAYOUT_MINIMUM).scaleb(EXPONENTS[currency])
    return max(1, math.ceil(exact))


class Balance(TypedDict):
    """A creator's balance in one currency, in minor units."""

    balance: int  # owed to the creator, without payouts under way
    pending: int  # the part of the balance that is still held
    available: int  # the part of the balance that may be paid out now
    in_transit: int  # payouts under way
    negative: int  # owed by the creator, after refunds of money that was paid out


def available(creator_id: uuid.UUID) -> dict[str, Balance]:
    """Return a creator's balances by currency."""
    now = timezone.now()
    in_transit = dict(
        Payout.objects.filter(creator_id=creator_id, status__in=Payout.IN_FLIGHT)
        .values_list("currency")
        .annotate(total=Sum("amount"))
        .order_by()
    )
    rows = LedgerAccount.objects.filter(owner_id=creator_id, role=Role.CREATOR)
    balances: dict[str, Balance] = {}
    for account in rows.order_by("currency"):
        balance, matured = _balance_and_matured(account, now)
        balances[account.currency] = {
            "balance": balance,
            "pending": balance - matured,
            "available": max(0, min(balance, matured)),
            "in_transit": in_transit.get(account.currency, 0),
            "negative": max(0, -balance),
        }
    return balances


def request(creator: User) -> list[Payout]:
    """Create a payout for each currency if the creator reaches the minimum in it.

    No second payout is created beside one under way. Raises NothingToPayOut if none is created,
    PayoutsOnHold, and PaymentsClosed.
    """
    gateways.require_open()
    refuse_on_hold(creator)
    rows = LedgerAccount.objects.filter(owner=creator, role=Role.CREATOR).order_by("currency")
    drafts = [_draft(pk, requested_by=creator) for pk in rows.values_list("pk", flat=True)]
    payouts = [draft for draft in drafts if draft is not None]
    if not payouts:
        raise NothingToPayOut()
    return payouts


def run(
    *, actor: User | None = None, on_step: Callable[[int, int], None] = lambda done, total: None
) -> list[Payout]:
    """Create a payout for every creator and currency that reaches the minimum; return the new ones.

    No second payout is created beside one under way. Each payout has a transaction of its own. Safe to
    repeat after a run that was killed, and to run twice at once. ``on_step`` is called with the number
    of accounts done and their total. Raises PaymentsClosed.
    """
    gateways.require_open()
    payouts = []
    candidates = _candidates(timezone.now())
    for number, (account_id, _, _) in enumerate(candidates, start=1):
        if (draft := _draft(account_id, requested_by=actor)) is not None:
            payouts.append(draft)
        on_step(number, len(candidates))
    return payouts


@transaction.atomic
def approve(*, payout_id: uuid.UUID, actor: User) -> Payout:
    """Approve a payout, so that it may be sent to the bank.

    Raises SamePerson if the actor requested the payout or is paid by it, PayoutNotOpen if it does not
    wait for approval, PayoutsOnHold.
    """
    payout = Payout.objects.get(pk=payout_id)
    refuse_on_hold(payout.creator)
    if actor.pk in {payout.requested_by_id, payout.creator_id}:
        raise SamePerson()
    payout = _change_status(
        payout_id, (Status.DRAFT,), Status.APPROVED, approved_by=actor, approved_at=timezone.now()
    )
    audit.record(
        actor=actor,
        action=AuditAction.PAYOUT_APPROVED,
        target=payout,
        amount=payout.amount,
        currency=payout.currency,
    )
    return payout


@transaction.atomic
def mark_processing(*, payout_id: uuid.UUID, actor: User) -> Payout:
    """Record that the bank was asked to pay. Raises PayoutNotOpen if the payout is not approved."""
    payout = _change_status(payout_id, (Status.APPROVED,), Status.PROCESSING)
    audit.record(actor=actor, action=AuditAction.PAYOUT_SENT, target=payout)
    return payout


@transaction.atomic
def mark_paid(*, payout_id: uuid.UUID, external_ref: str, actor: User) -> Payout:
    """Record that the money is at the creator's bank. Safe to repeat with the same reference.

    Raises PayoutNotOpen if the payout is not approved, or is completed in another way.
    """
    done = Payout.objects.filter(pk=payout_id, status=Status.PAID, external_ref=external_ref)
    if external_ref and (payout := done.first()) is not None:
        return payout
    payout = _change_status(
        payout_id,
        (Status.APPROVED, Status.PROCESSING),
        Status.PAID,
        external_ref=external_ref,
        settled_at=timezone.now(),
    )
    transit = accounts.of(Role.PAYOUT_TRANSIT, payout.currency)
    clearing = accounts.clearing(settings.PAYMENT_GATEWAY, payout.currency)
    _post(payout, "paid", EntryKind.PAYOUT, transit, clearing)
    _audit_completion(payout, actor)
    return payout


@transaction.atomic
def mark_failed(*, payout_id: uuid.UUID, reason: str, actor: User) -> Payout:
    """Record that the bank refused the payout; its amount is back in the balance, available at once.

    Only the first 200 characters of the reason are kept. Raises PayoutNotOpen if the payout is not
    approved, or is completed.
    """
    payout = _change_status(
        payout_id,
        (Status.APPROVED, Status.PROCESSING),
        Status.FAILED,
        failure=reason[:200],
        settled_at=timezone.now(),
    )
    return _return_to_balance(payout, actor)


@transaction.atomic
def mark_returned(
    *, payout_id: uuid.UUID, external_ref: str, reason: str, actor: User, amount: int | None = None
) -> Payout:
    """Record that the creator's bank has sent a paid payout back; its amount is in the balance again.

    It is booked now: the statements of the months until now stay as they are. The amount can be paid
    out again at once. ``external_ref`` is the bank's reference of the return. Safe to repeat with the
    same reference. Raises PartialReturn for an ``amount`` that is not the payout's, PayoutNotOpen if the
    payout is not paid or was returned with another reference.
    """
    payout = Payout.objects.get(pk=payout_id)
    if amount not in {None, payout.amount}:
        raise PartialReturn(to_text(payout.amount, payout.currency), payout.currency)
    if payout.status == Status.RETURNED and payout.return_ref == external_ref:
        return payout
    payout = _change_status(
        payout_id,
        (Status.PAID,),
        Status.RETURNED,
        failure=reason[:200],
        return_ref=external_ref,
        returned_at=timezone.now(),
    )
    # The gateway of today may be another one than that whose money was paid.
    clearing = LedgerAccount.objects.get(credits__entry__key=_key(payout, "paid"))
    transit = accounts.of(Role.PAYOUT_TRANSIT, payout.currency)
    creator = accounts.of(Role.CREATOR, payout.currency, payout.creator_id)
    _post(payout, "returned", EntryKind.PAYOUT_RETURNED, clearing, transit, creator)
    audit.record(
        actor=actor,
        action=AuditAction.PAYOUT_RETURNED,
        target=payout,
        amount=payout.amount,
        currency=payout.currency,
    )
    return payout


@transaction.atomic
def cancel(
    *,
    payout_id: uuid.UUID,
    actor: User | None,
    reason: str = "",
    expected: tuple[str, ...] = (Status.DRAFT, Status.APPROVED),
) -> Payout:
    """Cancel a payout that was not sent to the bank; its amount is back in the balance.

    Raises PayoutNotOpen if it is in none of the ``expected`` statuses. ``actor`` is None for the
    service itself.
    """
    payout = _change_status(
        payout_id, expected, Status.CANCELED, settled_at=timezone.now(), failure=reason
    )
    return _return_to_balance(payout, actor)


@transaction.atomic
def write_off(*, creator_id: uuid.UUID, currency: str, actor: User) -> int:
    """Write off a creator's debt in one currency; return the debt in minor units.

    Raises NoDebt if the creator has no debt in it.
    """
    account = LedgerAccount.objects.filter(
        role=Role.CREATOR, owner_id=creator_id, currency=currency
    ).first()
    if account is None:
        raise NoDebt()
    account = locks.lock_ledger_account(account.pk)
    debt = -Transfer.objects.net(account)
    if debt <= 0:
        raise NoDebt()
    posting.post(
        key=f"write_off:{creator_id}:{currency}:{uuid.uuid4()}",
        kind=EntryKind.WRITE_OFF,
        currency=currency,
        transfers=[(accounts.of(Role.BAD_DEBT, currency), account, debt)],
        at=timezone.now(),
    )
    audit.record(
        actor=actor,
        action=AuditAction.DEBT_WRITTEN_OFF,
        target=account.owner,
        amount=debt,
        currency=currency,
    )
    return debt


def _balance_and_matured(account: LedgerAccount, now: datetime) -> tuple[int, int]:
    """Return a creator's balance, and the balance without the transfers that are still held."""
    transfers = Transfer.objects.filter(modes.of_present("entry__effective_at"))
    owed = transfers.touching(pk=account.pk).aggregate(
        balance=Sum("net", default=0), matured=Sum("net", default=0, filter=_matured(now))
    )
    return owed["balance"], owed["matured"]


def _matured(now: datetime) -> Q:
    """Return the condition that a transfer is no longer held."""
    return Q(available_on=None) | Q(available_on__lte=now)


def foreseen() -> list[tuple[int, str]]:
    """Return the payouts that `run` would create now: each one's amount in minor units and currency."""
    return [(amount, currency) for _, amount, currency in _candidates(timezone.now())]


def _candidates(now: datetime) -> list[tuple[int, int, str]]:
    """Return accounts that may have enough for a payout; `_draft` checks each under its lock.

    Each comes with the amount that may be paid out now, and its currency.
    """
    present = modes.of_present("entry__effective_at")
    transfers = Transfer.objects.filter(present).touching(role=Role.CREATOR)
    balances = transfers.net_by(account=("pk",))
    matured = transfers.filter(_matured(now)).net_by(account=("pk",))
    waiting = set(
        Payout.objects.filter(status__in=Payout.IN_FLIGHT).values_list("creator_id", "currency")
    )
    rows = LedgerAccount.objects.filter(role=Role.CREATOR, owner__suspended_at=None).order_by("pk")
    return [
        (pk, amount, currency)
        for pk, owner_id, currency in rows.values_list("pk", "owner_id", "currency")
        if (amount := min(balances.get((pk,), 0), matured.get((pk,), 0))) >= minimum(currency)
        and (owner_id, currency) not in waiting
    ]


@transaction.atomic
def _draft(account_id: int, *, requested_by: User | None) -> Payout | None:
    """Create a payout of all that is available on a creator's account.

    Returns None if that is less than the minimum, or if another payout is under way.
    """
    account = locks.lock_ledger_account(account_id)
    creator_id = account.owner_id
    if creator_id is None:
        raise ValueError(f"{account} is not a creator's account.")
    payouts = Payout.objects.filter(creator_id=creator_id, currency=account.currency)
    if payouts.filter(status__in=Payout.IN_FLIGHT).exists():
        return None
    now = timezone.now()
    amount = min(_balance_and_matured(account, now))
    if amount < minimum(account.currency):
        return None
    payout = Payout.objects.create(
        creator_id=creator_id,
        currency=account.currency,
        amount=amount,
        cutoff=now,
        requested_by=requested_by,
    )
    transit = accounts.of(Role.PAYOUT_TRANSIT, account.currency)
    _post(payout, "start", EntryKind.PAYOUT, account, transit)
    audit.record(
        actor=requested_by,
        action=AuditAction.PAYOUT_REQUESTED,
        target=payout,
        amount=amount,
        currency=payout.currency,
    )
    payout_changed.send(sender=Payout, payout=payout, before="")
    return payout


@transaction.atomic
def _change_status(
    payout_id: uuid.UUID, expected: tuple[str, ...], status: str, **fields: object
) -> Payout:
    """Change a payout of the present mode from one of the expected statuses to another.

    Raises PayoutNotOpen, and PaymentsClosed unless the payout is canceled. Of two concurrent callers one
    succeeds, because the UPDATE names the status that it expects.
    """
    if status != Status.CANCELED:
        gateways.require_open()
    row = Payout.objects.filter(modes.of_present("created_at"), pk=payout_id)
    before = next(
        (state for state in expected if row.filter(status=state).update(status=status, **fields)),
        None,
    )
    if before is None:
        raise PayoutNotOpen()
    payout = Payout.objects.select_related("creator").get(pk=payout_id)
    payout_changed.send(sender=Payout, payout=payout, before=before)
    return payout


def _return_to_balance(payout: Payout, actor: User | None) -> Payout:
    account = accounts.of(Role.CREATOR, payout.currency, payout.creator_id)
    transit = accounts.of(Role.PAYOUT_TRANSIT, payout.currency)
    _post(payout, "returned", EntryKind.PAYOUT_RETURNED, transit, account)
    _audit_completion(payout, actor)
    return payout


def _key(payout: Payout, step: str) -> str:
    """Return the key of a payout's journal entry: of its step "start", "paid" or "returned"."""
    return f"payout:{payout.pk}:{step}"


def _post(payout: Payout, step: str, kind: str, *way: LedgerAccount) -> None:
    """Book one step of a payout: its amount moves from each account of the way to the next one."""
    posting.post(
        key=_key(payout, step),
        kind=kind,
        currency=payout.currency,
        transfers=[(debit, credit, payout.amount) for debit, credit in pairwise(way)],
        at=timezone.now(),
        payout=payout,
    )


def _audit_completion(payout: Payout, actor: User | None) -> None:
    audit.record(
        actor=actor,
        action=AuditAction.PAYOUT_SETTLED,
        target=payout,
        status=payout.status,
        amount=payout.amount,
        currency=payout.currency,
    )
