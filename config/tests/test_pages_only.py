"""The middleware of pages leaves requests of the API alone, and does for them what they need."""

import pytest

pytestmark = pytest.mark.django_db

LIST = "/api/v1/videos/"


@pytest.fixture
def admin_client(client, make_user):
    client.force_login(make_user(role="ADMIN"))
    return client


def test_a_session_of_the_admin_site_is_nobody_in_the_api(
    admin_client, settings, django_assert_num_queries
):
    settings.AUDIT_READS = False
    assert admin_client.get("/admin/").status_code == 200
    with django_assert_num_queries(0):
        answer = admin_client.get("/api/v1/auth/me")
    assert answer.status_code == 401
    assert not answer.cookies


@pytest.mark.parametrize("path", [LIST, "/api/v1/nothing", "/admin/login/"])
def test_an_unknown_host_is_refused_everywhere(client, path):
    answer = client.get(path, HTTP_HOST="evil.example")
    assert answer.status_code == 400
    assert b"evil.example" in answer.content


@pytest.mark.parametrize("path", [LIST, "/api/v1/nothing", "/admin/login/"])
def test_every_answer_says_its_length(client, path):
    answer = client.get(path)
    assert answer["Content-Length"] == str(len(answer.content))


@pytest.mark.parametrize("origin", [None, "https://player.example"])
@pytest.mark.parametrize("path", [LIST, f"{LIST}?tag=fog", "/api/v1/nothing"])
def test_caches_are_told_that_answers_vary_by_origin(client, path, origin):
    headers = {"origin": origin} if origin else {}
    answer = client.get(path, headers=headers)
    assert "origin" in answer["Vary"].lower()
    assert answer.get("Access-Control-Allow-Origin") == ("*" if origin else None)
