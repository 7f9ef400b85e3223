"""An administrator's day in a real Chromium: what waits in the morning is done by the evening.

A failed video is processed again, a dispute answered, a month closed, a payout requested by one
administrator and approved by another, and the gateway asked for what its events have not told. With
SCREENSHOTS, the folder that pictures go to, each page leaves one.
"""

from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from analytics.tests.test_moderation_in_browser import PASSWORD, sign_in, take_picture
from audit.models import AuditEntry
from config.tests import browser
from config.tests.axe import assert_accessible
from payments.gateways.sandbox import charging
from payments.models import (
    Dispute,
    DisputeEvidence,
    Payout,
    Pool,
    PoolShare,
    Reconciliation,
    Refund,
    SandboxDispute,
    Statement,
)
from payments.periods import Month, add_months
from payments.services.settling.facts import sync_payment
from payments.tests.kit import assert_books_are_right
from payments.tests.months import at, watch
from videos.models import Video
from videos.services import catalogue, sources
from videos.tests import processes
from videos.tests.media import ffmpeg, h264, tone

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.journeys]
TITLE = "Storm over the bay"


@pytest.fixture
def month() -> Month:
    """The latest month that can be closed."""
    now = timezone.now()
    back = 2 if now.day <= 3 else 1
    return Month.of(add_months(now, -back).date())


@pytest.fixture
def administrators(make_user):
    return {
        name: make_user(
            "ADMIN", email=f"{name}@example.com", password=PASSWORD, display_name=name.title()
        )
        for name in ("ada", "ben")
    }


@pytest.fixture
def cleo(make_user):
    return make_user("CREATOR", email="cleo@example.com", display_name="Cleo Marsh")


@pytest.fixture
def failed(cleo, tmp_path, media, received, process_next) -> Video:
    """A video whose file could not be read yesterday, and can be today."""
    clip = tmp_path / "clip.mp4"
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", *tone(seconds=4),
        *h264("-crf", "30"), "-c:a", "aac", "-t", "4", clip,
    )  # fmt: skip
    video = catalogue.create_video(creator=cleo, title=TITLE)
    sources.attach_source(video=video, received=received(clip), actor=cleo)
    video.refresh_from_db()
    source = Path(media) / video.source_path
    sound = source.read_bytes()
    source.chmod(0o600)
    source.write_bytes(b"a file that the disk has spoilt" * 100)
    process_next()
    source.write_bytes(sound)
    video.refresh_from_db()
    assert video.status == Video.Status.FAILED
    return video


@pytest.fixture
def money(cleo, make_video, make_user, buy, subscribe, month):
    """A month with a subscriber and a sale; a dispute; and a refund that the gateway alone knows."""
    sold = make_video(creator=cleo, price=1999, title="A walk along the coast")
    with at(f"{month}-01 00:00"):
        subscriber = make_user()
        subscribe(subscriber)
        buy(make_user(), sold)
    watch(subscriber, sold, f"{month}-02", 600)
    disputed = buy(make_user(), sold).payments.get()
    charging.open_dispute(disputed.external_id)
    sync_payment(gateway="sandbox", external_id=disputed.external_id)
    returned = buy(make_user(), sold).payments.get()
    charging.refund(payment_id=returned.external_id, amount=1999, key="at-the-gateway")
    assert not Refund.objects.exists()
    return returned


class Desk:
    """An administrator at the admin site."""

    def __init__(self, page: Page, look: str):
        self.page, self.look = page, look

    def open(self, path: str) -> None:
        self.page.goto("/".join(self.page.url.split("/")[:3]) + path)

    def see(self, name: str) -> None:
        """Check the page for what axe-core calls serious, and keep a picture of it."""
        assert_accessible(self.page)
        take_picture(self.page, f"day-{name}-{self.look}")

    def press(self, link: str, name: str) -> None:
        """Follow the link of an act to the page that asks."""
        self.page.get_by_role("link", name=link).first.click()
        expect(self.page.get_by_label("Reason")).to_be_visible()
        self.see(f"{name}-asks")

    def confirm(self, button: str, says: str, name: str) -> None:
        """Give a reason, press the button, and read the report."""
        self.page.get_by_label("Reason").fill(f"Part of the day: {name}")
        self.page.get_by_role("button", name=button).click()
        expect(self.page.get_by_text(says).first).to_be_visible()
        self.see(f"{name}-done")


def test_what_waits_in_the_morning_is_done_by_the_evening(
    chromium, administrators, failed, money, month
):
    dispute = Dispute.objects.get()
    ada, ben = "ada@example.com", "ben@example.com"
    with (
        processes.web(RATE_LIMIT_DEFAULT="0") as (_, port),
        browser.run(chromium) as running,
    ):
        address = f"http://127.0.0.1:{port}"
        with sign_in(running, address, ada, "/admin/") as page:
            desk = Desk(page, "1280")
            expect(page.get_by_role("heading", name="What needs attention")).to_be_visible()
            desk.see("start")

            page.get_by_role("link", name="Failed videos").click()
            page.get_by_role("link", name=TITLE).first.click()
            desk.press("Process again …", "retry")
            desk.confirm("Process again", "Queued: 1.", "retry")

            desk.open(f"/admin/payments/dispute/{dispute.pk}/evidence/")
            page.get_by_label("Uncategorized text").fill("The buyer watched all of it.")
            desk.see("evidence")
            page.get_by_role("button", name="Save, and submit to the bank …").click()
            desk.see("dispute-asks")
            desk.confirm("Submit to the bank", "Submitted to the bank: 1", "dispute")

            desk.open("/admin/payments/pool/")
            desk.press("Close a month …", "month")
            page.get_by_label("Month (UTC)").select_option(str(month))
            page.get_by_label("Reason").fill("The month is over")
            page.get_by_role("button", name="Show what it would do").click()
            expect(page.get_by_text("creators: 1")).to_be_visible()
            desk.confirm("Close the month", "The month is closed.", "month")

            desk.open("/admin/payments/payout/")
            desk.press("Create the payouts that are due …", "payouts")
            desk.confirm("Create the payouts", "1 created; each waits for approval.", "payouts")
            page.locator("#result_list tbody a").first.click()
            desk.press("Approve …", "approve-own")
            desk.confirm("Approve", "Refused: 1.", "approve-own")

        with sign_in(running, address, ben, "/admin/payments/payout/", width=390) as page:
            desk = Desk(page, "390")
            desk.see("payouts")
            page.locator("#result_list tbody a").first.click()
            desk.press("Approve …", "approve")
            desk.confirm("Approve", "Approved: 1", "approve")

        with sign_in(running, address, ada, "/admin/payments/payment/", dark=True) as page:
            desk = Desk(page, "dark")
            desk.press("Reconcile with the gateway …", "reconcile")
            page.get_by_label("Reason").fill("Events may be missing")
            page.get_by_role("button", name="Show what it would do").click()
            desk.confirm("Reconcile", "1 corrected", "reconcile")
            desk.open("/admin/payments/payout/")
            page.locator("#result_list tbody a").first.click()
            desk.press("Mark as paid …", "paid")
            page.get_by_label("The bank's reference").first.fill("SEPA-2026-1")
            desk.confirm("Mark as paid", "Paid: 1", "paid")
            desk.open("/numbers/")
            desk.see("numbers")

    assert Refund.objects.get().payment == money  # before a worker looks, as it does each hour
    with processes.worker():
        processes.wait_for(
            lambda: Video.objects.get(pk=failed.pk).status == Video.Status.READY, seconds=240
        )
    assert DisputeEvidence.objects.get(dispute=dispute).status == "submitted"
    assert SandboxDispute.objects.get().status == "under_review"
    pool = Pool.objects.get(period=str(month))
    assert (pool.status, pool.closed_by) == ("closed", administrators["ada"])
    assert PoolShare.objects.get().amount == pool.amount > 0
    assert Statement.objects.filter(period=str(month)).count() == 1
    payout = Payout.objects.get()
    assert (payout.status, payout.external_ref) == ("paid", "SEPA-2026-1")
    assert payout.requested_by == administrators["ada"]
    assert payout.approved_by == administrators["ben"]
    assert Reconciliation.objects.exists()
    reasons = AuditEntry.objects.filter(data__has_key="admin_reason")
    # What the gateway told meanwhile is recorded with the reason, too.
    assert {each.pk for each in administrators.values()} <= {entry.actor_id for entry in reasons}
    assert_books_are_right()
