"""The OpenAPI document and its pages."""

import json
import re

import pytest
from django.core.management import call_command

from config.tests import contract

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
        assert codes & {"200", "201", "202", "204", "302"}, name
        assert codes >= {"400", "403", "429", "500", "503"}, name
        assert operation["x-error-codes"], name


def test_every_operation_and_answer_has_a_sentence_and_every_group_one(document):
    described = {tag["name"] for tag in document["tags"] if tag["description"].endswith(".")}
    for name, operation in operations(document):
        text = operation["description"].partition("Errors:")[0].strip()
        assert text.endswith((".", "`")), f"{name} has no description of its own"
        assert set(operation["tags"]) <= described, name
        for status, answer in operation["responses"].items():
            assert "$ref" in answer or answer["description"].endswith("."), f"{name} {status}"


def test_every_body_has_an_example_that_fits_its_schema(document):
    for name, operation in operations(document):
        answers = [
            answer for status, answer in operation["responses"].items() if status.startswith("2")
        ]
        for body in [operation.get("requestBody", {}), *answers]:
            content = body.get("content", {}).get("application/json")
            if content is None:
                continue
            named = [each["value"] for each in content.get("examples", {}).values()]
            examples = named or [content["example"]]
            validator = contract.validator(content["schema"])
            for example in examples:
                faults = [error.message for error in validator.iter_errors(example)]
                assert not faults, f"{name}: {faults} in {example}"


def test_errors_have_one_body(document):
    names = set(document["components"]["schemas"])
    assert {name for name in names if "Error" in name} == {
        "Error",
        "ErrorDetail",
        "ProcessingError",
    }
    for name, answer in document["components"]["responses"].items():
        schema = answer["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Error"}, name


def test_viewers_are_not_promised_the_owners_fields(document):
    schemas = document["components"]["schemas"]
    private = {"processing", "source", "deleted_at", "moderation"}

    assert private <= set(schemas["Video"]["properties"])
    assert not private & set(schemas["Video"]["required"])
    assert private <= set(schemas["OwnVideo"]["required"])


def test_a_reference_that_may_be_null_says_so(document):
    """Generated clients crash on a null that they overlook."""
    schemas = document["components"]["schemas"]
    assert schemas["PurchaseAnswer"]["properties"]["next_action"] == {
        "oneOf": [{"$ref": "#/components/schemas/NextAction"}, {"type": "null"}]
    }
    assert schemas["Video"]["properties"]["poster_url"]["type"] == ["string", "null"]
    assert "nullable" not in json.dumps(document)


def test_an_operation_with_several_kinds_of_bodies_has_an_optional_parameter(document):
    """openapi-python-client makes a module that cannot be imported otherwise."""
    several = {
        name: operation
        for name, operation in operations(document)
        if len(operation.get("requestBody", {}).get("content", {})) > 1
    }
    assert set(several) == {
        "POST /api/v1/auth/login",
        "POST /api/v1/uploads/",
        "POST /api/v1/videos/",
        "POST /api/v1/videos/{video_id}/captions/",
        "PATCH /api/v1/videos/{video_id}/captions/{id}",
        "PUT /api/v1/videos/{video_id}/poster",
    }
    for name, operation in several.items():
        assert any(not each.get("required") for each in operation["parameters"]), name


def test_a_heartbeat_is_sent_with_a_token_or_a_grant(document):
    heartbeat = document["paths"]["/api/v1/stream/sessions/{id}/heartbeat"]["post"]

    assert heartbeat["security"] == [{"password": []}, {"bearer": []}, {}]
    assert "Playback-Grant" in {parameter["name"] for parameter in heartbeat["parameters"]}


def test_no_operation_is_described_by_a_base_class(document):
    for name, operation in operations(document):
        assert "rate_group" not in operation.get("description", ""), name


WITHOUT_TOKEN = {"login", "register", "refresh", "logout", "forgot", "reset", "verify"}


def test_only_routes_before_sign_in_ask_for_no_token(document):
    for name, operation in operations(document):
        wants = (
            [list(option) for option in operation["security"]] if "security" in operation else []
        )
        if name.split("/")[-1] in WITHOUT_TOKEN:
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
    assets = [asset for asset in assets if not asset.startswith("data:")]
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
