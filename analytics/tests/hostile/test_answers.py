"""The judge of hostile requests finds each kind of fault, and nothing in good answers."""

import json

import pytest

from analytics.tests.hostile.answers import faults_of

ID = {"X-Request-ID": "0123456789abcdef"}
ERROR = {"code": "not_found", "detail": "There is nothing at this address.", "attr": None}


def judge(status, errors=(ERROR,), *, method="GET", path="/api/v1/videos/x", **headers) -> str:
    body = json.dumps({"type": "client_error", "errors": list(errors)}).encode()
    headers = {"Content-Type": "application/json", **ID, **headers}
    return " ".join(faults_of(method, path, status, headers, body))


def test_a_declared_error_has_no_fault():
    assert judge(404) == ""
    assert judge(503, [{**ERROR, "code": "unavailable"}], **{"Retry-After": "5"}) == ""


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ("The status is 500.", {"status": 500, "errors": [{**ERROR, "code": "error"}]}),
        ("The status is 503.", {"status": 503, "errors": [{**ERROR, "code": "unavailable"}]}),
        ("the status 418 is not declared", {"status": 418}),
        ("the code odd is not declared", {"status": 404, "errors": [{**ERROR, "code": "odd"}]}),
        ("the header x-odd is not declared", {"status": 404, "X-Odd": "1"}),
        ("the header set-cookie is not declared", {"status": 404, "Set-Cookie": "a=b"}),
        ("has not the common body", {"status": 404, "errors": [{"code": "not_found"}]}),
        ("has not the common body", {"status": 404, "path": "/x", "Content-Type": "text/plain"}),
        ("site-packages", {"status": 404, "errors": [{**ERROR, "detail": "/x/site-packages/y"}]}),
        (
            "SELECT",
            {"status": 404, "errors": [{**ERROR, "detail": 'SELECT "id" FROM "users" WHERE'}]},
        ),
        ("Traceback", {"status": 404, "errors": [{**ERROR, "detail": "Traceback (most recent"}]}),
    ],
)
def test_each_kind_of_fault_is_found(fault, answer):
    assert fault in judge(**answer)


def test_an_answer_without_an_id_and_one_that_is_no_json():
    assert "has no X-Request-ID" in " ".join(faults_of("GET", "/x", 200, {}, b""))
    found = faults_of(
        "GET", "/api/v1/videos/", 200, {**ID, "Content-Type": "application/json"}, b"<"
    )
    assert "is not JSON" in " ".join(found)
