"""Each change of an account is recorded: by whom, about whom, and in the transaction of the change."""

import pytest
from django.test import RequestFactory

import audit.services as audit
from accounts import services, tokens
from accounts.models import RefreshFamily, User
from accounts.roles import Role
from accounts.signals import user_deactivated
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
    (change_profile, "user.profile_changed", False, {}),
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


def test_a_wrong_password_is_recorded_without_a_person(client_for, ann):
    client_for().post("/api/v1/auth/login", {"email": ann.email, "password": NEW})

    entry = AuditEntry.objects.get(action="login.failed")
    assert (entry.actor_id, entry.target_type, entry.target_id) == (None, "", "")


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
