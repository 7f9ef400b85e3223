"""The OpenAPI document and its pages."""

import re

import pytest
from django.core.management import call_command

pytestmark = pytest.mark.django_db

METHODS = {"get", "post", "put", "patch", "delete"}


served: dict[str, dict] = {}


@pytest.fixture
def document(client) -> dict:
    """The document as the service sends it, asked for once in each test process."""
    url = "/api/schema/?format=json"
    if url not in served:
        served[url] = dict(client.get(url, HTTP_ACCEPT="application/json").json())
    return served[url]


def operations(document: dict):
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            yield f"{method.upper()} {path}", item[method]


@pytest.mark.sweep
def test_it_validates_without_a_warning(tmp_path):
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "schema.yml"))


def test_every_operation_has_a_summary_and_documents_its_errors(document):
    for name, operation in operations(document):
        assert operation.get("summary"), name
        codes = set(operation["responses"])
        assert codes & {"200", "201", "204", "302"}, name
        assert codes & {"400", "401", "403", "404", "415"}, name


def test_no_operation_is_described_by_a_base_class(document):
    for name, operation in operations(document):
        assert "rate_group" not in operation.get("description", ""), name


def test_only_routes_before_sign_in_ask_for_no_token(document):
    for name, operation in operations(document):
        wants = (
            [list(option) for option in operation["security"]] if "security" in operation else []
        )
        if name.split("/")[-1] in {"login", "register", "refresh", "logout"}:
            assert wants in ([], [[]]), name
        elif "/users/" in name or "/audit/" in name:
            assert wants, name
            assert [] not in wants, name


def test_the_authorize_button_can_sign_in(document):
    schemes = document["components"]["securitySchemes"]
    flows = [scheme["flows"] for scheme in schemes.values() if scheme["type"] == "oauth2"]

    assert flows == [
        {
            "password": {
                "tokenUrl": "/api/v1/auth/login",
                "refreshUrl": "/api/v1/auth/refresh",
                "scopes": {},
            }
        }
    ]
    body = document["paths"]["/api/v1/auth/login"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "application/x-www-form-urlencoded"}


def test_lists_document_their_pages(document):
    for path in ("/api/v1/videos/", "/api/v1/users/", "/api/v1/audit/"):
        operation = document["paths"][path]["get"]
        names = {parameter["name"] for parameter in operation["parameters"]}
        assert {"cursor", "page_size", "ordering"} <= names


@pytest.mark.parametrize("page", ["docs", "redoc"])
def test_the_pages_load_nothing_from_other_hosts(client, page):
    answer = client.get(f"/api/{page}/")
    html = answer.content.decode()

    assert answer.status_code == 200
    assets = re.findall(r"""(?:src|href)=["']([^"']+)["']""", html)
    assert assets
    for asset in assets:
        assert not re.match(r"(https?:)?//", asset), asset
        loaded = client.get(asset.replace("&amp;", "&"))
        assert loaded.status_code == 200, asset
        body = b"".join(loaded) if loaded.streaming else loaded.content
        # ReDoc's own hosts: an address of a picture or a script there would be loaded.
        assert b"//cdn." not in body, asset
    assert not re.search(r"""url\(["']?(https?:)?//""", html)
    assert not re.search(r"fonts\.googleapis|cdn\.|unpkg|jsdelivr", html)


def test_the_script_of_the_page_calls_only_this_host(client):
    html = client.get("/api/docs/").content.decode()
    scripts = re.findall(r'<script src="(/api/docs/[^"]+)"', html)

    assert scripts
    for script in scripts:
        source = client.get(script.replace("&amp;", "&")).content.decode()
        assert "https://" not in source
        assert "http://" not in source.replace("http://testserver", "")
