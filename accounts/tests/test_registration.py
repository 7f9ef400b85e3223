"""POST /auth/register: the accepted input, and the role of a new user."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import User, normal_email
from audit.models import AuditEntry

pytestmark = pytest.mark.django_db

URL = "/api/v1/auth/register"
PASSWORD = "a long pass phrase"


def register(client, email="ann@example.com", password=PASSWORD, **more):
    return client.post(URL, {"email": email, "password": password, **more})


def refused(answer, field: str, code: str | None = None) -> bool:
    error = answer.data["errors"][0]
    error_seen = (answer.status_code, answer.data["type"], error["attr"])
    return error_seen == (400, "validation_error", field) and code in (None, error["code"])


def test_a_new_user_is_an_active_viewer(client_for):
    answer = register(client_for(), display_name="Ann")

    assert answer.status_code == 201
    user = User.objects.get(email="ann@example.com")
    assert answer.json() == {
        "id": str(user.pk),
        "email": "ann@example.com",
        "display_name": "Ann",
        "role": "VIEWER",
        "is_active": True,
        "created_at": answer.json()["created_at"],
    }
    assert answer.json()["created_at"].endswith("Z")
    assert user.check_password(PASSWORD)
    assert user.password.startswith("argon2$")
    assert AuditEntry.objects.get(action="user.registered").actor_id == user.pk


def test_registration_ignores_a_role(client_for, admin):
    answer = register(
        client_for(),
        role="ADMIN",
        is_staff=True,
        is_superuser=True,
        id=str(admin.pk),
        groups=[1],
        is_active=False,
    )

    assert (answer.status_code, answer.data["role"]) == (201, "VIEWER")
    user = User.objects.get(email="ann@example.com")
    assert (user.role.name, user.is_staff, user.is_superuser) == ("VIEWER", False, False)
    assert user.is_active
    assert user.pk != admin.pk
    assert client_for(user).get("/api/v1/users/").status_code == 403


@pytest.mark.parametrize(
    "variant",
    [
        "ann@example.com",
        "ANN@EXAMPLE.COM",
        "Ann@Example.Com",
        "  ann@example.com ",
        "ann@ｅxample.com",  # noqa: RUF001 - a full-width letter, the same after NFKC
        "ann@Ｅxample.com",  # noqa: RUF001
    ],
)
def test_an_address_belongs_to_one_user_however_it_is_written(client_for, variant):
    register(client_for())

    answer = register(client_for(), variant)

    assert refused(answer, "email", "unique"), answer.data
    assert User.objects.filter(email__contains="ann").count() == 1


@pytest.mark.parametrize(
    "email",
    [
        "ann@example.com.",
        "ａnn@example.com",  # noqa: RUF001
        "ann",
        "ann@",
        "@example.com",
        "ann@example",
        "a b@example.com",
        "ann@ex＠ample.com",  # noqa: RUF001 - a second @ after NFKC
        "ann@" + ("ﷺ" * 10 + ".") * 20 + "com",  # grows beyond the column in its normal form
        "x" * 250 + "@example.com",
        "ann@exam\x00ple.com",
        "",
        None,
        17,
        True,
        ["ann@example.com"],
        {"a": "b"},
    ],
)
def test_an_invalid_address_is_refused(client_for, email):
    before = User.objects.count()

    answer = register(client_for(), email)

    assert answer.status_code == 400, answer.data
    assert User.objects.count() == before


@given(st.emails() | st.text(max_size=40))
def test_the_normal_form_of_an_address_is_its_own_normal_form(text):
    assert normal_email(normal_email(text)) == normal_email(text)


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short12",
        "password",
        "12345678901234",
        "ann@example.com",
        "example.com",
        "margaretha",  # the display name
        "x" * 129,
        "x" * 900_000,
        "null\x00byte is refused",
        None,
        1234567890,
        ["a long pass phrase"],
    ],
)
def test_a_weak_or_endless_password_is_refused(client_for, password):
    before = User.objects.count()

    answer = register(client_for(), password=password, display_name="Margaretha")

    if isinstance(password, int):  # a number is taken as its digits, and those are too common
        assert refused(answer, "password"), answer.data
    else:
        assert answer.status_code == 400, answer.data
    assert User.objects.count() == before


@pytest.mark.parametrize(
    "password", ["q" + "x1" * 63 + "z", "🦀🚀 harbour at night", "  kept spaces  "]
)
def test_a_long_or_unusual_password_is_used_unchanged(client_for, password):
    assert register(client_for(), password=password).status_code == 201

    login = client_for().post(
        "/api/v1/auth/login", {"email": "ann@example.com", "password": password}
    )
    assert login.status_code == 200
    stripped = client_for().post(
        "/api/v1/auth/login", {"email": "ann@example.com", "password": password[:-1]}
    )
    assert stripped.status_code == 401


def test_a_password_error_names_its_field_and_code(client_for):
    answer = register(client_for(), password="short12")

    assert answer.json()["errors"][0]["attr"] == "password"
    assert "too short" in answer.json()["errors"][0]["detail"]


def test_registration_is_no_list_of_people(client_for):
    answer = client_for().post(URL, [{"email": "ann@example.com", "password": PASSWORD}])

    assert answer.status_code == 400
    assert not User.objects.filter(email="ann@example.com").exists()
