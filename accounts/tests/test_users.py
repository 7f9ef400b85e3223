"""The list of users, and changes of role and status by administrators."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction

from accounts import services, tokens
from accounts.models import User
from accounts.roles import Role
from audit.models import AuditEntry
from config.tests.threads import at_once

pytestmark = pytest.mark.django_db

URL = "/api/v1/users/"


def emails(answer) -> list[str]:
    assert answer.status_code == 200, answer.data
    return [user["email"] for user in answer.json()["results"]]


@pytest.fixture
def only_admin(admin):
    """The only active administrator: the seeded one is deactivated."""
    User.objects.exclude(pk=admin.pk).filter(role__name=Role.ADMIN).update(is_active=False)
    return admin


def test_an_administrator_sees_users_without_their_secrets(client_for, admin, viewer):
    answer = client_for(admin).get(f"{URL}{viewer.pk}")

    assert answer.status_code == 200
    assert set(answer.json()) == {
        "id", "email", "display_name", "role", "is_moderator", "email_verified", "is_active",
        "embed_domains", "suspended_at", "created_at",
    }  # fmt: skip
    assert answer.json()["role"] == "VIEWER"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("role=CREATOR", ["carl@example.com"]),
        ("role=VIEWER", ["vera@example.com", "gone@example.com"]),
        ("role=VIEWER&is_active=false", ["gone@example.com"]),
        ("role=VIEWER&is_active=true", ["vera@example.com"]),
        ("is_moderator=true", ["vera@example.com"]),
        ("search=VERA", ["vera@example.com"]),
        ("search=the+great", ["carl@example.com"]),
        ("search=%C3%BCnal", ["carl@example.com"]),
        ("search=%25", []),
        ("search=nobody", []),
        (
            "ordering=email&page_size=3",
            ["admin@example.com", "carl@example.com", "gone@example.com"],
        ),
        ("ordering=-email&page_size=1", ["vera@example.com"]),
    ],
)
def test_the_list_is_filtered_and_sorted(client_for, make_user, query, expected):
    User.objects.filter(email="root@example.com").update(email="admin-0@example.com")
    boss = make_user(Role.ADMIN, email="admin@example.com")
    make_user(email="gone@example.com", is_active=False)
    make_user(email="vera@example.com", is_moderator=True)
    make_user(Role.CREATOR, email="carl@example.com", display_name="The Great Carl ÜNAL")

    answer = client_for(boss).get(f"{URL}?{query}")

    listed = [email for email in emails(answer) if email != "admin-0@example.com"]
    assert listed == expected if "page_size" not in query else listed == expected[: len(listed)]


@pytest.mark.parametrize(
    "query",
    [
        "role=KING",
        "role=MODERATOR",
        "is_active=maybe",
        "is_active=1",
        "ordering=password",
        "ordering=role__name",
        "ordering=--email",
        "page_size=0",
        "page_size=-1",
        "page_size=x",
        "page_size=1.5",
        "search=%00",
        "search=" + "x" * 201,
        "cursor=nonsense",
    ],
)
def test_an_invalid_filter_is_a_400(client_for, admin, query):
    answer = client_for(admin).get(f"{URL}?{query}")

    assert answer.status_code == 400, answer.data
    assert answer.json()["errors"][0]["detail"]


def test_pages_hold_every_user_once(client_for, admin, make_user):
    for _ in range(7):
        make_user()
    seen, url = [], f"{URL}?page_size=3"
    while url:
        page = client_for(admin).get(url).json()
        seen += [user["id"] for user in page["results"]]
        url = page["next"]

    assert len(seen) == len(set(seen)) == User.objects.count()


@pytest.mark.parametrize("size", [1, 12])
def test_the_list_needs_as_many_queries_for_any_number_of_users(
    size, client_for, admin, make_user, django_assert_num_queries
):
    for _ in range(size):
        make_user()
    client = client_for(admin)
    client.get(URL)

    # 1 token with user and role; 2 users with roles; 3-6 the request's lines, which tests write at once
    with django_assert_num_queries(6):
        client.get(URL)


def test_a_change_of_role_is_recorded(client_for, admin, viewer):
    answer = client_for(admin).patch(f"{URL}{viewer.pk}/role", {"role": "CREATOR"})

    assert (answer.status_code, answer.json()["role"]) == (200, "CREATOR")
    entry = AuditEntry.objects.get(action="user.role_changed")
    assert (entry.actor_id, entry.target_id) == (admin.pk, str(viewer.pk))
    assert entry.data == {"before": "VIEWER", "after": "CREATOR"}
    again = client_for(admin).patch(f"{URL}{viewer.pk}/role", {"role": "CREATOR"})
    assert again.status_code == 200
    assert AuditEntry.objects.filter(action="user.role_changed").count() == 1


def test_becoming_an_administrator_opens_the_admin_site_and_losing_it_closes_it(
    client_for, admin, viewer
):
    client_for(admin).patch(f"{URL}{viewer.pk}/role", {"role": "ADMIN"})
    viewer.refresh_from_db()
    assert viewer.is_staff

    client_for(admin).patch(f"{URL}{viewer.pk}/role", {"role": "VIEWER"})
    viewer.refresh_from_db()
    assert not viewer.is_staff


@pytest.mark.parametrize(
    "role", ["KING", "MODERATOR", "admin", "", None, 1, True, ["ADMIN"], {"a": 1}]
)
def test_an_unknown_role_is_refused(client_for, admin, viewer, role):
    answer = client_for(admin).patch(f"{URL}{viewer.pk}/role", {"role": role})

    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "role")
    viewer.refresh_from_db()
    assert viewer.role.name == "VIEWER"


@pytest.mark.parametrize(
    ("path", "body"), [("role", {"role": "VIEWER"}), ("status", {"is_active": False})]
)
def test_the_last_administrator_cannot_be_removed(client_for, only_admin, path, body):
    answer = client_for(only_admin).patch(f"{URL}{only_admin.pk}/{path}", body)

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "last_admin")
    only_admin.refresh_from_db()
    assert (only_admin.role.name, only_admin.is_active) == ("ADMIN", True)
    assert not AuditEntry.objects.filter(target_id=str(only_admin.pk)).exists()


@pytest.mark.parametrize(
    ("path", "body"), [("role", {"role": "VIEWER"}), ("status", {"is_active": False})]
)
@pytest.mark.django_db(transaction=True)
def test_two_administrators_who_remove_each_other_at_once_do_not_both_succeed(
    client_for, make_user, path, body
):
    User.objects.filter(role__name=Role.ADMIN).update(is_active=False)
    pair = [make_user(Role.ADMIN), make_user(Role.ADMIN)]
    clients = [client_for(user) for user in pair]

    answers = at_once(
        2, lambda number: clients[number].patch(f"{URL}{pair[1 - number].pk}/{path}", body)
    )

    assert User.objects.filter(role__name="ADMIN", is_active=True).count() == 1
    # The slower request is refused as the last administrator, or has lost its permission by then.
    assert sorted(a.status_code for a in answers) in ([200, 401], [200, 403], [200, 409])


def test_a_deactivation_takes_effect_at_once_and_can_be_undone(client_for, admin, make_user):
    user = make_user(email="ann@example.com", password="a long pass phrase")
    pair = tokens.issue(user)

    answer = client_for(admin).patch(f"{URL}{user.pk}/status", {"is_active": False})

    assert (answer.status_code, answer.json()["is_active"]) == (200, False)
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {pair.access}"}
    assert client_for().get("/api/v1/auth/me", **bearer).status_code == 401
    body = {"refresh_token": pair.refresh}
    assert client_for().post("/api/v1/auth/refresh", body).status_code == 401
    login = {"email": "ann@example.com", "password": "a long pass phrase"}
    assert client_for().post("/api/v1/auth/login", login).status_code == 401

    client_for(admin).patch(f"{URL}{user.pk}/status", {"is_active": True})
    assert client_for().get("/api/v1/auth/me", **bearer).status_code == 401  # old tokens stay dead
    assert client_for().post("/api/v1/auth/login", login).status_code == 200


def test_a_deactivated_viewer_stops_playing(client_for, admin, viewer, make_video):
    video = make_video()
    token = client_for(viewer).get(f"/api/v1/stream/{video.pk}").data
    play = client_for().get(token["stream_url"], HTTP_ACCEPT="application/json").data

    client_for(admin).patch(f"{URL}{viewer.pk}/status", {"is_active": False})

    beat = {"position_seconds": 1, "state": "playing"}
    heartbeat = client_for().post(
        f"/api/v1/stream/sessions/{play['session_id']}/heartbeat",
        beat,
        HTTP_PLAYBACK_GRANT=play["grant"],
    )
    assert heartbeat.status_code == 410
    assert client_for().get(token["stream_url"]).status_code in {401, 410}


@pytest.mark.parametrize("value", ["maybe", "", None, 2, [True], {}])
def test_an_unknown_status_is_refused(client_for, admin, viewer, value):
    answer = client_for(admin).patch(f"{URL}{viewer.pk}/status", {"is_active": value})

    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "is_active")
    viewer.refresh_from_db()
    assert viewer.is_active


@pytest.mark.parametrize("path", ["", "/role", "/status"])
def test_an_unknown_user_is_a_404(client_for, admin, path):
    client = client_for(admin)
    for name in (uuid.uuid4(), "0", "-1", "1e5", "%00", "zzzz", "..%2f", "urn:uuid:x"):
        url = f"{URL}{name}{path}"
        answer = (
            client.patch(url, {"role": "VIEWER", "is_active": True}) if path else client.get(url)
        )
        assert answer.status_code == 404, url
        assert answer.json()["type"] == "client_error"


@pytest.mark.django_db(transaction=True)
def test_concurrent_changes_of_one_user_all_succeed(client_for, make_user):
    """Six concurrent changes of one user succeed, without a deadlock."""
    admins = [make_user(Role.ADMIN) for _ in range(6)]
    target, clients = make_user(), [client_for(user) for user in admins]
    roles = ["CREATOR", "ADMIN", "VIEWER"] * 2

    answers = at_once(
        6, lambda number: clients[number].patch(f"{URL}{target.pk}/role", {"role": roles[number]})
    )

    assert [answer.status_code for answer in answers] == [200] * 6
    target.refresh_from_db()
    newest = AuditEntry.objects.filter(action="user.role_changed").order_by("-at", "-id")[0]
    assert newest.data["after"] == target.role.name


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_rows_that_name_a_user_are_written_while_the_user_is_locked(viewer):
    """A foreign key to the user must not wait for the lock of a deactivation: docs/locking.md."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")

    def write():
        try:
            tokens.issue(viewer)  # a refresh family, which names the user
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        services.locked(viewer.pk)
        pool.submit(write).result()  # with a lock that foreign keys wait for: lock_timeout


def test_a_moderator_is_appointed_and_dismissed_beside_the_role(client_for, admin, creator):
    path = f"{URL}{creator.pk}/moderator"
    for is_moderator, action in ((True, "appointed"), (False, "dismissed")):
        for _ in range(2):
            answer = client_for(admin).patch(path, {"is_moderator": is_moderator})
            assert (answer.status_code, answer.json()["is_moderator"]) == (200, is_moderator)
            assert answer.json()["role"] == "CREATOR"
        creator.refresh_from_db()
        assert (creator.is_moderator, creator.is_staff) == (is_moderator, is_moderator)
        (entry,) = AuditEntry.objects.filter(action=f"user.moderator_{action}")
        assert (entry.actor_id, entry.target_id) == (admin.pk, str(creator.pk))
    assert client_for(creator).get("/api/v1/auth/me").json()["is_moderator"] is False


def test_an_administrator_who_is_no_moderator_any_more_keeps_the_admin_site(client_for, admin):
    path = f"{URL}{admin.pk}/moderator"
    client_for(admin).patch(path, {"is_moderator": True})
    client_for(admin).patch(path, {"is_moderator": False})
    admin.refresh_from_db()
    assert (admin.is_moderator, admin.is_staff) == (False, True)


def test_a_moderator_who_loses_a_role_keeps_the_admin_site(client_for, admin, make_user):
    other = make_user("ADMIN")
    client_for(admin).patch(f"{URL}{other.pk}/moderator", {"is_moderator": True})
    client_for(admin).patch(f"{URL}{other.pk}/role", {"role": "VIEWER"})
    other.refresh_from_db()
    assert (other.role_name, other.is_moderator, other.is_staff) == ("VIEWER", True, True)


@pytest.mark.parametrize("body", [{}, {"is_moderator": "maybe"}, {"is_moderator": None}, []])
def test_what_says_nothing_of_a_moderator_is_refused(client_for, admin, viewer, body):
    answer = client_for(admin).patch(f"{URL}{viewer.pk}/moderator", body)
    assert answer.status_code == 400
    viewer.refresh_from_db()
    assert (viewer.is_moderator, viewer.is_staff) == (False, False)


def test_an_unknown_user_becomes_no_moderator(client_for, admin):
    path = f"{URL}00000000-0000-7000-8000-000000000000/moderator"
    assert client_for(admin).patch(path, {"is_moderator": True}).status_code == 404
