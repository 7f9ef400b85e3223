"""The API sets no cookie, whatever cookies the request has; the pages have Django's protection."""

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db
DAMAGED = {"csrftoken": "x"}


@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "options"])
@pytest.mark.parametrize("path", ["/api/v1/videos/", "/api/v1/auth/login", "/api/v1/nothing"])
def test_a_damaged_cookie_gets_no_new_one_from_the_api(client, method, path):
    client.cookies.load(DAMAGED)

    assert not getattr(client, method)(path).cookies


def test_a_form_of_another_site_is_refused_on_a_page(make_user):
    """The exception for the API opens nothing else."""
    client = Client(enforce_csrf_checks=True)
    answer = client.post("/admin/login/", {"username": "a", "password": "b"})

    assert answer.status_code == 403
    assert client.get("/admin/login/").cookies
