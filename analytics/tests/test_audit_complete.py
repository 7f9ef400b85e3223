"""Each deed leaves its entries in the audit log: one of each kind, by the right person."""

from collections import Counter

import pyotp
import pytest
from django.conf import settings
from django.utils import timezone

from accounts import links, tokens
from accounts.models import MailedLink, User
from accounts.roles import Role
from analytics.tests.watching import watched_writes
from audit.actions import AuditAction as Action
from audit.models import AuditEntry
from payments.tests.kit import DECLINED, VISA

API = "/api/v1"
PASSWORD = "a long pass phrase"
# Actions that no single call of the API causes, and the tests that look for their entries.
ELSEWHERE = {
    Action.API_REQUEST: "audit/tests/test_activity.py",
    Action.REQUESTS_DROPPED: "audit/tests/test_buffer.py",
    Action.LOG_EXPORTED: "audit/tests/test_page.py",
    Action.ROLE_DEFINED: "accounts/tests/test_recorded.py",
    Action.ORDER_EXPIRED: "analytics/tests/test_trail.py",
    Action.ORDER_SUPERSEDED: "analytics/tests/test_trail.py",
    Action.ORDER_VOIDED: "analytics/tests/test_trail.py",
    Action.PAYMENT_CANCELED: "analytics/tests/test_trail.py",
    Action.REFUND_CANCELED: "analytics/tests/test_trail.py",
    Action.ENTITLEMENT_EXPIRED: "payments/tests/test_expiring.py",
    Action.RENTAL_BEGUN: "analytics/tests/test_trail.py",
    Action.API_KEY_CREATED: "accounts/tests/test_api_keys.py",
    Action.API_KEY_REVOKED: "accounts/tests/test_api_keys.py",
    Action.ERASURE_BEGUN: "analytics/tests/test_erasing.py",
    Action.USER_ERASED: "analytics/tests/test_erasing.py",
    Action.REFRESH_REUSED: "accounts/tests/test_refresh.py",
    Action.TOTP_RECOVERY_USED: "accounts/tests/test_totp.py",
    Action.TOTP_RESET: "accounts/tests/test_totp_doors.py",
    Action.CUSTOMER_DELETED: "payments/tests/test_erased_customers.py",
    Action.IDENTITY_LINKED: "accounts/tests/test_oidc.py",
    Action.IDENTITY_UNLINKED: "accounts/tests/test_identities.py",
    Action.WEBHOOK_ENDPOINT_CREATED: "webhooks/tests/test_api.py",
    Action.WEBHOOK_ENDPOINT_CHANGED: "webhooks/tests/test_api.py",
    Action.WEBHOOK_ENDPOINT_DELETED: "webhooks/tests/test_api.py",
    Action.WEBHOOK_SECRET_ROTATED: "webhooks/tests/test_api.py",
    Action.WEBHOOK_REDELIVERED: "webhooks/tests/test_api.py",
    Action.WEBHOOK_ENDPOINT_DISABLED: "webhooks/tests/test_sending.py",
    Action.VIDEO_IMPORTED: "videos/tests/test_imports.py",
    Action.IMPORT_FAILED: "videos/tests/test_imports.py",
    Action.VIDEO_UPLOADED: "videos/tests/test_uploads.py",
    Action.VIDEO_PROCESSING: "videos/tests/test_publishing.py",
    Action.VIDEO_PLAYABLE: "videos/tests/test_publishing.py",
    Action.VIDEO_REPROCESSED: "videos/tests/test_reprocessing.py",
    Action.VIDEO_ENCRYPTED: "videos/tests/test_encryption.py",
    Action.VIDEO_DECRYPTED: "videos/tests/test_encryption.py",
    Action.VIDEO_PURGED: "videos/tests/test_purging.py",
    Action.VIDEO_READY: "videos/tests/test_publishing.py",
    Action.VIDEO_FAILED: "videos/tests/test_publishing.py",
    Action.VIDEO_RETRIED: "videos/tests/test_catalogue_change.py",
    Action.VIDEO_REPORTED: "videos/tests/test_moderation.py",
    Action.CASE_OPENED: "analytics/tests/test_moderation_desk.py",
    Action.CASE_DISMISSED: "videos/tests/test_moderation.py",
    Action.CASE_REOPENED: "videos/tests/test_moderation.py",
    Action.CREATOR_WARNED: "analytics/tests/test_moderation_desk.py",
    Action.VIDEO_TAKEN_DOWN: "analytics/tests/test_moderation_desk.py",
    Action.VIDEO_REINSTATED: "analytics/tests/test_moderation_desk.py",
    Action.APPEAL_FILED: "videos/tests/test_moderation.py",
    Action.APPEAL_REJECTED: "videos/tests/test_moderation.py",
    Action.CREATOR_SUSPENDED: "videos/tests/test_moderation.py",
    Action.SUSPENSION_LIFTED: "videos/tests/test_moderation.py",
    Action.REFUND_FAILED: "payments/tests/test_disputes.py",
    Action.WEBHOOK_REPLAYED: "payments/tests/test_admin_api.py",
    Action.POOL_CLOSED: "payments/tests/test_admin_api.py",
    Action.PAYOUT_REQUESTED: "payments/tests/test_payouts.py",
    Action.PAYOUT_APPROVED: "payments/tests/test_admin_api.py",
    Action.PAYOUT_SENT: "payments/tests/test_payouts.py",
    Action.PAYOUT_SETTLED: "payments/tests/test_admin_api.py",
    Action.PAYOUT_RETURNED: "payments/tests/test_returned_payouts.py",
    Action.EVIDENCE_CHANGED: "payments/tests/test_evidence.py",
    Action.EVIDENCE_SUBMITTED: "payments/tests/test_evidence.py",
    Action.MODE_CHANGED: "payments/tests/test_modes.py",
    Action.DEBT_WRITTEN_OFF: "payments/tests/test_money_admin.py",
    Action.SUBSCRIPTION_ENDED: "payments/tests/test_billing.py",
    Action.SUSPENSE_SETTLED: "payments/tests/test_settlement.py",
}


class Story:
    """A series of calls; each tells how many new entries of each action it made."""

    def __init__(self, client_for):
        self.client_for = client_for
        self.seen: Counter[str] = Counter()

    def __call__(self, user, method: str, path: str, body=None, **more) -> Counter[str]:
        before = set(AuditEntry.objects.values_list("pk", flat=True))
        client = self.client_for(user)
        with watched_writes() as written:
            self.answer = getattr(client, method)(f"{API}/{path}", body, **more)
        new = AuditEntry.objects.exclude(pk__in=before).exclude(action=Action.API_REQUEST)
        for entry in new:
            assert entry.request_id == self.answer["X-Request-ID"], entry.action
            assert (entry.ip, entry.path) == ("127.0.0.1", f"{API}/{path}"), entry.action
            assert entry.actor_id in {None, *([user.pk] if user else []), self.owner}, entry.action
        assert new or not written, f"{path} wrote to {written} without an entry"
        actions = Counter(new.values_list("action", flat=True))
        self.seen += actions
        return actions

    owner = None  # a user on whose behalf entries are written, beside the caller


@pytest.fixture
def do(client_for, db):
    return Story(client_for)


def mailed() -> str:
    """Return the token of the newest mailed link, once the worker has taken it."""
    links.prepare_due()
    return links.token_of(MailedLink.objects.latest("pk").pk)


def test_deeds_of_people(do, make_user, admin):
    user = make_user(email="ann@example.com", password=PASSWORD)
    do.owner = user.pk
    login = {"email": "ann@example.com", "password": PASSWORD}

    assert do(None, "post", "auth/login", {**login, "password": "not it"}) == {"login.failed": 1}
    assert do(None, "post", "auth/login", login) == {"login.succeeded": 1}
    token = {"refresh_token": do.answer.json()["refresh_token"]}
    assert do(None, "post", "auth/logout", token) == {"user.logged_out": 1}
    assert do(user, "patch", "auth/me", {"display_name": "A"}) == {"user.profile_changed": 1}
    new = {"current_password": PASSWORD, "new_password": "another pass phrase"}
    assert do(user, "post", "auth/password", new) == {"user.password_changed": 1}
    address = {"email": "ann@example.com"}
    assert do(None, "post", "auth/password/forgot", address) == {"user.password_reset_asked": 1}
    reset = {"token": mailed(), "new_password": PASSWORD}
    done = {"user.password_reset": 1, "user.password_changed": 1}
    assert do(None, "post", "auth/password/reset", reset) == done
    User.objects.filter(pk=user.pk).update(email_verified=False)
    assert do(user, "post", "auth/email/resend") == {"user.email_link_asked": 1}
    assert do(None, "post", "auth/email/verify", {"token": mailed()}) == {"user.email_verified": 1}
    move = {"email": "anna@example.com", "current_password": PASSWORD}
    user.refresh_from_db()
    assert do(user, "put", "auth/email", move) == {"user.email_change_asked": 1}
    assert do(None, "post", "auth/email/verify", {"token": mailed()}) == {"user.email_changed": 1}
    sign_in = tokens.family_of(tokens.issue(user).refresh)
    assert do(user, "delete", f"auth/sessions/{sign_in}") == {"user.logged_out": 1}
    assert do(user, "delete", "auth/sessions/") == {"user.logged_out_everywhere": 1}
    assert do(user, "post", "auth/totp") == {"totp.begun": 1}
    app = pyotp.TOTP(do.answer.json()["secret"])
    first = {"totp": app.now()}
    assert do(user, "post", "auth/totp/confirm", first) == {"totp.on": 1}
    off = {"current_password": PASSWORD, "totp": app.at(timezone.now(), counter_offset=1)}
    assert do(user, "delete", "auth/totp", off) == {"totp.off": 1}
    role = {"role": "CREATOR"}
    assert do(admin, "patch", f"users/{user.pk}/role", role) == {"user.role_changed": 1}
    assert do(admin, "patch", f"users/{user.pk}/role", role) == {}  # nothing has changed
    for is_moderator, action in ((True, "appointed"), (False, "dismissed")):
        appointment = {"is_moderator": is_moderator}
        done = do(admin, "patch", f"users/{user.pk}/moderator", appointment)
        assert done == {f"user.moderator_{action}": 1}
    for active, action in ((False, "user.deactivated"), (True, "user.activated")):
        status = {"is_active": active}
        assert do(admin, "patch", f"users/{user.pk}/status", status) == {action: 1}


def test_a_refused_deed_leaves_no_entry_of_a_change(do, viewer, make_video):
    video = make_video(price=1999)
    assert do(viewer, "patch", f"videos/{video.pk}", {"title": "Mine"}) == {}
    assert do(viewer, "post", "payments/admin/reconcile", {}) == {}
    assert do(viewer, "get", "audit/") == {}
    assert do.answer.status_code == 403


def tell_all(do, make_user, make_video, admin) -> None:
    """Do everything with videos and money that one call does."""
    creator, buyer, fan = make_user(Role.CREATOR), make_user(), make_user()
    assert do(creator, "post", "videos/", {"title": "A"}) == {"video.created": 1}
    draft = do.answer.json()["id"]
    assert do(creator, "patch", f"videos/{draft}", {"title": "B"}) == {"video.changed": 1}
    assert do(creator, "delete", f"videos/{draft}") == {"video.deleted": 1}
    assert do(admin, "patch", f"videos/{draft}/restore") == {"video.restored": 1}

    do.owner = buyer.pk
    purchase = f"payments/purchase/{make_video(creator=creator, price=1999).pk}"
    declined = {"order.created": 1, "payment.declined": 1}
    assert do(buyer, "post", purchase, {"payment_method": DECLINED}) == declined
    paid = {"payment.captured": 1, "order.paid": 1, "entitlement.granted": 1}
    assert do(buyer, "post", purchase, {"payment_method": VISA}) == paid
    order = do.answer.json()["order"]["id"]
    assert do(admin, "post", f"payments/admin/orders/{order}/refund", {"reason": "asked"}) == {
        "refund.succeeded": 1,
        "order.refunded": 1,
        "entitlement.revoked": 1,
    }
    assert do(buyer, "post", purchase, {}) == {"order.created": 1}
    waiting = do.answer.json()["order"]["id"]
    assert do(buyer, "post", f"payments/orders/{waiting}/cancel") == {"order.canceled": 1}
    assert do(buyer, "post", purchase, {"payment_method": VISA}) == {"order.created": 1, **paid}
    order = do.answer.json()["order"]["id"]
    assert do(admin, "post", f"payments/sandbox/payments/{order}/dispute", {}) == {
        "sandbox.moved": 1,
        "dispute.opened": 1,
        "entitlement.revoked": 1,
    }
    assert do(admin, "post", f"payments/sandbox/payments/{order}/reinstate", {}) == {
        "sandbox.moved": 1,
        "dispute.closed": 1,
        "entitlement.granted": 1,
    }

    do.owner = None
    free = make_video(creator=creator)
    assert do(buyer, "get", f"stream/{free.pk}") == {}
    play = do.answer.json()["stream_url"].removeprefix(f"{API}/")
    before = set(AuditEntry.objects.values_list("pk", flat=True))
    session = do.client_for().get(f"{API}/{play}", HTTP_ACCEPT="application/json").json()
    started = AuditEntry.objects.exclude(pk__in=before).get(action=Action.PLAYBACK_STARTED)
    assert started.actor_id == buyer.pk
    do.seen[Action.PLAYBACK_STARTED] += 1
    stop = f"stream/sessions/{session['session_id']}"
    assert do(buyer, "delete", stop) == {"playback.ended": 1}

    do.owner = fan.pk
    plan = {"code": "yearly", "name": "A year", "amount": "99.00", "currency": "USD",
            "interval": "year"}  # fmt: skip
    assert do(admin, "post", "payments/admin/plans", plan) == {"plan.changed": 1}
    coupon = {"code": "FOG10", "percent_bps": 1000}
    assert do(admin, "post", "payments/admin/coupons", coupon) == {"coupon.changed": 1}
    assert do(fan, "post", "payments/subscribe", {"payment_method": VISA}) == {
        "subscription.started": 1,
        "payment.captured": 1,
        "entitlement.granted": 1,
    }
    mine = "payments/subscription"
    assert do(fan, "post", f"{mine}/cancel", {}) == {"subscription.canceled": 1}
    assert do(fan, "post", f"{mine}/resume") == {"subscription.resumed": 1}
    other = {"payment_method": "pm_card_mastercard"}
    assert do(fan, "post", f"{mine}/payment-method", other) == {"subscription.method_changed": 1}
    changed = do(fan, "post", f"{mine}/change", {"plan": "yearly"})
    assert (changed["subscription.changed"], changed["payment.captured"]) == (1, 1)
    clock, card = "payments/sandbox/clock", f"{mine}/payment-method"
    renewed = do(admin, "post", clock, {"days": 366})
    assert renewed == {"sandbox.moved": 1, "payment.captured": 1, "subscription.renewed": 1}
    do(fan, "post", card, {"payment_method": "pm_card_chargeCustomerFail"})
    assert do(admin, "post", clock, {"days": 366})["subscription.past_due"] == 1
    assert do(fan, "post", card, {"payment_method": VISA})["subscription.renewed"] == 1


def test_deeds_with_videos_and_money_and_no_action_is_forgotten(
    do, make_user, make_video, admin, client_for
):
    test_deeds_of_people(do, make_user, admin)
    do.owner = None
    body = {"email": "new@example.com", "password": PASSWORD}
    before = set(AuditEntry.objects.values_list("pk", flat=True))
    client_for().post(f"{API}/auth/register", body)
    assert AuditEntry.objects.exclude(pk__in=before).filter(action="user.registered").count() == 1
    do.seen["user.registered"] += 1

    tell_all(do, make_user, make_video, admin)

    assert set(Action.values) - set(do.seen) - set(ELSEWHERE) == set()


@pytest.mark.parametrize("action", ELSEWHERE)
def test_the_other_tests_look_for_the_action(action):
    text = (settings.BASE_DIR / ELSEWHERE[action]).read_text(encoding="utf-8")
    assert action.value in text or f"AuditAction.{action.name}" in text
