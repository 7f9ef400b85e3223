"""POST /auth/register: the accepted input, and the role of a new user."""

import pytest

from accounts.models import User
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
        "is_moderator": False,
        "email_verified": False,
        "embed_domains": [],
        "suspended_at": None,
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


def test_a_look_alike_domain_is_another_owners(client_for):
    """ß is not ss (IDNA 2008): neither of the two may take, or open, the account of the other."""
    first = register(client_for(), "ann@faß.example")
    second = register(client_for(), "ann@fass.example", "quite another phrase")

    assert (first.status_code, first.data["email"]) == (201, "ann@xn--fa-hia.example")
    assert (second.status_code, second.data["email"]) == (201, "ann@fass.example")

    def signs_in(email, password):
        body = {"email": email, "password": password}
        return client_for().post("/api/v1/auth/login", body).status_code

    assert signs_in("Ann@FAß.example", PASSWORD) == 200
    assert signs_in("ann@xn--fa-hia.example", PASSWORD) == 200
    assert signs_in("ann@fass.example", PASSWORD) == 401
    assert signs_in("ann@faß.example", "quite another phrase") == 401


@pytest.mark.parametrize(
    ("email", "words"),
    [
        ("änn@example.com", "outside a to z"),
        ('"a b"@example.com', "quotation marks"),
        ("ann@[192.0.2.1]", "no e-mail address"),
        ("ann@exa_mple.com", "no e-mail address"),
        ("a" * 65 + "@example.com", "longer than 64"),
        ("ann@example.com\nBcc: all@example.com", "no e-mail address"),
        ("ann@" + "é" * 3000 + ".com", "longer than 254"),
    ],
)
def test_an_address_that_cannot_be_mailed_is_refused_with_the_reason(client_for, email, words):
    before = User.objects.count()

    answer = register(client_for(), email)

    assert refused(answer, "email"), answer.data
    assert [words in error["detail"] for error in answer.data["errors"]] == [True]
    assert User.objects.count() == before


@pytest.mark.parametrize(
    "name", ["a\u202eb", "\u200b", "a\nb", "e" + "\u0301" * 9, "\u2066Ann\u2069"]
)
def test_a_display_name_that_deceives_is_refused(client_for, make_user, name):
    before, user = User.objects.count(), make_user(display_name="Ann")

    answer = register(client_for(), display_name=name)
    change = client_for(user).patch("/api/v1/auth/me", {"display_name": name})

    assert refused(answer, "display_name"), answer.data
    assert refused(change, "display_name"), change.data
    user.refresh_from_db()
    assert (User.objects.count(), user.display_name) == (before + 1, "Ann")


@pytest.mark.parametrize(("length", "status"), [(0, 201), (100, 201), (101, 400)])
def test_a_display_name_has_at_most_100_characters(client_for, length, status):
    answer = register(client_for(), display_name="n" * length)

    assert answer.status_code == status
    assert User.objects.filter(email="ann@example.com").exists() is (status == 201)


def test_a_name_of_spaces_is_no_name(client_for):
    answer = register(client_for(), display_name=" \u3000\u2003 ")

    assert (answer.status_code, answer.data["display_name"]) == (201, "")


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
