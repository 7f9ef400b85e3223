"""The accounts at a provider that open one's account: listed, and unlinked with the password."""

import uuid

import pytest
from django.urls import reverse

from accounts import identities
from accounts.models import ProviderIdentity, SignInCode
from accounts.signals import identity_unlinked
from audit.models import AuditEntry
from config.tests.threads import at_once

pytestmark = pytest.mark.django_db
URL = "/api/v1/auth/me/identities"
ISSUER = "https://id.example"
PASSWORD = "a long pass phrase"
BODY = {"current_password": PASSWORD}


@pytest.fixture
def ann(make_user, settings):
    settings.OIDC_ISSUER, settings.OIDC_NAME = ISSUER, "Example ID"
    return make_user(email="ann@example.com", password=PASSWORD)


@pytest.fixture
def linked(ann):
    """Return a function that links an account at the provider to a user."""

    def make(user=ann, issuer=ISSUER):
        subject = f"person-{user.pk}"
        return ProviderIdentity.objects.create(user=user, issuer=issuer, subject=subject)

    return make


def refused(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["code"]


def facts() -> list:
    entries = AuditEntry.objects.filter(action="identity.unlinked")
    return [list(ProviderIdentity.objects.order_by("pk").values()), entries.count()]


def test_the_list_has_ones_own_alone(client_for, ann, linked, make_user):
    linked(make_user())
    former = linked(issuer="https://former.example")
    present = linked()

    answer = client_for(ann).get(URL)

    found = [(row["id"], row["provider"], row["issuer"]) for row in answer.json()["results"]]
    assert found == [
        (str(present.pk), "Example ID", ISSUER),
        (str(former.pk), "https://former.example", "https://former.example"),
    ]
    assert "subject" not in answer.json()["results"][0]


def test_unlinking_is_recorded_told_and_ends_what_was_handed_over(client_for, ann, linked):
    identity = linked()
    identities.hand_over(ann)
    heard = []
    identity_unlinked.connect(
        lambda sender, user, identity_id, **kwargs: heard.append((user, identity_id)),
        weak=False,
        dispatch_uid="t",
    )
    client = client_for(ann)

    try:
        assert client.delete(f"{URL}/{identity.pk}", BODY).status_code == 204
    finally:
        identity_unlinked.disconnect(dispatch_uid="t")

    assert not ProviderIdentity.objects.exists()
    assert not SignInCode.objects.exists()
    entry = AuditEntry.objects.get(action="identity.unlinked")
    assert (entry.actor_id, entry.target_id, entry.data["issuer"]) == (ann.pk, str(ann.pk), ISSUER)
    assert heard == [(ann, identity.pk)]
    assert client.get(URL).json()["results"] == []
    assert refused(client.delete(f"{URL}/{identity.pk}", BODY)) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "required"),
        ({"current_password": "a wrong pass phrase"}, 400, "wrong_password"),
        ({"current_password": 7}, 400, "wrong_password"),
    ],
)
def test_without_the_password_nothing_changes(client_for, ann, linked, body, status, code):
    identity, before = linked(), facts()

    assert refused(client_for(ann).delete(f"{URL}/{identity.pk}", body)) == (status, code)
    assert facts() == before


def test_a_second_factor_is_asked_for(client_for, ann, linked, phone_of):
    identity, phone = linked(), phone_of(ann)
    before, client = facts(), client_for(ann)

    for code in ({}, {"totp": "000000"}):
        assert refused(client.delete(f"{URL}/{identity.pk}", BODY | code)) == (400, "totp_wrong")
    assert facts() == before
    body = BODY | {"totp": phone.next()}
    assert client.delete(f"{URL}/{identity.pk}", body).status_code == 204


def test_the_only_way_to_sign_in_stays(client_for, ann, linked):
    ann.set_unusable_password()
    ann.save()
    identity, before = linked(), facts()

    answer = client_for(ann).delete(f"{URL}/{identity.pk}", BODY)

    assert refused(answer) == (409, "last_sign_in")
    assert facts() == before


def test_that_of_another_user_is_not_there(client_for, ann, linked, make_user):
    identity, before = linked(make_user()), facts()

    for pk in (identity.pk, uuid.uuid4()):
        assert refused(client_for(ann).delete(f"{URL}/{pk}", BODY)) == (404, "not_found")
    assert facts() == before


@pytest.mark.django_db(transaction=True)
def test_two_calls_at_once_unlink_once(client_for, ann, linked):
    identity = linked()
    clients = [client_for(ann), client_for(ann)]

    answers = at_once(
        2, lambda number: clients[number].delete(f"{URL}/{identity.pk}", BODY).status_code
    )

    assert sorted(answers) == [204, 404]
    assert AuditEntry.objects.filter(action="identity.unlinked").count() == 1


def test_the_admin_site_shows_them(client, admin, ann, linked):
    identity = linked()
    client.force_login(admin)

    for path in (
        reverse("admin:accounts_provideridentity_changelist") + "?q=ann@example.com",
        reverse("admin:accounts_provideridentity_change", args=[identity.pk]),
    ):
        page = client.get(path)
        assert page.status_code == 200
        assert identity.subject in page.content.decode()
