"""Each change of an account is recorded: by whom, about whom, and in the transaction of the change."""

import hashlib
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import RequestFactory

import audit.services as audit
from accounts import services, tokens
from accounts.models import RefreshFamily, User
from accounts.roles import Role
from accounts.signals import user_deactivated
from audit import addresses
from audit.models import AuditEntry

pytestmark = pytest.mark.django_db
OLD, NEW = "a long pass phrase", "quite another phrase"


@pytest.fixture
def ann(make_user):
    return make_user(email="ann@example.com", password=OLD, display_name="Ann")


def sign_in(ann, admin):
    services.sign_in(RequestFactory().post("/"), email=ann.email, password=OLD)


def sign_out(ann, admin):
    services.sign_out(refresh_token=tokens.issue(ann).refresh)


def change_password(ann, admin):
    services.change_password(user=ann, current_password=OLD, new_password=NEW)


def change_profile(ann, admin):
    services.change_profile(user=ann, display_name="Anna")


def set_role(ann, admin):
    services.set_role(user_id=ann.pk, role=Role.CREATOR, actor=admin)


def deactivate(ann, admin):
    services.set_active(user_id=ann.pk, is_active=False, actor=admin)


def activate(ann, admin):
    User.objects.filter(pk=ann.pk).update(is_active=False)
    services.set_active(user_id=ann.pk, is_active=True, actor=admin)


def register(ann, admin):
    services.register(email="new@example.com", password=OLD, display_name="New")


def steal(ann, admin):
    old = tokens.issue(ann)
    tokens.rotate(tokens.rotate(old.refresh).refresh)
    with pytest.raises(tokens.TokenReused):
        tokens.rotate(old.refresh)


# The change, its action, whether an administrator did it (otherwise the user), and its data.
CHANGES = [
    (sign_in, "login.succeeded", False, {}),
    (sign_out, "user.logged_out", False, {}),
    (change_profile, "user.profile_changed", False, {"changes": {"display_name": {}}}),
    (set_role, "user.role_changed", True, {"before": "VIEWER", "after": "CREATOR"}),
    (deactivate, "user.deactivated", True, {}),
    (activate, "user.activated", True, {}),
    (steal, "refresh.reused", False, {}),
]


@pytest.mark.parametrize(("change", "action", "by_admin", "data"), CHANGES)
def test_a_change_is_recorded_with_the_person_and_the_account(
    ann, admin, change, action, by_admin, data
):
    change(ann, admin)

    entry = AuditEntry.objects.get(action=action)
    assert entry.actor_id == (admin.pk if by_admin else ann.pk)
    assert (entry.target_type, entry.target_id) == ("user", str(ann.pk))
    assert entry.data == data


def test_a_registration_is_recorded_as_the_new_users(ann):
    new = services.register(email="new@example.com", password=OLD, display_name="New")

    entry = AuditEntry.objects.get(action="user.registered")
    assert (entry.actor_id, entry.target_id) == (new.pk, str(new.pk))
    assert new.display_name == "New"


def try_api(client, email):
    body = {"email": email, "password": NEW}
    client.post("/api/v1/auth/login", body, content_type="application/json")


def try_oauth_form(client, email):
    form = f"username={quote(email)}&password={quote(NEW)}"
    client.post("/api/v1/auth/login", form, content_type="application/x-www-form-urlencoded")


def try_admin_site(client, email):
    client.post("/admin/login/", {"username": email, "password": NEW})


DOORS = [try_api, try_oauth_form, try_admin_site]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("spelling", ["ann@example.com", "Ann@Example.COM "])
def test_a_failed_sign_in_names_the_account_that_was_tried(client, ann, door, spelling):
    door(client, spelling)

    entry = AuditEntry.objects.get(action="login.failed")
    assert (entry.actor_id, entry.target_type, entry.target_id) == (None, "user", str(ann.pk))


def test_the_account_of_a_deactivated_user_is_named_too(client, ann):
    User.objects.filter(pk=ann.pk).update(is_active=False)
    try_api(client, ann.email)

    assert AuditEntry.objects.get(action="login.failed").target_id == str(ann.pk)


def test_an_address_without_an_account_is_a_keyed_hash_at_every_door(client, ann, settings):
    for door in DOORS:
        door(client, "bob@example.com")
    try_api(client, "BOB@EXAMPLE.com")
    try_api(client, "eve@example.com")

    entries = AuditEntry.objects.filter(action="login.failed")
    assert set(entries.values_list("target_type", flat=True)) == {"address"}
    bob, eve = addresses.named("bob@example.com").id, addresses.named("eve@example.com").id
    assert sorted(entries.values_list("target_id", flat=True)) == sorted([bob] * 4 + [eve])
    stored = repr(list(AuditEntry.objects.values()))
    assert "bob" not in stored.lower()
    assert hashlib.sha256(b"bob@example.com").hexdigest()[:40] not in stored
    settings.ADDRESS_NAME_KEY = b"another key"
    assert addresses.named("bob@example.com").id != bob


def test_the_form_of_the_admin_site_records_whose_name_an_administrator_changed(client, ann, admin):
    client.force_login(admin)
    url = f"/admin/accounts/user/{ann.pk}/change/"
    assert client.post(url, {"display_name": "Annie"}).status_code == 302

    ann.refresh_from_db()
    assert ann.display_name == "Annie"
    entry = AuditEntry.objects.get(action="user.profile_changed")
    assert (entry.actor_id, entry.target_id) == (admin.pk, str(ann.pk))
    assert "Annie" not in repr(entry.data)
    client.post(url, {"display_name": "Annie"})
    assert AuditEntry.objects.filter(action="user.profile_changed").count() == 1


def test_a_sign_out_of_the_admin_site_is_recorded_once(client, admin):
    client.force_login(admin)
    for _ in range(2):
        client.post("/admin/logout/")

    entry = AuditEntry.objects.get(action="user.logged_out")
    assert (entry.actor_id, entry.target_id) == (admin.pk, str(admin.pk))


def test_the_first_administrator_and_the_roles_are_recorded_once(db, settings):
    User.objects.filter(email=settings.DEFAULT_ADMIN_EMAIL).delete()
    Group.objects.get(name=Role.CREATOR).permissions.clear()
    before = set(AuditEntry.objects.values_list("pk", flat=True))

    for _ in range(2):
        call_command("seed", verbosity=0)

    new = AuditEntry.objects.exclude(pk__in=before)
    root = User.objects.get(email=settings.DEFAULT_ADMIN_EMAIL)
    assert new.get(action="user.registered").target_id == str(root.pk)
    defined = new.get(action="role.defined")
    assert (defined.data["role"], defined.data["taken"]) == ("CREATOR", [])
    assert "videos.add_video" in defined.data["given"]


@pytest.mark.django_db(transaction=True)
def test_a_password_that_cannot_be_recorded_is_not_set_by_any_door(ann, monkeypatch):
    def fails(**kwargs):
        raise RuntimeError("the log is full")

    monkeypatch.setattr(audit, "record", fails)
    ann.set_password(NEW)  # what the admin site's form and `manage.py changepassword` do
    with pytest.raises(RuntimeError):
        ann.save()

    assert User.objects.get(pk=ann.pk).check_password(OLD)


@pytest.mark.parametrize(
    "change",
    [sign_in, sign_out, change_password, change_profile, set_role, deactivate, activate, register],
)
@pytest.mark.django_db(transaction=True)
def test_a_change_that_cannot_be_recorded_is_not_made(ann, admin, monkeypatch, change):
    def fails(**kwargs):
        raise RuntimeError("the log is full")

    monkeypatch.setattr(audit, "record", fails)
    before = list(User.objects.order_by("pk").values())

    with pytest.raises(RuntimeError):
        change(ann, admin)

    if change is activate:  # which deactivates the user itself
        assert not User.objects.get(pk=ann.pk).is_active
        return
    assert list(User.objects.order_by("pk").values()) == before
    assert not RefreshFamily.objects.exclude(revoked_at=None).exists()
    assert RefreshFamily.objects.count() == (change is sign_out)


@pytest.mark.django_db(transaction=True)
def test_a_reuse_that_cannot_be_recorded_revokes_nothing(ann, monkeypatch):
    old = tokens.issue(ann)
    tokens.rotate(tokens.rotate(old.refresh).refresh)

    def fails(**kwargs):
        raise RuntimeError("the log is full")

    monkeypatch.setattr(audit, "record", fails)
    with pytest.raises(RuntimeError):
        tokens.rotate(old.refresh)
    assert RefreshFamily.objects.get().revoked_at is None


@pytest.mark.django_db(transaction=True)
def test_a_deactivation_that_an_app_refuses_is_not_made(ann, admin):
    def refuses(sender, user, **kwargs):
        assert (sender, user) == (User, ann)
        raise RuntimeError("no")

    pair = tokens.issue(ann)
    user_deactivated.connect(refuses)
    try:
        with pytest.raises(RuntimeError):
            deactivate(ann, admin)
    finally:
        user_deactivated.disconnect(refuses)
    ann.refresh_from_db()
    assert ann.is_active
    assert tokens.rotate(pair.refresh)


def test_only_a_deactivation_tells_the_apps(ann, admin):
    told = []

    def hears(sender, user, **kwargs):
        told.append(user)

    user_deactivated.connect(hears)
    try:
        deactivate(ann, admin)
        deactivate(ann, admin)
        services.set_active(user_id=ann.pk, is_active=True, actor=admin)
    finally:
        user_deactivated.disconnect(hears)
    assert told == [ann]
