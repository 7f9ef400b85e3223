"""What creators are owed, on its way to their bank."""

import math
import uuid
from collections.abc import Callable
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Q, Sum
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from config.money import EXPONENTS, to_decimal
from payments import locks
from payments.errors import NoDebt, NothingToPayOut, PayoutNotOpen, SamePerson
from payments.ledger import accounts, posting
from payments.models import JournalEntry, LedgerAccount, Payout, Transfer
from payments.signals import payout_changed

EntryKind = JournalEntry.Kind
Role = LedgerAccount.Role
Status = Payout.Status


def minimum(currency: str) -> int:
    """The smallest payout in minor units: PAYOUT_MINIMUM in each currency, never less than one."""
    exact = to_decimal(settings.PAYOUT_MINIMUM).scaleb(EXPONENTS[currency])
    return max(1, math.ceil(exact))


def available(creator_id: uuid.UUID) -> dict[str, dict[str, int]]:
    """By currency, in minor units: ``balance`` (what is owed, without what is on its way),
    ``pending`` (of it, still held), ``available`` (may be paid out now), ``in_transit``, and
    ``negative`` (what the creator owes, after refunds of money that was paid out)."""
    now = timezone.now()
    in_transit = dict(
        Payout.objects.filter(creator_id=creator_id, status__in=Payout.IN_FLIGHT)
        .values_list("currency")
        .annotate(total=Sum("amount"))
        .order_by()
    )
    found = {}
    for account in LedgerAccount.objects.filter(owner_id=creator_id, role=Role.CREATOR):
        balance, matured = _owed(account, now)
        found[account.currency] = {
            "balance": balance,
            "pending": balance - matured,
            "available": max(0, min(balance, matured)),
            "in_transit": in_transit.get(account.currency, 0),
            "negative": max(0, -balance),
        }
    return dict(sorted(found.items()))


def request(creator) -> list[Payout]:
    """A payout in every currency in which the creator may have one. Raises NothingToPayOut."""
    rows = LedgerAccount.objects.filter(owner=creator, role=Role.CREATOR).order_by("currency")
    drafts = [_draft(pk, requested_by=creator) for pk in rows.values_list("pk", flat=True)]
    made = [draft for draft in drafts if draft is not None]
    if not made:
        raise NothingToPayOut()
    return made


def run(
    *, actor=None, on_step: Callable[[int, int], None] = lambda done, total: None
) -> list[Payout]:
    """A payout for every creator and currency at or above the minimum, none beside one under way.

    Each in its own transaction: a run that was killed is continued by the next, and two at once
    make one payout each. ``on_step`` is told how many of how many creators are done.
    """
    made = []
    candidates = _candidates(timezone.now())
    for number, account_id in enumerate(candidates, start=1):
        if (draft := _draft(account_id, requested_by=actor)) is not None:
            made.append(draft)
        on_step(number, len(candidates))
    return made


@transaction.atomic
def approve(*, payout_id: uuid.UUID, actor) -> Payout:
    """Let a payout go to the bank. Never by whoever asked for it, or gets it: SamePerson.

    Raises PayoutNotOpen when it does not wait for approval.
    """
    payout = Payout.objects.get(pk=payout_id)
    if actor.pk in {payout.requested_by_id, payout.creator_id}:
        raise SamePerson()
    payout = _move(
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


def mark_processing(*, payout_id: uuid.UUID, actor) -> Payout:
    """The bank has been told. Raises PayoutNotOpen."""
    payout = _move(payout_id, (Status.APPROVED,), Status.PROCESSING)
    audit.record(actor=actor, action=AuditAction.PAYOUT_SENT, target=payout)
    return payout


@transaction.atomic
def mark_paid(*, payout_id: uuid.UUID, external_ref: str, actor) -> Payout:
    """The money is at the creator's bank. Told twice with the same reference, it is once.

    Raises PayoutNotOpen when it was not approved, or is settled otherwise.
    """
    done = Payout.objects.filter(pk=payout_id, status=Status.PAID, external_ref=external_ref)
    if external_ref and (payout := done.first()) is not None:
        return payout
    payout = _move(
        payout_id,
        (Status.APPROVED, Status.PROCESSING),
        Status.PAID,
        external_ref=external_ref,
        settled_at=timezone.now(),
    )
    transit = accounts.of(Role.PAYOUT_TRANSIT, payout.currency)
    clearing = accounts.clearing(settings.PAYMENT_GATEWAY, payout.currency)
    _post(payout, "paid", EntryKind.PAYOUT, transit, clearing)
    _settled(payout, actor)
    return payout


@transaction.atomic
def mark_failed(*, payout_id: uuid.UUID, reason: str, actor) -> Payout:
    """The bank did not take it: the money is back in the creator's balance, available at once."""
    payout = _move(
        payout_id,
        (Status.APPROVED, Status.PROCESSING),
        Status.FAILED,
        failure=reason[:200],
        settled_at=timezone.now(),
    )
    return _give_back(payout, actor)


@transaction.atomic
def cancel(*, payout_id: uuid.UUID, actor) -> Payout:
    """Take back a payout that is not on its way; the money is in the balance again."""
    payout = _move(
        payout_id, (Status.DRAFT, Status.APPROVED), Status.CANCELED, settled_at=timezone.now()
    )
    return _give_back(payout, actor)


@transaction.atomic
def write_off(*, creator_id: uuid.UUID, currency: str, actor) -> int:
    """Give up what a creator owes; returns how much. Raises NoDebt when it is nothing."""
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
        legs=[(accounts.of(Role.BAD_DEBT, currency), account, debt)],
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


def _owed(account: LedgerAccount, now: datetime) -> tuple[int, int]:
    """What a creator is owed, and the part of it that no hold covers."""
    owed = Transfer.objects.touching(pk=account.pk).aggregate(
        balance=Sum("net", default=0), matured=Sum("net", default=0, filter=_matured(now))
    )
    return owed["balance"], owed["matured"]


def _matured(now: datetime) -> Q:
    return Q(available_on=None) | Q(available_on__lte=now)


def _candidates(now: datetime) -> list[int]:
    """Accounts that may have enough; `_draft` looks again, under the account's lock."""
    transfers = Transfer.objects.touching(role=Role.CREATOR)
    balances = transfers.net_by(account=("pk",))
    matured = transfers.filter(_matured(now)).net_by(account=("pk",))
    waiting = set(
        Payout.objects.filter(status__in=Payout.IN_FLIGHT).values_list("creator_id", "currency")
    )
    rows = LedgerAccount.objects.filter(role=Role.CREATOR).order_by("pk")
    return [
        pk
        for pk, owner_id, currency in rows.values_list("pk", "owner_id", "currency")
        if min(balances.get((pk,), 0), matured.get((pk,), 0)) >= minimum(currency)
        and (owner_id, currency) not in waiting
    ]


@transaction.atomic
def _draft(account_id: int, *, requested_by) -> Payout | None:
    """Set aside what an account's owner may have now. None: too little, or one is under way."""
    account = locks.lock_ledger_account(account_id)
    mine = Payout.objects.filter(creator_id=account.owner_id, currency=account.currency)
    if mine.filter(status__in=Payout.IN_FLIGHT).exists():
        return None
    now = timezone.now()
    amount = min(_owed(account, now))
    if amount < minimum(account.currency):
        return None
    payout = Payout.objects.create(
        creator_id=account.owner_id,
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
def _move(payout_id, expected: tuple[str, ...], status: str, **fields) -> Payout:
    """One UPDATE decides: of two who move a payout on, one finds it moved."""
    before = next(
        (
            state
            for state in expected
            if Payout.objects.filter(pk=payout_id, status=state).update(status=status, **fields)
        ),
        None,
    )
    if before is None:
        raise PayoutNotOpen()
    payout = Payout.objects.select_related("creator").get(pk=payout_id)
    payout_changed.send(sender=Payout, payout=payout, before=before)
    return payout


def _give_back(payout: Payout, actor) -> Payout:
    account = accounts.of(Role.CREATOR, payout.currency, payout.creator_id)
    transit = accounts.of(Role.PAYOUT_TRANSIT, payout.currency)
    _post(payout, "returned", EntryKind.PAYOUT_RETURNED, transit, account)
    _settled(payout, actor)
    return payout


def _post(payout: Payout, step: str, kind: str, debit: LedgerAccount, credit: LedgerAccount):
    posting.post(
        key=f"payout:{payout.pk}:{step}",
        kind=kind,
        currency=payout.currency,
        legs=[(debit, credit, payout.amount)],
        at=timezone.now(),
        payout=payout,
    )


def _settled(payout: Payout, actor) -> None:
    audit.record(
        actor=actor,
        action=AuditAction.PAYOUT_SETTLED,
        target=payout,
        status=payout.status,
        amount=payout.amount,
        currency=payout.currency,
    )
