"""Errors outside the API are a page for browsers and JSON for other clients; small files at the root."""

import pytest
from django.test import Client

from config.headers import PAGE

pytestmark = pytest.mark.django_db
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize("method", ["get", "post", "head", "delete"])
@pytest.mark.parametrize("path", ["/nothing", "/watch", "/watch/a/b", "/static/none.css", "/%00"])
def test_a_browser_gets_a_page_for_a_wrong_address(client, method, path):
    answer = getattr(client, method)(path, HTTP_ACCEPT=BROWSER)

    assert (answer.status_code, answer["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert answer["Content-Security-Policy"] == PAGE
    assert "Accept" in answer["Vary"]
    if method != "head":
        assert b"<h1>There is no resource at this address.</h1>" in answer.content


@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "image/*", "text/plain", "x"])
def test_other_clients_get_json(client, accept):
    answer = client.get("/nothing", HTTP_ACCEPT=accept)

    assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")
    assert answer.json()["errors"][0]["code"] == "not_found"


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/", "/api/v1/videos/0"])
def test_the_api_answers_a_browser_with_json(client, path):
    answer = client.get(path, HTTP_ACCEPT=BROWSER)

    assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")


def test_a_wrong_host_of_the_api_is_json_for_a_browser_too(client):
    answer = client.get("/api/v1/videos/", HTTP_HOST="evil.example", HTTP_ACCEPT=BROWSER)

    assert (answer.status_code, answer["Content-Type"]) == (400, "application/json")


def test_a_wrong_host_is_a_page_for_a_browser(client):
    answer = client.get("/", HTTP_HOST="evil.example", HTTP_ACCEPT=BROWSER)

    assert (answer.status_code, answer["Content-Type"]) == (400, "text/html; charset=utf-8")
    assert b"does not answer to the name evil.example" in answer.content
    assert b"//evil" not in answer.content


@pytest.mark.parametrize("accept", [BROWSER, "application/json"])
def test_a_failure_of_the_service_is_answered_in_both_forms(monkeypatch, accept):
    def fail(*args):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("streaming.pages._open_to_all", fail)

    answer = Client(raise_request_exception=False).get("/", HTTP_ACCEPT=accept)

    assert answer.status_code == 500
    assert accept.startswith(answer["Content-Type"].partition(";")[0])
    assert b"The service failed to answer this request." in answer.content
    assert b"secret" not in answer.content


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/admin", "/admin/"),
        ("/admin/login", "/admin/login/?next=/admin/login"),
        ("/admin?x=1", "/admin/?x=1"),
    ],
)
def test_the_admin_site_is_found_without_the_last_slash(client, path, target):
    answer = client.get(path)

    assert (answer.status_code, answer["Location"]) in {(301, target), (302, target)}


def test_an_admin_page_is_found_without_the_last_slash(admin_client):
    answer = admin_client.get("/admin/videos/video?q=fog")

    assert (answer.status_code, answer["Location"]) == (301, "/admin/videos/video/?q=fog")


def test_a_wrong_address_of_the_admin_site_is_a_page(admin_client):
    answer = admin_client.get("/admin/nothing/", HTTP_ACCEPT="*/*")

    assert (answer.status_code, answer["Content-Type"]) == (404, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/favicon.ico", "image/x-icon"), ("/robots.txt", 'text/plain; charset="utf-8"')],
)
def test_small_files_that_every_visitor_asks_for_exist(client, path, content_type):
    answer = client.get(path)

    assert answer.status_code == 200
    assert answer["Content-Type"].replace("vnd.microsoft.icon", "x-icon") == content_type
    assert b"".join(answer.streaming_content)


def test_robots_may_read_the_pages_and_not_the_api(client):
    text = b"".join(client.get("/robots.txt").streaming_content).decode()

    assert "Disallow: /api/\n" in text
    assert "Disallow: /\n" not in text


def test_a_method_that_a_page_does_not_know_is_an_error_with_a_body(client):
    page = client.post("/", HTTP_ACCEPT=BROWSER)
    api = client.get("/api/v1/payments/webhooks/sandbox")

    assert (page.status_code, api.status_code) == (405, 405)
    assert b"cannot be asked with POST" in page.content
    assert "GET" in page["Allow"]
    assert api.json()["errors"][0]["code"] == "method_not_allowed"
    assert api["Allow"] == "POST"
