"""An invalid body or query is answered with all of its errors at once, and changes nothing."""

import pytest

from accounts.models import User
from payments.models import Coupon, Plan
from videos.models import Video

pytestmark = pytest.mark.django_db

LONG = "x" * 500


def errors(response) -> set[tuple[str, str]]:
    assert response.status_code == 400, response.data
    return {(error["attr"], error["code"]) for error in response.json()["errors"]}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"email": "nobody", "password": "12345678", "display_name": LONG},
            {("email", "invalid"), ("password", "password"), ("display_name", "max_length")},
        ),
        ({"password": "short"}, {("email", "required"), ("password", "password")}),
        ({"email": "nobody"}, {("email", "invalid"), ("password", "required")}),
        (
            {"email": "ANN@example.com", "password": "12345678"},
            {("email", "unique"), ("password", "password")},
        ),
        # The password is compared with the valid name even if the address is not valid.
        (
            {"email": "nobody", "password": "harbourmaster", "display_name": "Harbourmaster"},
            {("email", "invalid"), ("password", "password")},
        ),
        ([], {("non_field_errors", "invalid")}),
    ],
)
def test_registration(client_for, make_user, body, expected):
    make_user(email="ann@example.com")
    before = User.objects.count()

    assert errors(client_for().post("/api/v1/auth/register", body)) == expected
    assert User.objects.count() == before


def test_a_change_of_the_password(client_for, viewer):
    before = viewer.password
    body = {"current_password": LONG, "new_password": "12345678"}

    answer = client_for(viewer).post("/api/v1/auth/password", body)

    assert errors(answer) == {("current_password", "max_length"), ("new_password", "password")}
    viewer.refresh_from_db()
    assert viewer.password == before


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"is_paid": True}, {("title", "required"), ("price", "required")}),
        (
            {"title": LONG, "price": "-1", "rental_price": "0", "rental_hours": 0},
            {
                ("title", "max_length"),
                ("price", "min_value"),
                ("rental_price", "min_value"),
                ("rental_hours", "min_value"),
            },
        ),
        (
            {"title": "", "is_paid": True, "price": "1.999", "rental_price": "2.001"},
            {
                ("title", "blank"),
                ("price", "invalid"),
                ("rental_price", "invalid"),
            },
        ),
        # Without a valid currency nothing can be said about an amount.
        (
            {"currency": "ABC", "price": "1.999"},
            {("title", "required"), ("currency", "invalid_choice")},
        ),
        # Whether the video is paid is not known, so nothing is said about the rental.
        (
            {"title": "A", "is_paid": "maybe", "rental_price": "1", "rental_hours": 2},
            {("is_paid", "invalid")},
        ),
    ],
)
def test_a_new_video(client_for, creator, body, expected):
    assert errors(client_for(creator).post("/api/v1/videos/", body)) == expected
    assert not Video.objects.exists()


def test_a_change_of_a_video(client_for, creator, make_video):
    video = make_video(creator=creator, title="Before", price=1999)
    body = {"title": "", "price": "0", "rental_hours": 5}

    answer = client_for(creator).patch(f"/api/v1/videos/{video.pk}", body)

    assert errors(answer) == {
        ("title", "blank"),
        ("price", "required"),
        ("rental_price", "required"),
    }
    video.refresh_from_db()
    assert (video.title, video.price, video.rental_hours) == ("Before", 1999, None)


def test_prices_of_a_video(client_for, creator, make_video):
    video = make_video(creator=creator, price=1999)
    url = f"/api/v1/payments/creator/videos/{video.pk}/offers"

    answer = client_for(creator).put(url, {"price": "much", "rental_price": "0", "rental_hours": 2})

    assert errors(answer) == {("price", "invalid"), ("rental_price", "min_value")}
    video.refresh_from_db()
    assert (video.price, video.rental_hours) == (1999, None)


def test_a_new_plan(client_for, admin):
    before = Plan.objects.count()
    body = {"code": "monthly", "name": LONG, "amount": "0", "currency": "USD"}

    answer = client_for(admin).post("/api/v1/payments/admin/plans/", body)

    assert errors(answer) == {("code", "unique"), ("name", "max_length"), ("amount", "invalid")}
    body = {"code": "a plan", "amount": "1.999", "currency": "USD"}
    answer = client_for(admin).post("/api/v1/payments/admin/plans/", body)
    assert errors(answer) == {("code", "invalid"), ("name", "required"), ("amount", "invalid")}
    assert Plan.objects.count() == before


def test_a_new_coupon(client_for, admin):
    Coupon.objects.create(code="SPRING", percent_bps=100)
    url = "/api/v1/payments/admin/coupons/"

    answer = client_for(admin).post(url, {"code": "A" * 50, "amount": "1.999", "currency": "USD"})

    assert errors(answer) == {("code", "max_length"), ("code", "invalid"), ("amount", "invalid")}
    body = {"code": "spring", "funded_by": "creator", "ends_at": "2020-01-01T00:00:00Z"}
    assert errors(client_for(admin).post(url, body)) == {
        ("code", "unique"),
        ("percent_bps", "invalid"),
        ("creator", "invalid"),
        ("ends_at", "invalid"),
    }
    assert Coupon.objects.count() == 1


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        (
            "analytics/admin",
            "from=2026-02-02T00:00:00Z&to=2026-01-01T00:00:00Z&interval=year&video=1",
            {("to", "invalid"), ("interval", "invalid_choice"), ("video", "invalid")},
        ),
        (
            "analytics/admin",
            "from=then&interval=hour&to=2026-01-01T00:00:00Z",
            {("from", "invalid")},
        ),
        (
            "payments/admin/revenue",
            "from=2026-02-02T00:00:00Z&to=2026-01-01T00:00:00Z&currency=ABC",
            {("to", "invalid"), ("currency", "invalid_choice")},
        ),
    ],
)
def test_the_query_of_a_report(client_for, admin, path, query, expected):
    assert errors(client_for(admin).get(f"/api/v1/{path}?{query}")) == expected


def test_the_clock_of_the_sandbox(client_for, admin):
    answer = client_for(admin).post("/api/v1/payments/sandbox/clock", {"days": -1, "hours": 99})
    assert errors(answer) == {("days", "min_value"), ("hours", "max_value")}
