"""What must be true after every kill and recovery, whichever flow was killed."""

from collections import Counter
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from django.db.models import F, Model, Sum
from django.utils import timezone

from analytics.tests import waiting
from audit import sealing
from audit import verification as audit_verification
from audit.models import AuditEntry
from payments.books import verification
from payments.models import (
    Coupon,
    CouponRedemption,
    Dispute,
    Entitlement,
    Notice,
    Order,
    Payment,
    Payout,
    Pool,
    Refund,
    SandboxPayment,
    Subscription,
)  # fmt: skip
from videos.models import Video

# The statuses of a row and the audit entries that tell of them.
TOLD: list[tuple[type[Model], dict[str, Any], str]] = [
    (Order, {}, "order.created"),
    (Order, {"paid_at__isnull": False}, "order.paid"),
    (Order, {"status": "refunded"}, "order.refunded"),
    (Order, {"status": "canceled"}, "order.canceled"),
    (Payment, {"captured__gt": 0}, "payment.captured"),
    (Refund, {"status": "succeeded"}, "refund.succeeded"),
    (Dispute, {}, "dispute.opened"),
    (Pool, {}, "pool.closed"),
    (Payout, {}, "payout.requested"),
    (Payout, {"status__in": ["approved", "processing", "paid"]}, "payout.approved"),
    (Payout, {"status": "paid"}, "payout.settled"),
    (Entitlement, {}, "entitlement.granted"),
    (Subscription, {"status": "active"}, "subscription.started"),
    (Subscription, {"cancel_at_period_end": True}, "subscription.canceled"),
    (Subscription, {"status": "past_due"}, "subscription.past_due"),
    (Subscription, {"plan__code": "yearly"}, "subscription.changed"),
]
TOLD_OF_VIDEOS: list[tuple[type[Model], dict[str, Any], str]] = [
    (Video, {"deleted_at__isnull": False}, "video.deleted"),
    (Video, {"status": "UPLOADED"}, "video.uploaded"),
    (Video, {"status": "FAILED"}, "video.failed"),
]


def check_all(mails: Path, *, while_mailing: bool) -> None:
    """Fail unless money, access, coupons, audit log and mails are right, and no row waits too long.

    ``while_mailing``: the process was killed while it sent a mail.
    """
    check = verification.verify_ledger()
    assert not check.discrepancies, check.first
    check_money()
    check_coupons()
    check_videos()
    check_audit()
    check_mails(mails, while_mailing=while_mailing)
    late = waiting.overdue(timezone.now())
    assert not late, late


def check_money() -> None:
    """Each order costs its buyer its price once, if it is paid, and nothing otherwise."""
    for order in Order.objects.all():
        kept = sum(
            map(_kept, SandboxPayment.objects.filter(reference=str(order.pk), captured__gt=0))
        )
        live = Entitlement.objects.live().filter(source_id=order.pk).exists()
        if order.status == "paid":
            assert 0 < kept <= order.amount or not order.amount, (order, kept)
            assert live, f"{order} was paid and gives no access"
        else:
            assert kept == 0, f"{order} is not paid, and the bank keeps {kept} of its buyer's money"
            assert not live, f"{order} gives access"
    for payment in SandboxPayment.objects.filter(captured__gt=0):
        assert Payment.objects.filter(external_id=payment.pk, captured=payment.captured).exists()


def _kept(payment: SandboxPayment) -> int:
    back = payment.refunds.exclude(status="failed").aggregate(sum=Sum("amount", default=0))["sum"]
    disputed = payment.disputes.aggregate(sum=Sum(F("withdrawn") - F("reinstated"), default=0))
    return payment.captured - back - disputed["sum"]


def check_coupons() -> None:
    states = {"pending": "reserved", "processing": "reserved"}
    for redemption in CouponRedemption.objects.select_related("order"):
        order = redemption.order
        wanted = states.get(order.status, "used" if order.paid_at else "released")
        assert redemption.state == wanted, (redemption, order)
    for coupon in Coupon.objects.all():
        assert coupon.redeemed == coupon.redemptions.exclude(state="released").count(), coupon


def check_videos() -> None:
    """Every video is READY or FAILED in the end, and its files are there."""
    for video in Video.objects.alive().filter(jobs__isnull=False).distinct():
        assert video.status in {"READY", "FAILED"}, video.status
        assert video.source.is_file()
    for video in Video.objects.alive().filter(jobs__state="done").distinct():
        assert (video.version_folder / "master.m3u8").is_file()


def check_audit() -> None:
    """Every committed change has its entry, once where it can happen only once."""
    for model, condition, action in [*TOLD, *TOLD_OF_VIDEOS]:
        told = Counter(AuditEntry.objects.filter(action=action).values_list("target_id", flat=True))
        for row in model._default_manager.filter(**condition):
            if model is Video and not AuditEntry.objects.filter(target_id=str(row.pk)).exists():
                continue  # made by a fixture
            assert told[str(row.pk)], f"{row}: no entry {action}"
        if action not in {"order.paid", "entitlement.granted", "subscription.past_due"}:
            twice = [pk for pk, count in told.items() if count > 1]
            assert not twice or action.startswith("subscription."), (action, twice)
    while sealing.seal():
        pass
    assert audit_verification.verify().broken is None


def check_mails(folder: Path, *, while_mailing: bool) -> None:
    """Every notice was sent, and no mail twice.

    A mail that the server took before the process could note it is sent again: SMTP has no question
    for it, and a lost receipt is worse than two.
    """
    assert not Notice.objects.filter(sent_at=None).exists()
    sent: Counter[tuple[str, str, str]] = Counter()
    for file in folder.glob("*.log"):
        for text in file.read_bytes().split(b"\n" + b"-" * 79 + b"\n"):
            if text.strip():
                mail = message_from_bytes(text.strip(), policy=policy.default)
                part = mail.get_body(("plain",))
                assert part is not None
                sent[mail["To"], mail["Subject"], part.get_content()] += 1
    assert while_mailing or not [mail for mail, count in sent.items() if count > 1], sent
