"""What all flows have in common, and the fixtures that they are prepared with."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rest_framework.test import APIClient

from accounts.models import User
from accounts.roles import Role
from payments.models import Order
from payments.services.buying import checkout
from payments.tests.kit import VISA
from videos.models import Video
from videos.signals import worker_tick

PAYMENTS = "/api/v1/payments"
ASKS, FAILS_LATER, SLOW_REFUND = (
    "pm_card_authenticationRequired", "pm_card_chargeCustomerFail", "pm_card_pendingRefund",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scene:
    """The fixtures that flows are prepared with."""

    make_user: Callable[..., User]
    make_video: Callable[..., Video]
    client_for: Callable[..., APIClient]
    received: Callable[..., Any]


class Flow:
    """One thing that a person does, or the worker, in one or several requests.

    The constructor prepares its rows. ``act`` does it, and is repeated when the person comes back.
    ``check`` states what must be true in the end, beside what `checks` holds for every flow.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.user = scene.make_user()
        self.client = scene.client_for(self.user)
        self.key = uuid.uuid4().hex
        self.prepare()

    def prepare(self) -> None:
        """Make the rows that are there before the flow."""

    def act(self) -> None:
        raise NotImplementedError

    def check(self, *, came_back: bool) -> None:
        """Fail unless the flow ended well; ``came_back``: ``act`` was repeated after the kill."""

    def post(self, path: str, body: dict | None = None, *, client: APIClient | None = None) -> dict:
        """Send a request with the flow's Idempotency-Key; fail for a 5xx. Return the answer."""
        answer = (client or self.client).post(
            path, body or {}, format="json", headers={"Idempotency-Key": f"{self.key}:{path}"}
        )
        assert answer.status_code < 500, answer.content
        return json.loads(answer.content or b"{}")

    def press(self, url: str, button: str) -> None:
        """Press a button on a page of the sandbox."""
        page = self.client.post(url, {"button": button}, format="multipart")
        assert page.status_code in {200, 302}, (url, page.status_code, page.content)

    def staff(self, role: Role = Role.ADMIN) -> APIClient:
        return self.scene.client_for(self.scene.make_user(role))

    def sell(self, *, card: str = VISA, **fields: Any) -> Order:
        """Return a paid order of the user for a new video."""
        video = self.scene.make_video(price=1999, **fields)
        return checkout.purchase(
            buyer=self.user,
            video_id=video.pk,
            options=checkout.PurchaseOptions(even_if_covered=True),
            payment_method=card,
        )[0]


def tick(*every: str) -> None:
    """Do the worker's periodic work; fail if a part of it raises."""
    for name in every or ("second", "minute"):
        for receiver, outcome in worker_tick.send_robust(sender=None, every=name):
            assert not isinstance(outcome, Exception), (receiver, outcome)
