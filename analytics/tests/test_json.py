"""Strict JSON: everything that two readers could understand differently is refused."""

import json

import pytest

from videos.models import Video

pytestmark = pytest.mark.django_db

URL = "/api/v1/videos/"
TOO_DEEP = "[" * 100_000 + "]" * 100_000


def post(client, body, content_type="application/json"):
    return client.post(URL, body, content_type=content_type)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(TOO_DEEP, id="deep"),
        pytest.param('{"a":' * 5000 + "1" + "}" * 5000, id="deep-objects"),
        pytest.param('{"title": "A", "tags": ' + "[" * 17 + "]" * 17 + "}", id="17-levels"),
        pytest.param('{"title": "A", "ignored": NaN}', id="nan"),
        pytest.param('{"title": "A", "ignored": Infinity}', id="infinity"),
        pytest.param('{"title": "A", "ignored": -Infinity}', id="minus-infinity"),
        pytest.param('{"title": "A", "ignored": 1e400}', id="1e400"),
        pytest.param('{"title": "A", "ignored": -1e400}', id="-1e400"),
        pytest.param('{"title": "A", "price": ' + "9" * 5000 + "}", id="5000-digits"),
        pytest.param('{"title": "A", "price": 9223372036854775808}', id="2**63"),
        pytest.param('{"title": "A", "other": -9223372036854775808}', id="-2**63"),
        pytest.param('{"title": "A", "title": "B"}', id="twice"),
        pytest.param('{"title": "A", "x": {"y": 1, "y": 2}}', id="twice-inside"),
        pytest.param('{"title": "A\\u0000"}', id="nul"),
        pytest.param('{"title": "A", "tags": ["\\u0000"]}', id="nul-in-list"),
        pytest.param('{"title": "A", "x\\u0000": 1}', id="nul-in-key"),
        pytest.param('{"title": "A\\ud800"}', id="surrogate"),
        pytest.param('{"title": "A", "tags": ["\\udfff"]}', id="surrogate-in-list"),
        pytest.param('{"title": "A", "\\ud800": 1}', id="surrogate-in-key"),
        pytest.param('{"title": "A\x01"}', id="control"),
        pytest.param(b'{"title": "\xff\xfe"}', id="not-utf-8"),
        pytest.param('{"title": "A"}'.encode("utf-16"), id="utf-16"),
        pytest.param(b'{"title": "\xed\xa0\x80"}', id="surrogate-bytes"),
        pytest.param('{"title": "A"', id="cut"),
        pytest.param('{"title": "A"} {}', id="two"),
        pytest.param('{"title": "A",}', id="comma"),
        pytest.param("{'title': 'A'}", id="python"),
        pytest.param('[{"title": "A"}, {"title": "B"}]', id="list"),
        pytest.param('"title"', id="string"),
        pytest.param("17", id="number"),
        pytest.param("null", id="null"),
        pytest.param("", id="empty"),
        pytest.param(" " * 1000, id="blank"),
    ],
)
def test_what_is_no_clear_json_is_a_400_and_stores_nothing(client_for, creator, body):
    answer = post(client_for(creator), body)

    assert answer.status_code == 400, answer.content[:300]
    assert answer["Content-Type"] == "application/json"
    assert len(answer.content) < 1000
    assert Video.objects.count() == 0
    assert client_for().get(URL).json()["results"] == []


def test_sixteen_levels_and_honest_numbers_pass(client_for, creator):
    nested: object = 1
    for _ in range(15):
        nested = [nested]
    body = json.dumps({"title": "Ünïcode 🎬", "ignored": nested, "n": 2**63 - 1, "f": 1.5})

    answer = post(client_for(creator), body)

    assert (answer.status_code, answer.json()["title"]) == (201, "Ünïcode 🎬")


def test_a_byte_order_mark_is_no_reason_to_refuse(client_for, creator):
    assert post(client_for(creator), b'\xef\xbb\xbf{"title": "A"}').status_code == 201


@pytest.mark.parametrize("size", [10 * 1024 * 1024, 1024 * 1024 + 1])
def test_a_large_body_is_a_413(client_for, creator, size):
    body = b'{"title": "A", "x": "' + b"x" * size + b'"}'

    answer = post(client_for(creator), body)

    assert answer.status_code == 413
    assert answer.json()["type"] == "client_error"
    assert answer.json()["errors"][0]["code"] == "too_large"
    assert Video.objects.count() == 0


@pytest.mark.parametrize("length", ["x", "-1", "1e3", "99999999999999999999"])
def test_a_content_length_that_lies_is_a_4xx(client_for, creator, length):
    answer = client_for(creator).generic(
        "POST", URL, "", content_type="application/json", CONTENT_LENGTH=length
    )

    assert answer.status_code in {400, 413}
    assert Video.objects.count() == 0


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 201),
        ("application/json; charset=utf-8", 201),
        ("application/json; charset=bogus", 201),  # JSON is UTF-8 in any case
        ("APPLICATION/JSON", 201),
        ("text/plain", 415),
        ("text/html", 415),
        ("application/xml", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/json-patch+json", 415),
        ("///", 415),
        ("json", 415),
        ("; charset=x", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        ("multipart/form-data; boundary=x", 400),
        ("multipart/form-data; boundary=" + "x" * 500, 415),
    ],
)
def test_content_types(client_for, creator, content_type, status):
    answer = post(client_for(creator), '{"title": "A"}', content_type)

    assert answer.status_code == status, answer.content
    assert Video.objects.count() == (status == 201)
    if status == 415:
        assert answer.json()["errors"][0]["code"] == "unsupported_media_type"


def test_a_compressed_body_is_not_unpacked(client_for, creator):
    answer = client_for(creator).post(
        URL, b"\x1f\x8b\x08\x00", content_type="application/json", HTTP_CONTENT_ENCODING="gzip"
    )

    assert answer.status_code in {400, 415}
