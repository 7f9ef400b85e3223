"""No door leaves a change without a row: admin actions, commands, clocks and changes of many rows."""

from collections.abc import Callable
from datetime import timedelta
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib import admin as site
from django.core.management import get_commands
from django.urls import reverse
from django.utils import timezone

from accounts import services
from analytics.tests.watching import watched_writes
from audit.models import AuditEntry
from payments.models import Entitlement, MoneyMode, Order, Payment, Refund, Subscription
from payments.services import access
from payments.services.buying import checkout, orders
from payments.services.modes import switching
from streaming import sessions
from streaming.models import PlaybackSession
from videos.services import catalogue

pytestmark = pytest.mark.django_db
OWN_APPS = {"accounts", "videos", "payments", "streaming", "analytics", "audit", "config"}


@pytest.fixture
def trail() -> Callable[..., list[tuple[str, str]]]:
    """Return the action and target of the entries since the fixture was made, without API requests."""
    before = set(AuditEntry.objects.values_list("pk", flat=True))

    def new(*actions: str) -> list[tuple[str, str]]:
        entries = AuditEntry.objects.exclude(pk__in=before).exclude(action="api.request")
        if actions:
            entries = entries.filter(action__in=actions)
        return sorted(entries.values_list("action", "target_id"))

    return new


@pytest.fixture
def order_for(make_video):
    """Return a function that makes an unpaid order."""

    def make(buyer, video=None, **options) -> Order:
        video = video or make_video(price=1999)
        order, _ = checkout.purchase(
            buyer=buyer,
            video_id=video.pk,
            options=checkout.PurchaseOptions(**options),
            payment_method="",
        )
        return order

    return make


@pytest.fixture
def make_session(make_video):
    """Return a function that makes a running playback session of a free video."""

    def make(user) -> PlaybackSession:
        video = make_video()
        return PlaybackSession.objects.create(
            user=user,
            video=video,
            version=video.current_version,
            access="free",
            viewer_key=f"user:{user.pk.hex}",
            expires_at=timezone.now() + timedelta(hours=1),
        )

    return make


class TestManyRows:
    def test_each_order_that_expires_has_its_row_once(self, make_user, order_for, trail):
        open_orders = [order_for(make_user()) for _ in range(3)]
        Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

        assert (orders.expire_orders(), orders.expire_orders()) == (3, 0)

        expected = sorted(("order.expired", str(order.pk)) for order in open_orders)
        assert trail("order.expired") == expected

    def test_an_order_that_its_buyer_cancels_does_not_expire_too(self, viewer, order_for, trail):
        order = order_for(viewer)
        orders.cancel_order(order=order, actor=viewer)

        assert trail("order.canceled", "order.expired") == [("order.canceled", str(order.pk))]

    def test_a_deactivation_names_each_order_and_each_session(
        self, viewer, admin, order_for, make_session, trail
    ):
        order, playing = order_for(viewer), [make_session(viewer) for _ in range(2)]
        over = make_session(viewer)
        PlaybackSession.objects.filter(pk=over.pk).update(expires_at=timezone.now())

        services.set_active(user_id=viewer.pk, is_active=False, actor=admin)

        ended = sorted(("playback.ended", str(session.pk)) for session in playing)
        assert trail("order.expired", "playback.ended") == [
            ("order.expired", str(order.pk)),
            *ended,
        ]
        entry = AuditEntry.objects.filter(action="playback.ended").latest("at")
        assert entry.data == {"reason": "deactivated"}

    def test_an_idle_session_is_no_deed(self, viewer, make_session, trail):
        session = make_session(viewer)
        PlaybackSession.objects.update(last_seen_at=timezone.now() - timedelta(days=1))

        assert sessions.end_idle() == 1

        assert trail("playback.ended") == []
        session.refresh_from_db()
        assert session.end_reason == "idle"

    def test_an_order_that_another_replaces_has_its_row(self, viewer, make_video, order_for, trail):
        video = make_video(price=1999, rental_price=399, rental_hours=48)
        rental = order_for(viewer, video, kind=Order.Kind.RENT)
        checkout.purchase(
            buyer=viewer,
            video_id=video.pk,
            options=checkout.PurchaseOptions(even_if_covered=True),
            payment_method="pm_card_visa",
        )

        assert trail("order.superseded") == [("order.superseded", str(rental.pk))]

    def test_the_first_play_of_a_rental_has_its_row_once(self, viewer, make_video, trail):
        now = timezone.now()
        rental = Entitlement.objects.create(
            user=viewer,
            video=make_video(price=1999),
            source_type="order",
            source_id=viewer.pk,
            rental_hours=48,
        )
        for _ in range(2):
            access.begin_rental(rental, now)

        assert trail() == [("rental.begun", str(rental.pk))]
        until = AuditEntry.objects.get(action="rental.begun").data["until"]
        assert until == (now + timedelta(hours=48)).isoformat()

    def test_a_switch_of_mode_names_each_thing_that_it_ends(
        self, make_user, make_video, order_for, buy, subscribe, trail
    ):
        waiting = order_for(make_user())
        bought = buy(make_user(), make_video(price=1999))
        subscription = subscribe(make_user())
        authentication, _ = checkout.purchase(
            buyer=make_user(),
            video_id=make_video(price=1999).pk,
            options=checkout.PurchaseOptions(),
            payment_method="pm_card_authenticationRequired",
        )
        payment = Payment.objects.get(order=authentication)
        refund = Refund.objects.create(payment=bought.payments.get(), amount=100)
        assert refund.status == Refund.Status.REQUESTED

        assert switching.switch(MoneyMode.Mode.TEST)

        ended = [
            "order.expired",
            "order.voided",
            "payment.canceled",
            "refund.canceled",
            "subscription.ended",
        ]
        assert trail(*ended) == sorted(
            [
                ("order.expired", str(waiting.pk)),
                ("order.expired", str(authentication.pk)),
                ("order.voided", str(bought.pk)),
                ("payment.canceled", str(payment.pk)),
                ("refund.canceled", str(refund.pk)),
                ("subscription.ended", str(subscription.pk)),
            ]
        )
        assert Subscription.objects.get().status == "canceled"


def test_a_changed_video_says_what_it_was(creator, make_video):
    video = make_video(creator=creator, title="Fog", tags=["sea"])
    catalogue.change_video(
        video=video, actor=creator, title="Mist", description="A secret plot.", tags=["sea", "grey"]
    )

    entry = AuditEntry.objects.get(action="video.changed")
    assert entry.data["changes"] == {
        "title": {"before": "Fog", "after": "Mist"},
        "description": {},
        "tags": {"before": ["sea"], "after": ["grey", "sea"]},
    }
    assert "secret plot" not in repr(entry.data)


class _Form(HTMLParser):
    """Reads the fields of a confirmation page, and answers each text field."""

    def __init__(self, page: str):
        super().__init__()
        self.fields: dict[str, list[str]] = {}
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        name = given.get("name")
        if name and tag in {"input", "textarea"}:
            is_question = tag == "textarea" or given.get("type", "text") == "text"
            value = "because" if is_question else given.get("value") or "on"
            self.fields.setdefault(name, []).append(value)


def admin_actions() -> list[tuple]:
    return [
        (model, action if isinstance(action, str) else action.__name__)
        for model, page in sorted(site.site._registry.items(), key=lambda pair: pair[0]._meta.label)
        for action in page.actions or ()
    ]


@pytest.mark.long
def test_no_action_of_the_admin_site_changes_anything_without_a_row(
    client, make_user, one_of_each, trail
):
    """Each action on each kind of row, its confirmation page answered."""
    boss = make_user("ADMIN")
    client.force_login(boss)
    wrote, silent = set(), []
    for model, action in admin_actions():
        meta = model._meta
        url = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
        rows = model._default_manager.exclude(pk=boss.pk)[:20]
        form = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
        before = len(trail())
        with watched_writes() as written:
            asked = client.post(url, form, follow=True)
            to = (asked.context or {}).get("to", asked.request["PATH_INFO"])
            client.post(to, _Form(asked.content.decode()).fields)
        if written:
            wrote.add(f"{meta.label}.{action}")
            silent += [f"{meta.label}.{action}: {written}"] if len(trail()) == before else []

    assert not silent
    assert wrote, "No action did anything: this test cannot fail."


@pytest.mark.long
def test_the_history_of_every_row_of_the_admin_site_is_its_part_of_the_log(
    client, admin, make_user, one_of_each
):
    moderator = services.set_moderator(user_id=make_user().pk, is_moderator=True, actor=None)
    log = reverse("admin:audit_auditentry_changelist")
    for model in site.site._registry:
        meta = model._meta
        row = model._default_manager.all()[0]
        page = reverse(f"admin:{meta.app_label}_{meta.model_name}_history", args=[row.pk])
        client.force_login(admin)
        answer = client.get(page)
        if meta.label == "audit.ApiRequest":  # nothing happens to a request
            assert answer.status_code == 403
        else:
            about = f"target_type={meta.model_name}&target_id={quote(str(row.pk))}"
            assert (answer.status_code, answer["Location"]) == (302, f"{log}?{about}"), meta.label
            assert client.get(answer["Location"]).status_code == 200
        client.force_login(moderator)
        assert client.get(page).status_code in {200, 403}


# What each command changes of money, access, roles, passwords or existence: the action that the log has
# of it and the test that looks for it, or the reason why it needs none.
COMMANDS = {
    "seed": ("role.defined", "accounts/tests/test_recorded.py"),
    "set_role": ("user.role_changed", "accounts/tests/test_set_role_command.py"),
    "forget_user": ("user.erased", "analytics/tests/test_erasing.py"),
    "reset_totp": ("totp.reset", "accounts/tests/test_totp_doors.py"),
    "createsuperuser": ("user.registered", "accounts/tests/test_passwords.py"),
    "changepassword": ("user.password_changed", "accounts/tests/test_passwords.py"),
    "restore_video": ("video.restored", "videos/tests/test_catalogue_change.py"),
    "encrypt_videos": ("video.encrypted", "videos/tests/test_encryption.py"),
    "reprocess": ("video.reprocessed", "videos/tests/test_reprocessing.py"),
    "purge_deleted": ("video.purged", "videos/tests/test_purging.py"),
    "import_videos": ("video.created", "videos/tests/test_catalogue_create.py"),
    "caption": ("video.changed", "videos/tests/test_captions.py"),
    "close_pool": ("pool.closed", "payments/tests/test_admin_api.py"),
    "run_payouts": ("payout.requested", "payments/tests/test_payouts.py"),
    "payments_mode": ("payments.mode_changed", "payments/tests/test_modes.py"),
    "reconcile_payments": ("order.paid", "analytics/tests/test_audit_complete.py"),
    "leakcheck": ("video.deleted", "streaming/tests/test_leakcheck.py"),
    "run_worker": ("order.expired", "analytics/tests/test_trail.py"),
    "demo": ("", "plays on a database of its own, or through the services"),
    "seed_demo": ("", "invents history, and refuses a database that may be a real one"),
    "rebuild_rollups": ("", "recomputes sums of what is recorded elsewhere"),
    "bucket_cors": ("", "sets a rule of the bucket"),
    "migrate": ("", "changes the tables' form"),
    "make_clip": ("", "makes a file"),
    "move_storage": ("", "copies files; every video keeps its own"),
    "doctor": ("", "reads"),
    "payments_doctor": ("", "reads"),
    "verify_ledger": ("", "reads, and keeps its result"),
    "verify_pool": ("", "reads"),
    "verify_audit": ("", "reads"),
    "verify_audit_export": ("", "reads"),
    "audit_checkpoint": ("", "signs the log itself: a checkpoint is its own proof"),
    "audit_prune": ("", "a signed checkpoint says what was deleted"),
    "nginx_config": ("", "prints"),
    "serve": ("", "starts the service"),
    "run_web": ("", "starts the service"),
}
DJANGO_COMMANDS = {"createsuperuser", "changepassword"}


def own_commands() -> set[str]:
    return {
        name
        for name, where in get_commands().items()
        if (where if isinstance(where, str) else where.name) in OWN_APPS
    }


def test_the_list_of_commands_is_complete():
    assert own_commands() | DJANGO_COMMANDS == COMMANDS.keys()
    assert all(apps.is_installed(name) for name in OWN_APPS - {"config"})


@pytest.mark.parametrize("command", [name for name, (action, _) in COMMANDS.items() if action])
def test_a_command_that_changes_something_has_a_test_of_its_row(command):
    action, path = COMMANDS[command]
    text = (settings.BASE_DIR / path).read_text(encoding="utf-8")
    name = action.replace(".", "_").upper()
    assert action in text or name in text
