"""Rows for the admin pages that neither a sale nor a subscription makes."""

from django.utils import timezone

from payments import models
from payments.periods import Month


def make_admin_rows(order: models.Order, user) -> None:
    """Make a row in each table of the admin site that the flows of the fixture do not fill."""
    creator, month = order.creator, str(Month.of(timezone.now().date()))
    payment = order.payments.get()
    coupon, _ = models.Coupon.objects.get_or_create(code="SPRING", percent_bps=2500)
    models.CouponRedemption.objects.create(coupon=coupon, order=order, user=user)
    models.Dispute.objects.create(payment=payment, external_id="dp_1", amount=100)
    models.Conversion.objects.create(
        payment=payment, external_id="txn_1", currency="EUR", amount=92, presented=100
    )
    pool = models.Pool.objects.create(
        period=month, currency="USD", balance=800, amount=800, total_seconds=60,
        algorithm="prorata-v1", input_sha256="0" * 64,
    )  # fmt: skip
    models.PoolShare.objects.create(pool=pool, creator=creator, seconds=60, amount=800)
    models.Payout.objects.create(creator=creator, currency="EUR", amount=800, cutoff=timezone.now())
    models.Statement.objects.create(
        creator=creator,
        period=month,
        currency="EUR",
        body=(
            '{"opening":"0.00","sales":[],"pool":null,"adjustments":[],"payouts":[],'
            '"closing":"0.00"}'
        ),
        sha256="0" * 64,
    )
    models.WatchDaily.objects.create(
        user=user, video=order.video, creator=creator, day=timezone.now().date(), seconds=60
    )
    models.WebhookEvent.objects.create(gateway="sandbox", external_id="evt_row", type="x")
    models.Notice.objects.get_or_create(
        dedupe_key="row", defaults={"user": user, "subject": "Hello", "body": "Hello"}
    )
    models.LedgerCheck.objects.create(discrepancies=1, first="USD: off by <1>")
