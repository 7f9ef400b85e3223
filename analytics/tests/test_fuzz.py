"""Hostile values at every route and parameter of the API document never cause a server error."""

import json
import os
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import quote

import pytest
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.roles import Role
from config.tests import openapi

pytestmark = [pytest.mark.django_db, pytest.mark.sweep, pytest.mark.long]

METHODS = ("get", "post", "put", "patch", "delete", "options")
CALLERS = ["anonymous", "viewer", "creator", "admin"]
LATE = "9999-12-31T23:59:59-23:59"

TEXTS = [
    "", " ", "\x00", "a\x00b", "\ud800", "\udfff", "NaN", "-NaN", "sNaN", "Infinity", "-inf",
    "1e400", "1e-400", "1E+999999999", "-1", "0", "1.5", "2147483648", "9223372036854775808",
    "9" * 5000, "x" * 8000, "a " * 3000, "%00", "%", "%s%n", "'", '"', "');--", "*", "(a+)+$", "\\",
    "../../etc/passwd", "{}", "[]", "null", "true", "1_000", "١٢٣", "é" * 300, "🎬" * 300, "ﷺ" * 50,
    "\u202e", "\r\n", "<script>", "=1+1", "not-a-uuid", "00000000-0000-0000-0000-000000000000",
    "{00000000-0000-0000-0000-000000000000}", "urn:uuid:00000000-0000-0000-0000-000000000000",
    LATE, "0001-01-01T00:00:00+23:59", "2026-02-30", "2026-13-01T00:00:00Z", "0000-00-00",
    "2026-01-01T25:00:00Z", "99999-01-01", "2026-01-01", "2026-01-01T00:00:00", "12:00",
    "bnVsbA", "W251bGwsbnVsbCxudWxsXQ", "WyJcdWQ4MDAiLCJ4IixmYWxzZV0", "W05hTiwgIjAiLCBmYWxzZV0",
    "WzFlNDAwLCAiMDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwIiwgdHJ1ZV0",
]  # fmt: skip
DEEP: object = "x"
for _ in range(15):
    DEEP = [DEEP]
VALUES = [
    *TEXTS, None, True, False, 0, -1, 1.5, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 10**400,
    float("nan"), float("inf"), 1e308, -1e308, 5e-324, [], [[]], {}, {"a": {"b": []}}, DEEP, [None],
    ["\x00"], ["\ud800"], ["x"] * 2000, [["x"]], [{}], [1, 2], [[0, 1e308]], [[1, 0]], [[None, 1]],
    {"": ""}, {"$ne": 1}, {"__proto__": 1},
]  # fmt: skip
BODIES = [
    b"", b"null", b"[]", b"{}", b"0", b'"x"', b"[[]]", b"{", b"\xff", b"\x00", b"NaN",
    b"[" * 50_000, b'{"a":' * 5000, b'{"a": 1, "a": 2}', b"\xef\xbb\xbf{}", b"9" * 5000,
    b'{"x": ' + b"9" * 5000 + b"}", b'{"\\ud800": 1}',
]  # fmt: skip


def _operations() -> list[tuple[str, str, dict[str, list[str]]]]:
    """Method, path and the names of query parameters and body properties of every operation."""
    schema = openapi.document()
    operations = []
    for path, item in sorted(schema["paths"].items()):
        shared: dict[str, list[str]] = {"parameters": [], "properties": []}
        for method in METHODS:
            operation = item.get(method)
            if operation is None:
                if method == "options":
                    operations.append((method, path, shared))
                continue
            content = operation.get("requestBody", {}).get("content", {})
            references = [body.get("schema", {}).get("$ref", "") for body in content.values()]
            name = references[0] if references else ""
            component = schema["components"]["schemas"].get(name.rsplit("/", 1)[-1], {})
            query = [p["name"] for p in operation.get("parameters", []) if p["in"] == "query"]
            known = {"parameters": query, "properties": sorted(component.get("properties", {}))}
            operations.append((method, path, known))
    return operations


OPERATIONS = _operations()
ASKING = [(method, path) for method, path, _ in OPERATIONS if method == "options"]
DOING = [operation for operation in OPERATIONS if operation[0] != "options"]
NAMES = [f"{method.upper()} {path}" for method, path, _ in DOING]


@pytest.fixture
def world(make_user, make_video, buy, client_for):
    people = {
        "anonymous": None,
        "viewer": make_user(),
        "creator": make_user(Role.CREATOR),
        "admin": make_user(Role.ADMIN),
    }
    video = make_video(creator=people["creator"], price=500, tags=["fog"])
    free = make_video(creator=people["creator"])
    order = buy(people["viewer"], video)
    token = client_for(people["viewer"]).get(f"/api/v1/stream/{free.pk}").data
    play = client_for().get(token["stream_url"], HTTP_ACCEPT="application/json").data
    clients = {name: client_for(user) for name, user in people.items()}
    for client in clients.values():
        client.raise_request_exception = False
    ids = {
        "users": make_user().pk,
        "orders": order.pk,
        "sessions": play["session_id"],
        "play": token["stream_url"].rsplit("/", 1)[1],
    }
    return clients, ids, free.pk


def address(path: str, ids: dict, video, hostile: str | None = None) -> str:
    if "{" not in path:
        return path
    start, _, end = path.partition("{")
    folder = start.rstrip("/").rsplit("/", 1)[-1]
    value = (
        ids.get(folder, video) if hostile is None else quote(hostile, "", errors="surrogatepass")
    )
    rest = end.partition("}")[2]
    return f"{start}{value}{address(rest, ids, video)}"


def send(client, method: str, url: str, body: bytes = b"", content_type="application/json", **more):
    answer = client.generic(method.upper(), url, body, content_type=content_type, **more)
    content = b"".join(answer) if answer.streaming else answer.content
    shown = f"{method} {url[:300]} {body[:300]!r}"
    assert answer.status_code < 500, (shown, content[:500])
    assert b"Traceback" not in content, shown
    if answer.status_code >= 400 and method != "head":
        assert answer["Content-Type"] == "application/json", shown
        errors = json.loads(content)
        assert set(errors) == {"type", "errors"}, shown
        assert errors["errors"], shown
        assert all(set(error) == {"code", "detail", "attr"} for error in errors["errors"]), shown
    return answer


Value = TypeVar("Value")
THOROUGH = "FUZZ" in os.environ  # FUZZ=1 sends every value as several callers and takes minutes
STRIDE = 1 if THOROUGH else 7


def callers(number: int) -> tuple[str, ...]:
    """Return the callers of one value: mostly the administrator, who gets furthest, else the others."""
    other = CALLERS[number % 3]
    return ("admin", other) if THOROUGH else (other if number % 4 == 3 else "admin",)


def some(values: Sequence[Value], start: int) -> list[tuple[int, Value]]:
    """Return a part of the values with their numbers; each ``start`` gives another part."""
    return list(enumerate(values))[start % STRIDE :: STRIDE]


@pytest.mark.promise("hostile-input-never-breaks")
@pytest.mark.parametrize(("method", "path", "known"), DOING, ids=NAMES)
def test_no_value_breaks_a_route(world, method, path, known):
    clients, ids, video = world
    url = address(path, ids, video)
    for index, parameter in enumerate(known["parameters"]):
        for number, text in some(TEXTS, index):
            value = quote(text, "", errors="surrogatepass")
            for caller in callers(number):
                send(clients[caller], method, f"{url}?{parameter}={value}")
        for twice in ("=a&{0}=b", "[]=1", "[$gt]=1", "__regex=(a%2B)%2B$", "=%ff%fe", "=%ed%a0%80"):
            query = twice.format(parameter) if "{0}" in twice else twice
            send(clients["admin"], method, f"{url}?{parameter}{query}")
    send_wrong_ids(world, method, path)
    if method in {"post", "put", "patch"}:
        for number, body in some(BODIES, len(path)):
            for caller in callers(number):
                send(clients[caller], method, url, body)
        for index, name in enumerate(known["properties"]):
            for number, wrong_value in some(VALUES, index + len(path)):
                body = json.dumps({**GOOD, name: wrong_value}).encode()
                for caller in callers(number):
                    send(clients[caller], method, url, body)


@pytest.mark.promise("hostile-input-never-breaks")
def test_no_id_breaks_a_question_for_the_options(world):
    """All routes in one test: this method changes nothing."""
    for method, path in ASKING:
        send_wrong_ids(world, method, path)


def send_wrong_ids(world, method: str, path: str) -> None:
    """Send hostile texts in the place of the first id of the path."""
    clients, ids, video = world
    if "{" not in path:
        return
    for _, text in some(TEXTS, len(path)):
        wrong = address(path, ids, video, text)
        if len(wrong) < 9000 and text not in {"", "../../etc/passwd"}:
            send(clients["admin"], method, wrong)


# Values for the required fields of every route, so that one wrong value is looked at. A route ignores
# the fields that it does not know.
GOOD = {
    "title": "A", "position_seconds": 1, "state": "playing", "reason": "requested", "value": "like",
    "email": "fuzz@example.com", "password": "a long pass phrase", "role": "VIEWER",
    "is_active": True, "current_password": "x", "new_password": "another pass phrase",
    "refresh_token": "x", "is_paid": True, "price": "5.00", "plan": "monthly",
}  # fmt: skip


@pytest.mark.promise("hostile-input-never-breaks")
@pytest.mark.parametrize("path", ["/api/v1/videos/", "/api/v1/videos/{id}/file"])
def test_no_form_breaks_an_upload(world, path):
    clients, ids, video = world
    url, method = address(path, ids, video), "put" if "file" in path else "post"
    texts = [text for text in TEXTS if "\ud800" not in text and "\udfff" not in text]
    for index, field in enumerate(("title", "price", "is_paid", "tags", "file", "currency")):
        for number, text in some(texts, index):
            form = encode_multipart(BOUNDARY, {"title": "A", "is_paid": "1", field: text})
            for caller in callers(number):
                send(clients[caller], method, url, form, MULTIPART_CONTENT)
    for caller in ("viewer", "creator"):
        for body in (
            b"", b"--x", b"--x--", b"--x\r\n", b"--x\r\n\r\n--x--\r\n",
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="\x00"\r\n\r\nx\r\n--x--\r\n',
            b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\n\xff\xfe\r\n--x--\r\n',
            b'--x\r\nContent-Disposition: form-data; name="title"\r\nContent-Transfer-Encoding: base64'
            b"\r\n\r\n!!!\r\n--x--\r\n",
            b"--x\r\n" + b"A: b\r\n" * 500,
            b'--x\r\nContent-Disposition: form-data; name="t"\r\n\r\n1\r\n' * 300 + b"--x--\r\n",
        ):  # fmt: skip
            send(clients[caller], method, url, body, "multipart/form-data; boundary=x")


@pytest.mark.promise("hostile-input-never-breaks")
@pytest.mark.parametrize(
    "header",
    [
        "AUTHORIZATION", "IDEMPOTENCY_KEY", "PLAYBACK_GRANT", "USER_AGENT", "ACCEPT", "ORIGIN",
        "IF_NONE_MATCH", "X_REQUEST_ID", "COOKIE", "RANGE", "REFERER", "ACCEPT_LANGUAGE",
        "X_FORWARDED_FOR", "CONTENT_ENCODING", "IF_MODIFIED_SINCE",
    ],
)  # fmt: skip
def test_no_header_breaks_a_route(world, header):
    clients, ids, video = world
    targets = [
        ("get", "/api/v1/videos/", b""),
        ("get", "/api/v1/stream/play/{token}", b""),
        ("get", "/api/v1/videos/{id}/poster", b""),
        ("post", "/api/v1/stream/sessions/{id}/heartbeat", b'{"position_seconds":1,"state":"paused"}'),
        ("post", "/api/v1/payments/purchase/{video_id}", b"{}"),
        ("post", "/api/v1/payments/subscription/cancel", b"{}"),
    ]  # fmt: skip
    values = [text.encode("utf-8", "replace").decode("latin-1") for text in TEXTS]
    for index, (method, path, body) in enumerate(targets):
        for number, value in some(
            [*values, "Bearer " + "x" * 100, "\xff", "*/*;q=x", "a/b/c"], index
        ):
            client = clients[CALLERS[number % 4]]
            send(client, method, address(path, ids, video), body, **{f"HTTP_{header}": value})


def test_many_fields_and_parameters_are_refused_or_ignored(world):
    clients, _, _ = world
    query = "&".join(f"p{number}=1" for number in range(3000))
    send(clients["admin"], "get", f"/api/v1/videos/?{query}")
    body = json.dumps({f"field{number}": number for number in range(5000)}).encode()
    send(clients["admin"], "post", "/api/v1/videos/", body)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=30)
    | st.sampled_from(TEXTS)
    | st.uuids().map(str),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=8,
)


@pytest.mark.promise("hostile-input-never-breaks")
@hypothesis_settings(
    max_examples=1000 if THOROUGH else 100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_mixture_of_values_breaks_a_route(world, data):
    clients, ids, video = world
    method, path, known = data.draw(st.sampled_from(OPERATIONS))
    client = clients[data.draw(st.sampled_from(CALLERS))]
    names = st.sampled_from(known["parameters"] or ["x"])
    query = data.draw(st.dictionaries(names, st.sampled_from(TEXTS) | st.text(max_size=30)))
    properties = st.sampled_from(known["properties"] or ["x"])
    body = data.draw(st.dictionaries(properties, json_values, max_size=5))
    text = "&".join(f"{k}={quote(v, '', errors='surrogatepass')}" for k, v in query.items())

    send(
        client, method, f"{address(path, ids, video)}?{text}", json.dumps({**GOOD, **body}).encode()
    )


def test_lists_with_hostile_values_still_answer(world):
    """No hostile value that was accepted breaks the lists that show it."""
    clients, _, _ = world
    for name in ("title", "description", "tags", "price", "category"):
        for number, value in some(VALUES, len(name)):
            body = json.dumps({"title": f"Video {number}", "is_paid": False, name: value}).encode()
            send(clients["creator"], "post", "/api/v1/videos/", body)

    for caller in ("creator", "admin"):
        url = "/api/v1/videos/?page_size=100"
        while url:
            answer = send(clients[caller], "get", url)
            assert answer.status_code == 200
            url = answer.json()["next"]
