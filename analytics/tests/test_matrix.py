"""Who may do what: every operation of the OpenAPI document, for everybody, on everything."""

import uuid

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from accounts import tokens
from accounts.models import User
from accounts.roles import MODERATOR, Role
from config.tests import openapi
from payments import models
from payments.periods import Month

pytestmark = pytest.mark.django_db

CALLERS = ["anonymous", "viewer", "other", "owner", "moderator", "admin"]
METHODS = {"get", "post", "put", "patch", "delete"}


def operations() -> list[str]:
    """Every operation, as in "GET videos/{id}"."""
    return sorted(
        f"{method.upper()} {path.removeprefix('/api/v1/')}"
        for path, item in openapi.document()["paths"].items()
        for method in METHODS & item.keys()
    )


# Operation → what is sent, and the status for anonymous, viewer, other creator, owner, moderator
# and ADMIN. The owner is the creator of the video that is named, or whose order or session it is.
# 400 to 422 after a right has been found means: the caller got past the door.
SUBSCRIPTION = (
    "payments/subscription", "subscription/cancel", "payments/subscribe", "subscription/resume",
    "subscription/change", "subscription/payment-method",
)  # fmt: skip
MATRIX = {
    # accounts
    "POST auth/register": ({}, 400, 400, 400, 400, 400, 400),
    "POST auth/login": ({}, 400, 400, 400, 400, 400, 400),
    "POST auth/refresh": ({}, 400, 400, 400, 400, 400, 400),
    "POST auth/logout": ({}, 400, 400, 400, 400, 400, 400),
    "POST auth/password": ({}, 401, 400, 400, 400, 400, 400),
    "GET auth/me": (None, 401, 200, 200, 200, 200, 200),
    "PATCH auth/me": ({"display_name": "Me"}, 401, 200, 200, 200, 200, 200),
    "GET users/": (None, 401, 403, 403, 403, 403, 200),
    "GET users/{id}": (None, 401, 403, 403, 403, 403, 200),
    "PATCH users/{id}/role": ({"role": "CREATOR"}, 401, 403, 403, 403, 403, 200),
    "PATCH users/{id}/status": ({"is_active": False}, 401, 403, 403, 403, 403, 200),
    # videos
    "GET videos/": (None, 200, 200, 200, 200, 200, 200),
    "POST videos/": ({"title": "New"}, 401, 403, 201, 201, 403, 201),
    "GET videos/{id}": (None, 200, 200, 200, 200, 200, 200),
    "PATCH videos/{id}": ({"title": "New"}, 401, 403, 403, 200, 403, 200),
    "PUT videos/{id}": ({"title": "New"}, 401, 403, 403, 200, 403, 200),
    "DELETE videos/{id}": (None, 401, 403, 403, 204, 403, 204),
    "PUT videos/{id}/file": ("form", 401, 403, 403, 400, 403, 400),
    "GET videos/{id}/poster": (None, 404, 404, 404, 404, 404, 404),  # none on the disk here
    "PATCH videos/{id}/restore": (None, 401, 403, 403, 403, 403, 200),
    "POST videos/{id}/retry": (None, 401, 403, 403, 409, 403, 409),
    "PUT videos/{video_id}/reaction": ({"value": "like"}, 401, 200, 200, 200, 200, 200),
    "DELETE videos/{video_id}/reaction": (None, 401, 200, 200, 200, 200, 200),
    # streaming
    "GET stream/{video_id}": (None, 200, 200, 200, 200, 200, 200),
    "GET stream/play/{token}": (None, 302, 302, 302, 302, 302, 302),
    "GET stream/sessions/": (None, 401, 200, 200, 200, 200, 200),
    "DELETE stream/sessions/{id}": (None, 401, 404, 404, 204, 404, 404),
    "POST stream/sessions/{id}/heartbeat": (
        {"position_seconds": 1, "state": "playing"},
        *(404, 404, 404, 204, 404, 404),
    ),
    # payments: the order and the subscription are the owner's
    "GET payments/config": (None, 200, 200, 200, 200, 200, 200),
    "GET payments/plans": (None, 200, 200, 200, 200, 200, 200),
    "POST payments/purchase/{video_id}": ({}, 401, 422, 422, 403, 422, 422),  # a free video
    "GET payments/orders": (None, 401, 200, 200, 200, 200, 200),
    "GET payments/orders/{id}": (None, 401, 404, 404, 200, 404, 404),
    "POST payments/orders/{id}/cancel": (None, 401, 404, 404, 409, 404, 404),  # paid already
    "GET payments/entitlements": (None, 401, 200, 200, 200, 200, 200),
    "POST payments/subscribe": (
        {"payment_method": "pm_card_visa"},
        *(401, 201, 201, 409, 201, 201),
    ),
    "GET payments/subscription": (None, 401, 404, 404, 200, 404, 404),
    "POST payments/subscription/cancel": ({}, 401, 404, 404, 200, 404, 404),
    "GET payments/creator/earnings": (None, 401, 403, 200, 200, 403, 200),
    "GET payments/admin/revenue": (None, 401, 403, 403, 403, 403, 200),
    "GET payments/admin/ledger/trial-balance": (None, 401, 403, 403, 403, 403, 200),
    "POST payments/admin/orders/{id}/refund": (
        {"reason": "requested"},
        *(401, 403, 403, 403, 403, 200),
    ),
    # the order is nobody else's, whoever runs the house
    "POST payments/orders/{id}/sync": (None, 401, 404, 404, 200, 404, 404),
    "POST payments/orders/{id}/refund": (None, 401, 404, 404, 200, 404, 404),
    "GET payments/orders/{id}/receipt": (None, 401, 404, 404, 200, 404, 404),
    "GET payments/offers": (None, 400, 400, 400, 400, 400, 400),
    "GET payments/offers/{video_id}": (None, 200, 200, 200, 200, 200, 200),
    "GET payments/entitlements/{video_id}": (None, 401, 200, 200, 200, 200, 200),
    "POST payments/subscription/resume": (None, 401, 404, 404, 409, 404, 404),
    "POST payments/subscription/change": ({"plan": "monthly"}, 401, 404, 404, 409, 404, 404),
    "POST payments/subscription/payment-method": (
        {"payment_method": "pm_card_visa"},
        *(401, 404, 404, 200, 404, 404),
    ),
    "GET payments/invoices": (None, 401, 200, 200, 200, 200, 200),
    "POST payments/sandbox/clock": ({"hours": 1}, 401, 403, 403, 403, 403, 200),
    "POST payments/sandbox/payments/{id}/dispute": ({}, 401, 403, 403, 403, 403, 200),
    "POST payments/sandbox/payments/{id}/reinstate": ({}, 401, 403, 403, 403, 403, 404),
    "POST payments/sandbox/payments/{id}/refund-fail": (None, 401, 403, 403, 403, 403, 404),
    # creators' money: 404 and 409 after the door are about a month and a balance that are not there
    "GET payments/creator/balance": (None, 401, 403, 200, 200, 403, 200),
    "GET payments/creator/statements": (None, 401, 403, 200, 200, 403, 200),
    "GET payments/creator/statements/{period}": (None, 401, 403, 404, 404, 403, 404),
    "GET payments/creator/payouts": (None, 401, 403, 200, 200, 403, 200),
    "POST payments/creator/payouts": (None, 401, 403, 409, 409, 403, 409),
    "GET payments/creator/videos/{video_id}/offers": (None, 401, 403, 404, 200, 403, 404),
    "PUT payments/creator/videos/{video_id}/offers": (
        {"price": "1.00"},
        *(401, 403, 404, 200, 403, 404),
    ),
    # the back office
    "GET payments/admin/ledger/entries": (None, 401, 403, 403, 403, 403, 200),
    "GET payments/admin/disputes": (None, 401, 403, 403, 403, 403, 200),
    "POST payments/admin/invoices/{id}/refund": ({}, 401, 403, 403, 403, 403, 200),
    "GET payments/admin/pools": (None, 401, 403, 403, 403, 403, 200),
    "POST payments/admin/pools/{period}/close": (None, 401, 403, 403, 403, 403, 409),
    "GET payments/admin/payouts": (None, 401, 403, 403, 403, 403, 200),
    "POST payments/admin/payouts/run": (None, 401, 403, 403, 403, 403, 200),
    "GET payments/admin/payouts/{id}": (None, 401, 403, 403, 403, 403, 200),
    "POST payments/admin/payouts/{id}/approve": (None, 401, 403, 403, 403, 403, 200),
    "POST payments/admin/payouts/{id}/processing": (None, 401, 403, 403, 403, 403, 409),
    "POST payments/admin/payouts/{id}/mark-paid": (
        {"external_ref": "x"},
        *(401, 403, 403, 403, 403, 409),
    ),
    "POST payments/admin/payouts/{id}/mark-failed": (
        {"failure": "x"},
        *(401, 403, 403, 403, 403, 409),
    ),
    "POST payments/admin/payouts/{id}/cancel": (None, 401, 403, 403, 403, 403, 200),
    "GET payments/admin/coupons": (None, 401, 403, 403, 403, 403, 200),
    "POST payments/admin/coupons": (
        {"code": "NEW", "percent_bps": 100},
        *(401, 403, 403, 403, 403, 201),
    ),
    "GET payments/admin/coupons/{id}": (None, 401, 403, 403, 403, 403, 200),
    "PATCH payments/admin/coupons/{id}": ({"is_active": False}, 401, 403, 403, 403, 403, 200),
    "GET payments/admin/plans": (None, 401, 403, 403, 403, 403, 200),
    "POST payments/admin/plans": ({}, 401, 403, 403, 403, 403, 400),
    "PATCH payments/admin/plans/{id}": ({"name": "New"}, 401, 403, 403, 403, 403, 200),
    "GET payments/admin/webhook-events": (None, 401, 403, 403, 403, 403, 200),
    "POST payments/admin/webhook-events/{id}/replay": (None, 401, 403, 403, 403, 403, 200),
    "POST payments/admin/reconcile": ({}, 401, 403, 403, 403, 403, 200),
    "GET payments/admin/review": (None, 401, 403, 403, 403, 403, 200),
    # analytics and audit
    "GET analytics/creator": (None, 401, 403, 200, 200, 403, 200),
    "GET analytics/admin": (None, 401, 403, 403, 403, 403, 200),
    "GET analytics/videos/{video_id}": (None, 401, 403, 403, 200, 403, 200),
    "GET audit/": (None, 401, 403, 403, 403, 403, 200),
}

# Operations on one video: for the video of another creator that is a draft, private or deleted, the
# answer is the one for a video that never was; but 401 and 403 come first where a role is asked.
HIDDEN = {
    # operation: (anonymous, viewer, other, owner, moderator, admin) for a draft
    "GET videos/{id}": (404, 404, 404, 200, 404, 200),
    "PATCH videos/{id}": (401, 404, 404, 200, 404, 200),
    "PUT videos/{id}": (401, 404, 404, 200, 404, 200),
    "DELETE videos/{id}": (401, 404, 404, 204, 404, 204),
    "PUT videos/{id}/file": (401, 404, 404, 400, 404, 400),
    "GET videos/{id}/poster": (404, 404, 404, 404, 404, 404),
    "POST videos/{id}/retry": (401, 404, 404, 409, 404, 409),
    "PUT videos/{video_id}/reaction": (401, 404, 404, 200, 404, 200),
    "DELETE videos/{video_id}/reaction": (401, 404, 404, 200, 404, 200),
    "GET stream/{video_id}": (404, 404, 404, 409, 404, 409),
    "POST payments/purchase/{video_id}": (401, 404, 404, 403, 404, 422),
    "GET payments/offers/{video_id}": (404, 404, 404, 200, 404, 200),
    "GET payments/entitlements/{video_id}": (401, 404, 404, 200, 404, 200),
    "GET analytics/videos/{video_id}": (401, 404, 404, 200, 404, 200),
}


class House:
    """One of everything, and the people around it."""

    def __init__(self, make_user, make_video, buy, subscribe, client_for):
        self.client_for = client_for
        self.people = {
            "anonymous": None,
            "viewer": make_user(),
            "other": make_user(Role.CREATOR),
            "owner": make_user(Role.CREATOR),
            "moderator": make_user(),
            "admin": make_user(Role.ADMIN),
        }
        moderator, self.owner = self.people["moderator"], self.people["owner"]
        moderator.groups.add(Group.objects.get(name=MODERATOR))
        User.objects.filter(pk=moderator.pk).update(is_staff=True)
        self.make_video, self.buy, self.subscribe = make_video, buy, subscribe
        self.make_user = make_user
        self.video = make_video(creator=self.owner)
        self.somebody, self.subscribed = make_user(), None

    def session(self):
        token = self.client_for(self.owner).get(f"/api/v1/stream/{self.video.pk}").data
        play = self.client_for().get(token["stream_url"], HTTP_ACCEPT="application/json")
        return play.data["session_id"]

    def row(self, folder: str):
        """Something new to act on, of those that a folder of the back office holds."""
        if folder == "payments":  # of the sandbox
            return self.buy(self.somebody, self.make_video(price=500)).payments.get()
        if folder == "invoices":
            return self.subscribe(self.make_user()).invoices.get()
        if folder == "payouts":
            creator = self.make_user(Role.CREATOR)
            payout = {"currency": "USD", "amount": 1, "cutoff": timezone.now()}
            return models.Payout.objects.create(creator=creator, **payout)
        number = uuid.uuid4().hex
        if folder == "coupons":
            return models.Coupon.objects.create(code=number, percent_bps=100)
        if folder == "plans":
            return models.Plan.objects.create(code=number, name="X", amount=1, currency="USD")
        event = {"gateway": "sandbox", "external_id": number, "type": "x"}
        return models.WebhookEvent.objects.create(**event)

    def url(self, operation: str, video) -> str:
        path = operation.split(" ")[1]
        if path.startswith("videos/{id}") or "{video_id}" in path:
            value = video.pk
        elif path.startswith("users/"):
            value = self.somebody.pk
        elif path.startswith("stream/play"):
            url = self.client_for().get(f"/api/v1/stream/{video.pk}").data["stream_url"]
            value = url.rsplit("/", 1)[1]
        elif path.startswith("stream/sessions/{"):
            value = self.session()
        elif "orders/{" in path:
            value = self.buy(self.owner, self.make_video(price=500)).pk
        elif "{period}" in path:
            value = Month.of(timezone.now().date())
        elif path.startswith("payments/") and "{id}" in path:
            value = self.row(path.split("/")[2]).pk
        else:
            value = ""
        if operation.endswith(SUBSCRIPTION) and not self.subscribed:
            self.subscribed = self.subscribe(self.owner)
        start, _, end = path.partition("{")
        return f"/api/v1/{start}{value}{end.partition('}')[2]}"

    def call(self, caller: str, operation: str, body, video=None):
        method = operation.split(" ")[0].lower()
        client = self.client_for(self.people[caller])
        url = self.url(operation, video or self.video)
        if body == "form":
            return client.generic(
                "PUT", url, b"--x--\r\n", content_type="multipart/form-data; boundary=x"
            )
        return getattr(client, method)(url, body)


@pytest.fixture
def house(make_user, make_video, buy, subscribe, client_for):
    return House(make_user, make_video, buy, subscribe, client_for)


def test_every_operation_has_a_row():
    assert operations() == sorted(MATRIX)


def test_every_operation_on_one_video_has_a_row_for_hidden_ones():
    on_videos = {
        name
        for name in operations()
        if name.split(" ")[1].startswith(("videos/{", "stream/{"))
        or ("{video_id}" in name and "/creator/" not in name)
    } - {"PATCH videos/{id}/restore"}
    assert on_videos == set(HIDDEN)


@pytest.mark.parametrize("operation", MATRIX)
def test_who_may_do_what(house, operation):
    body, *expected = MATRIX[operation]
    found = []
    for caller in CALLERS:
        video = house.make_video(creator=house.owner) if operation in HIDDEN else house.video
        before = type(video).objects.values().get(pk=video.pk)
        answer = house.call(caller, operation, body, video)
        found.append(answer.status_code)
        refusal_is_in_order(answer)
        if answer.status_code in {401, 403, 404}:
            assert type(video).objects.values().get(pk=video.pk) == before, caller
    assert dict(zip(CALLERS, found, strict=True)) == dict(zip(CALLERS, expected, strict=True))


@pytest.mark.parametrize("kind", ["draft", "private"])
@pytest.mark.parametrize("operation", HIDDEN)
def test_a_hidden_video_is_not_there_for_others(house, operation, kind):
    body, expected = MATRIX[operation][0], HIDDEN[operation]
    for caller, status in zip(CALLERS, expected, strict=True):
        video = house.make_video(
            creator=house.owner,
            ready=kind != "draft",
            visibility="private" if kind == "private" else "public",
        )
        before = type(video).objects.values().get(pk=video.pk)
        answer = house.call(caller, operation, body, video)
        refusal_is_in_order(answer)
        if caller in {"owner", "admin"} and kind == "private":
            assert answer.status_code == MATRIX[operation][1 + CALLERS.index(caller)], caller
            continue
        assert answer.status_code == status, (caller, answer.content[:300])
        if status in {401, 403, 404}:
            assert type(video).objects.values().get(pk=video.pk) == before
        if status == 404 and caller not in {"owner", "admin"}:
            assert_like_nothing(house, caller, operation, body, answer)


@pytest.mark.parametrize("operation", HIDDEN)
def test_a_deleted_video_is_not_there_for_anybody(house, operation):
    body = MATRIX[operation][0]
    video = house.make_video(creator=house.owner)
    house.client_for(house.owner).delete(f"/api/v1/videos/{video.pk}")
    before = type(video).objects.values().get(pk=video.pk)
    for caller, draft in zip(CALLERS, HIDDEN[operation], strict=True):
        answer = house.call(caller, operation, body, video)
        assert answer.status_code == (401 if draft == 401 else 404), (caller, answer.content[:300])
        refusal_is_in_order(answer)
    assert type(video).objects.values().get(pk=video.pk) == before


def assert_like_nothing(house, caller, operation, body, answer):
    """Status, body and headers as for an id that never was."""

    class Nothing:
        pk = uuid.uuid4()

    nothing = house.call(caller, operation, body, Nothing)
    assert (nothing.status_code, nothing.content) == (answer.status_code, answer.content)
    ignore = {"X-Request-ID"}
    assert {k: v for k, v in nothing.items() if k not in ignore} == {
        k: v for k, v in answer.items() if k not in ignore
    }


def refusal_is_in_order(answer):
    if answer.status_code < 400:
        return
    assert answer["Content-Type"] == "application/json"
    assert set(answer.json()) == {"type", "errors"}
    if answer.status_code == 401:
        assert answer["WWW-Authenticate"] == 'Bearer realm="api"'


def test_a_restored_video_is_there_again_and_only_for_whom_it_was(house):
    owner, admin = (house.client_for(house.people[name]) for name in ("owner", "admin"))
    url = f"/api/v1/videos/{house.video.pk}"
    assert owner.delete(url).status_code == 204
    assert owner.patch(f"{url}/restore").status_code == 403
    listed = admin.get("/api/v1/videos/?deleted=true").json()["results"]
    assert [video["id"] for video in listed] == [str(house.video.pk)]
    assert owner.get("/api/v1/videos/?deleted=true").status_code == 403

    first, second = admin.patch(f"{url}/restore"), admin.patch(f"{url}/restore")

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()
    assert house.client_for().get(url).status_code == 200


def test_lists_hide_what_single_addresses_hide(house):
    draft = house.make_video(creator=house.owner, ready=False, title="Draft")
    private = house.make_video(creator=house.owner, visibility="private", title="Private")
    unlisted = house.make_video(creator=house.owner, visibility="unlisted", title="Unlisted")
    seen = {}
    for caller, user in house.people.items():
        found = house.client_for(user).get("/api/v1/videos/?page_size=100").json()["results"]
        seen[caller] = {video["id"] for video in found}

    everything = {str(video.pk) for video in (house.video, draft, private, unlisted)}
    for caller in ("anonymous", "viewer", "other", "moderator"):
        assert seen[caller] == {str(house.video.pk)}, caller
    assert seen["owner"] == seen["admin"] == everything


def test_no_filter_brings_a_hidden_video_back(house):
    house.make_video(creator=house.owner, ready=False, title="Draft")
    client = house.client_for(house.people["viewer"])
    for query in (
        f"status=CREATED&creator={house.owner.pk}",
        "search=Draft",
        "deleted=false&status=CREATED",
        "is_deleted=true&status=CREATED",
    ):
        assert client.get(f"/api/v1/videos/?{query}").json()["results"] == [], query


def test_what_nobody_may_set_stays_as_it_is(house):
    video, other = house.video, house.people["other"]
    body = {
        "title": "New", "creator": str(other.pk), "creator_id": str(other.pk), "status": "FAILED",
        "views": 10**6, "likes": 5, "deleted_at": "2020-01-01T00:00:00Z", "current_version": "x",
        "created_at": "2000-01-01T00:00:00Z", "published_at": None, "id": str(uuid.uuid4()),
        "renditions": [], "source_path": "/etc/passwd", "duration_seconds": 1,
    }  # fmt: skip
    before = type(video).objects.values().get(pk=video.pk)

    answer = house.client_for(house.owner).patch(f"/api/v1/videos/{video.pk}", body)

    assert answer.status_code == 200
    assert type(video).objects.values().get(pk=video.pk) == {**before, "title": "New"}


def test_numbers_of_other_creators_stay_theirs(house):
    other = house.client_for(house.people["other"])
    mine = other.get("/api/v1/analytics/creator").json()
    asked = other.get(f"/api/v1/analytics/creator?creator={house.owner.pk}")
    assert asked.status_code in {200, 403}
    if asked.status_code == 200:
        assert asked.json()["totals"] == mine["totals"]
        assert asked.json()["videos"] == mine["videos"] == []
    earnings = other.get(f"/api/v1/payments/creator/earnings?creator={house.owner.pk}")
    assert earnings.status_code == 403


def test_a_method_cannot_be_smuggled_in(house):
    for header in ("HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_X_METHOD_OVERRIDE"):
        answer = house.client_for(house.owner).post(
            f"/api/v1/videos/{house.video.pk}", {"_method": "DELETE"}, **{header: "DELETE"}
        )
        assert answer.status_code == 405
    house.video.refresh_from_db()
    assert house.video.deleted_at is None


def test_tokens_of_a_deactivated_administrator_open_nothing(house):
    admin = house.people["admin"]
    access = tokens.issue(admin).access
    User.objects.filter(pk=admin.pk).update(is_active=False)
    for operation, (_, *expected) in MATRIX.items():
        if operation.startswith("GET") and expected[0] == 401:
            url = house.url(operation, house.video)
            answer = house.client_for().get(url, HTTP_AUTHORIZATION=f"Bearer {access}")
            assert answer.status_code == 401, operation
