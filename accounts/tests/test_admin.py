"""The pages of users and sign-ins on the admin site: what they show, find and change."""

import re

import pytest
from django.urls import reverse

from accounts import tokens
from accounts.models import RefreshFamily, User
from audit.models import AuditEntry
from config.tests import desk

pytestmark = pytest.mark.django_db
USERS = "/admin/accounts/user/"


@pytest.fixture
def site(client, admin):
    client.force_login(admin)
    return client


def fields_of(answer) -> list[str]:
    """Return the fields of a row's page, in their order."""
    form = answer.context["adminform"]
    return [name for _, options in form.fieldsets for name in options["fields"]]


def listed(site, query: str) -> set[str]:
    """Return the addresses of the users that the list shows."""
    answer = site.get(f"{USERS}?{query}")
    assert answer.status_code == 200
    return {user.email for user in answer.context["cl"].queryset}


def test_the_site_has_its_name(site):
    page = site.get("/admin/").content.decode()

    assert "What needs attention | Video on demand</title>" in page
    assert "<span>Sign-ins</span>" in page


def test_the_roles_are_no_groups_to_edit(site):
    assert site.get("/admin/auth/group/").status_code == 404


def test_the_list_shows_the_facts_of_each_user(site, make_user):
    user = make_user("CREATOR", email="carl@example.com", display_name="The Great Carl")

    answer = site.get(f"{USERS}?q=carl")
    table = answer.content.decode().partition('id="result_list"')[2]

    columns = answer.context["cl"].list_display[1:]
    assert columns == ["email", "display_name", "role", "is_moderator", "is_active", "created_at"]
    for text in (user.email, "The Great Carl", "CREATOR"):
        assert text in table


def test_users_are_found_by_address_and_name_and_filtered(site, make_user):
    make_user("CREATOR", email="carl@example.com", display_name="Great")
    role = make_user(email="vera@example.com", is_active=False, display_name="Vera").role

    assert listed(site, "q=carl@") == {"carl@example.com"}
    assert listed(site, "q=great") == {"carl@example.com"}
    assert listed(site, f"role__id__exact={role.pk}") == {"vera@example.com"}
    assert "carl@example.com" not in listed(site, "is_active__exact=0")
    assert not {"carl@example.com", "vera@example.com"} & listed(site, "is_moderator__exact=1")
    page = site.get(USERS).content.decode()
    for name in ("role__id__exact", "is_active__exact", "is_moderator__exact"):
        assert f"?{name}=" in page


@pytest.mark.parametrize("path", [USERS, "/admin/accounts/refreshfamily/"])
def test_the_lists_need_as_many_queries_for_any_number_of_rows(
    site, make_user, django_assert_max_num_queries, path
):
    counts = []
    for _ in range(2):
        for _ in range(5):
            tokens.issue(make_user())
        site.get(path)
        with django_assert_max_num_queries(100) as queries:
            site.get(path)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_the_page_of_a_user_changes_the_display_name_and_embedding_only(site, viewer):
    path = reverse("admin:accounts_user_change", args=[viewer.pk])
    assert fields_of(site.get(path)) == [
        "id", "email", "email_verified", "display_name", "role", "is_moderator", "is_active",
        "suspended_at", "groups", "second_factor", "embed_domains", "created_at", "last_login",
    ]  # fmt: skip
    before = User.objects.values("email", "role", "is_active", "is_staff").get(pk=viewer.pk)

    form = site.get(path).context["adminform"].form
    assert list(form.fields) == ["display_name", "embed_domains"]

    answer = site.post(
        path,
        {"display_name": "New", "email": "b@example.com", "is_active": "", "is_staff": "on",
         "is_superuser": "on", "password": "x"},
    )  # fmt: skip

    assert answer.status_code == 302
    after = User.objects.get(pk=viewer.pk)
    assert (after.display_name, after.is_superuser) == ("New", False)
    assert after.password == viewer.password
    assert User.objects.values("email", "role", "is_active", "is_staff").get(pk=viewer.pk) == before


def test_users_are_neither_added_nor_deleted(site, viewer):
    assert site.get(f"{USERS}add/").status_code == 403
    assert site.get(f"{USERS}{viewer.pk}/delete/").status_code == 403


@pytest.mark.parametrize(("action", "active"), [("activate", True), ("deactivate", False)])
def test_the_actions_change_the_status_of_the_chosen_users(site, admin, make_user, action, active):
    chosen = [make_user(is_active=not active) for _ in range(2)]
    other = make_user(is_active=not active)

    desk.act(site, action, *chosen)

    assert set(User.objects.filter(pk__in=[u.pk for u in chosen], is_active=active)) == set(chosen)
    assert User.objects.get(pk=other.pk).is_active is not active
    entries = AuditEntry.objects.filter(action=f"user.{action}d")
    assert set(entries.values_list("actor_id", "target_id")) == {
        (admin.pk, str(user.pk)) for user in chosen
    }


@pytest.mark.parametrize(
    ("action", "role"),
    [("make_viewer", "VIEWER"), ("make_creator", "CREATOR"), ("make_administrator", "ADMIN")],
)
def test_the_actions_change_the_role_of_the_chosen_users(site, admin, make_user, action, role):
    chosen = [make_user("CREATOR" if role == "VIEWER" else "VIEWER") for _ in range(2)]

    answer = desk.act(site, action, *chosen)

    assert ": 2." in answer.content.decode()
    assert {User.objects.get(pk=user.pk).role_name for user in chosen} == {role}
    entries = AuditEntry.objects.filter(action="user.role_changed")
    assert set(entries.values_list("actor_id", "target_id")) == {
        (admin.pk, str(user.pk)) for user in chosen
    }


def test_the_last_administrator_is_named_and_keeps_the_role(site, admin):
    User.objects.filter(role__name="ADMIN").exclude(pk=admin.pk).update(is_active=False)

    answer = desk.act(site, "make_viewer", admin)

    assert "last active administrator" in answer.content.decode()
    assert "Made viewer" not in answer.content.decode()
    assert User.objects.get(pk=admin.pk).role_name == "ADMIN"


def test_a_moderator_is_appointed_and_dismissed(site, viewer):
    desk.act(site, "appoint_moderator", viewer)
    appointed = User.objects.get(pk=viewer.pk)
    assert (appointed.is_moderator, appointed.is_staff, appointed.role_name) == (
        True,
        True,
        "VIEWER",
    )

    desk.act(site, "dismiss_moderator", viewer)
    dismissed = User.objects.get(pk=viewer.pk)
    assert (dismissed.is_moderator, dismissed.is_staff) == (False, False)


def test_the_actions_have_names(site, viewer):
    page = site.get(USERS).content.decode()

    assert re.findall(r'<option value="(\w+)">([^<]+)</option>', page) == [
        ("make_viewer", "Make viewer …"),
        ("make_creator", "Make creator …"),
        ("make_administrator", "Make administrator …"),
        ("appoint_moderator", "Appoint moderator …"),
        ("dismiss_moderator", "Dismiss as moderator …"),
        ("activate", "Activate …"),
        ("deactivate", "Deactivate …"),
        ("reset_second_factor", "Take the second factor away …"),
        ("erase", "Erase …"),
    ]


def test_an_account_is_erased_after_its_question(site, admin, viewer):
    answer = desk.act(site, "erase", viewer)

    assert "Erased" in answer.content.decode()
    erased = User.objects.get(pk=viewer.pk)
    assert (erased.email, erased.is_active) == (f"{viewer.pk.hex}@erased.invalid", False)
    entry = AuditEntry.objects.get(action="user.erasure_begun")
    assert (entry.actor_id, entry.target_id) == (admin.pk, str(viewer.pk))
    assert entry.data["admin_reason"]
    desk.act(site, "erase", viewer)  # again changes nothing
    assert AuditEntry.objects.filter(action="user.erasure_begun").count() == 1


def test_sign_ins_are_shown_and_never_changed(site, viewer):
    tokens.issue(viewer)
    family = RefreshFamily.objects.get()
    base = "/admin/accounts/refreshfamily/"

    listed = site.get(base)
    shown = site.get(f"{base}{family.pk}/change/")

    columns = listed.context["cl"].list_display
    assert columns == ["user", "created_at", "expires_at", "revoked_at"]
    assert fields_of(shown) == columns
    assert family.current not in (listed.content + shown.content).decode()
    assert site.get(f"{base}add/").status_code == 403
    assert site.get(f"{base}{family.pk}/delete/").status_code == 403
    assert site.post(f"{base}{family.pk}/change/", {"revoked_at": ""}).status_code == 403


@pytest.mark.parametrize("form", [{}, {"username": "a@example.com"}, {"password": "x"}])
def test_half_a_sign_in_is_asked_for_again(client, form):
    answer = client.post("/admin/login/", form)

    assert (answer.status_code, "_auth_user_id" in client.session) == (200, False)
    assert "This field is required." in answer.content.decode()
    assert not AuditEntry.objects.filter(action="login.failed").exists()


class TestEmbedding:
    """The sites that may embed a creator's videos, with the checks of the API."""

    @pytest.fixture
    def carl(self, make_user):
        user = make_user("CREATOR", email="carl@example.com", display_name="Carl")
        User.objects.filter(pk=user.pk).update(embed_domains=["old.example"])
        return user

    def save(self, site, user, sites: str):
        path = reverse("admin:accounts_user_change", args=[user.pk])
        return site.post(path, {"display_name": "Carl", "embed_domains": sites}, follow=True)

    def test_the_page_shows_and_changes_them(self, site, carl, admin):
        path = reverse("admin:accounts_user_change", args=[carl.pk])
        assert b"old.example" in site.get(path).content

        self.save(site, carl, "Blog.Example.com\n*.example.org, blog.example.com  münchen.example")

        carl.refresh_from_db()
        domains = ["blog.example.com", "*.example.org", "xn--mnchen-3ya.example"]
        assert carl.embed_domains == domains
        entry = AuditEntry.objects.get(action="user.profile_changed")
        assert entry.actor_id == admin.pk
        assert entry.data["changes"]["embed_domains"] == {
            "before": ["old.example"],
            "after": domains,
        }
        self.save(site, carl, "\n".join(domains))
        assert AuditEntry.objects.filter(action="user.profile_changed").count() == 1

        self.save(site, carl, "")
        carl.refresh_from_db()
        assert carl.embed_domains == []

    @pytest.mark.parametrize(
        "wrong",
        ["https://a.example", "a.example:80", "-x", " ".join(f"a{n}.example" for n in range(51))],
    )
    def test_what_the_api_refuses_is_refused(self, site, carl, wrong):
        answer = self.save(site, carl, wrong)

        assert answer.context["adminform"].form.errors.keys() == {"embed_domains"}
        carl.refresh_from_db()
        assert carl.embed_domains == ["old.example"]
        assert not AuditEntry.objects.filter(action="user.profile_changed").exists()
