"""Rows of every kind and state for hostile requests, and the callers that send them."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser, Group
from django.utils import timezone

from accounts import api_keys, services, tokens
from accounts.models import ProviderIdentity, User
from accounts.roles import MODERATOR, Role
from config.ids import uuid7
from payments import models
from payments.gateways.sandbox import charging, events
from payments.services.buying import checkout
from payments.services.payouts import payouts
from payments.services.settling import refunds
from payments.tests.kit import DECLINED, VISA
from payments.tests.months import AUGUST, at, close, watch
from streaming import sessions
from streaming.models import PlaybackSession
from videos.models import Upload, Video
from videos.presentation import captioning
from videos.presentation.cues import Cue
from videos.services import catalogue, resuming
from webhooks import services as webhooks
from webhooks.models import Delivery

CALLERS = ("anonymous", "VIEWER", "CREATOR", MODERATOR, "ADMIN")
PASSWORD = "a long pass phrase"
PHONE = sessions.Client("Phone/1.0", "203.0.113.7")
Make = Callable[..., Any]


@dataclass
class World:
    """The callers, and values that exist, by the folder of a path or the name of a parameter."""

    people: dict[str, User] = field(default_factory=dict)
    values: dict[str, list[Any]] = field(default_factory=dict)

    def headers(self, caller: str) -> dict[str, str]:
        """Return the headers that sign the caller in, after undoing what requests did to the user."""
        user = self.people.get(caller)
        if user is None:
            return {}
        user.set_password(PASSWORD)
        user.is_active = True
        user.save(update_fields=["password", "is_active"])
        User.objects.filter(pk=user.pk).update(role=Group.objects.get(name=_role(caller)))
        return {"Authorization": f"Bearer {tokens.issue(user).access}"}

    def known(self, chance: random.Random, name: str, otherwise: Any) -> Any:
        """Return, two times of three, a value that exists for this name, else ``otherwise``."""
        values = self.values.get(name)
        return chance.choice(values) if values and chance.random() < 0.66 else otherwise


def make_world(make_user: Make, make_video: Make, buy: Make, subscribe: Make) -> World:
    """Make videos, orders, subscriptions, payouts, sessions and all other rows in their states.

    The callers own some of them. The users among the values are others: a request may deactivate them.
    """
    world = World()
    for caller in CALLERS[1:]:
        world.people[caller] = make_user(_role(caller), password=PASSWORD)
    moderator = world.people[MODERATOR]
    services.set_moderator(user_id=moderator.pk, is_moderator=True, actor=None)
    viewer, creator = world.people["VIEWER"], world.people["CREATOR"]
    endpoints = [
        webhooks.create_endpoint(owner=owner, url="https://hooks.invalid/vod")
        for owner in (creator, world.people["ADMIN"])
    ]
    bystanders = [make_user(password=PASSWORD), make_user(Role.CREATOR, password=PASSWORD)]
    videos = _videos(make_video, creator)
    paid = videos[0]
    coupons = _coupons(creator)
    yearly, _ = models.Plan.objects.get_or_create(
        code="yearly",
        defaults={"name": "Yearly", "amount": 9900, "currency": "USD", "interval": "year"},
    )
    models.Plan.objects.update(is_active=True)  # an earlier round may have withdrawn them
    with at("2026-08-01 00:00"):
        watcher = make_user()
        subscribe(watcher)
        old = [buy(make_user(), paid) for _ in range(2)]
    watch(watcher, paid, "2026-08-02", 90)
    if not models.Pool.objects.exists():
        close(AUGUST)
    with at("2026-08-20 00:00"):
        drafts = [*payouts.request(creator), *_payouts(make_user, make_video, buy)]
    orders = [*old, *_orders(make_user, buy, viewer, videos, coupons)]
    for user in (viewer, creator, world.people[MODERATOR]):
        subscribe(user)
    charging.open_dispute(orders[-1].payments.get().external_id, amount=100)
    refunds.refund_order(order_id=old[0].pk, amount=500, reason="", actor=bystanders[0])
    events.deliver_due()
    free = videos[1]
    captions = [
        captioning.add_caption(video=video, actor=creator, language=tag, cues=[Cue(0, 900, "Hm.")])
        for video in Video.objects.alive().filter(creator=creator)
        for tag in ("en", "de")
    ]
    playing = [
        sessions.redeem(token=sessions.stream_token(user=user, video_id=free.pk)[0], client=PHONE)
        for user in (viewer, creator, AnonymousUser())
        for _ in range(2)
    ]
    uploads = [
        _upload(user, length) for user in (creator, world.people["ADMIN"]) for length in (9, 0)
    ]
    family = tokens.issue(bystanders[0])
    keys = [
        api_keys.create(user=user, name="script", scopes=["read"])[0] for user in (viewer, creator)
    ]
    identities = [
        ProviderIdentity.objects.create(
            user=user, issuer="https://id.example", subject=f"p{user.pk}"
        )
        for user in (viewer, creator, world.people["ADMIN"])
    ]
    world.values = {
        "videos": [video.pk for video in videos],
        "uploads": [upload.pk for upload in uploads],
        "captions": [caption.pk for caption in captions],
        "number": [1, 2],
        "orders": [order.pk for order in orders],
        "payouts": [payout.pk for payout in drafts],
        "payments": [row.pk for row in models.Payment.objects.all()],
        "invoices": [row.pk for row in models.Invoice.objects.all()],
        "plans": [yearly.pk, *models.Plan.objects.values_list("pk", flat=True)],
        "coupons": [coupon.pk for coupon in coupons],
        "disputes": list(models.Dispute.objects.values_list("pk", flat=True)),
        "field": ["receipt", "refund_policy"],
        "webhook-events": list(models.WebhookEvent.objects.values_list("pk", flat=True)),
        "endpoints": [endpoint.pk for endpoint in endpoints],
        "deliveries": list(Delivery.objects.values_list("pk", flat=True)),
        "api-keys": [key.pk for key in keys],
        "identities": [identity.pk for identity in identities],
        "users": [user.pk for user in bystanders],
        "sessions": list(PlaybackSession.objects.values_list("pk", flat=True)),
        "play": [sessions.stream_token(user=AnonymousUser(), video_id=free.pk)[0], *playing[0][1:]],
        "pools": ["2026-08", "2026-09", "2026-10"],
        "statements": ["2026-08", "2026-09"],
        "creator": [creator.pk, bystanders[1].pk],
        "email": [user.email for user in (viewer, *bystanders)],
        "refresh_token": [family.refresh],
        "password": [PASSWORD],
        "current_password": [PASSWORD],
        "new_password": [PASSWORD, "another long pass phrase"],
        "plan": ["monthly", "yearly"],
        "coupon": [coupon.code for coupon in coupons],
        "payment_method": [VISA, DECLINED, "pm_card_authenticationRequired"],
        "currency": ["USD", "EUR", "JPY", "KWD"],
        "amount": ["1.00", "5", "0.01"],
        "price": ["5.00", "1", None],
        "Playback-Grant": [grant for _, grant in playing],
        "period": ["2026-08"],
        "days": [1, 3],
        "hours": [1, 5],
    }
    ids = {"video": "videos", "video_id": "videos", "actor": "users", "payment": "payments",
           "payout": "payouts", "order": "orders", "target_id": "videos"}  # fmt: skip
    world.values |= {name: world.values[folder] for name, folder in ids.items()}
    return world


def _role(caller: str) -> str:
    return caller if caller in Role.values else Role.VIEWER


def _upload(user: User, length: int) -> Upload:
    """Return an upload under way, whose length is not known yet if ``length`` is 0."""
    return resuming.begin(
        Upload(
            user=user, length=length or None, filename="a.mp4", title="A", makes_video=True,
            video_id=uuid7(), expires_at=timezone.now() + timedelta(hours=1),
        )
    )  # fmt: skip


def _videos(make_video: Make, creator: User) -> list[Video]:
    """Return a creator's videos: a paid one, a free one, and one of each further state."""
    videos = [
        make_video(creator=creator, price=1999, rental_price=300, rental_hours=48, tags=["fog"]),
        make_video(creator=creator),
        make_video(creator=creator, price=500),
        make_video(creator=creator, ready=False),
        make_video(creator=creator, visibility=Video.Visibility.UNLISTED),
        make_video(creator=creator, visibility=Video.Visibility.PRIVATE, price=700),
    ]
    for status in (Video.Status.UPLOADED, Video.Status.PROCESSING, Video.Status.FAILED):
        source = f"sources/{status}/source"
        videos.append(make_video(creator=creator, ready=False, status=status, source_path=source))
    deleted = make_video(creator=creator, price=900)
    catalogue.delete_video(video=deleted, actor=creator)
    return [*videos, deleted]


def _coupons(creator: User) -> list[models.Coupon]:
    number = models.Coupon.objects.count()
    return [
        models.Coupon.objects.create(code=f"QUARTER{number}", percent_bps=2500),
        models.Coupon.objects.create(code=f"FREE{number}", percent_bps=10_000),
        models.Coupon.objects.create(
            code=f"OWN{number}", percent_bps=1000, creator=creator, funded_by="creator"
        ),
        models.Coupon.objects.create(code=f"GONE{number}", percent_bps=100, is_active=False),
    ]


def _payouts(make_user: Make, make_video: Make, buy: Make) -> list[models.Payout]:
    """Return a payout in each state of its way to a creator's bank."""
    admin, rows = make_user(Role.ADMIN), []
    for steps in range(4):
        seller = make_user(Role.CREATOR)
        with at("2026-08-01 00:00"):
            buy(make_user(), make_video(creator=seller, price=5000))
        (row,) = payouts.request(seller)
        if steps > 0:
            payouts.approve(payout_id=row.pk, actor=admin)
        if steps > 1:
            payouts.mark_processing(payout_id=row.pk, actor=admin)
        if steps > 2:
            payouts.mark_paid(payout_id=row.pk, external_ref=f"wire {row.pk}", actor=admin)
        rows.append(row)
    return rows


def _orders(
    make_user: Make, buy: Make, viewer: User, videos: list[Video], coupons: list[models.Coupon]
) -> list[models.Order]:
    """Return orders of the viewer and of others: paid, free, rented, waiting, refunded."""
    paid, _, other, *_ = videos
    options = checkout.PurchaseOptions
    free = options(coupon=coupons[1].code, even_if_covered=True)
    gift, _ = checkout.purchase(buyer=make_user(), video_id=paid.pk, options=free)
    rent = options(kind="rent", even_if_covered=True)
    rented, _ = checkout.purchase(
        buyer=make_user(), video_id=paid.pk, options=rent, payment_method=VISA
    )
    waiting, _ = checkout.purchase(
        buyer=viewer, video_id=paid.pk, options=options(even_if_covered=True)
    )
    refunded = buy(viewer, other)
    refunds.refund_order(order_id=refunded.pk, amount=None, reason="", actor=None)
    return [gift, rented, waiting, refunded, buy(make_user(), other), buy(viewer, other)]
