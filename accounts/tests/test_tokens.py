"""The access tokens that are accepted, and all others that are refused."""

import base64
import json
import time
import uuid

import jwt
import pytest
import time_machine

from accounts import tokens
from accounts.models import RefreshFamily, User

pytestmark = pytest.mark.django_db

ME = "/api/v1/auth/me"


@pytest.fixture
def forge(viewer, settings):
    """A token of the viewer's living family, with claims, key, algorithm and headers to choose."""
    refresh = jwt.decode(tokens.issue(viewer).refresh, options={"verify_signature": False})

    def make(*, key=None, algorithm="HS256", headers=None, without=(), **claims) -> str:
        now = int(time.time())
        content = {
            "token_type": "access",
            "iat": now,
            "exp": now + 300,
            "jti": uuid.uuid4().hex,
            "iss": "vod",
            "sub": str(viewer.pk),
            "fam": refresh["fam"],
            **claims,
        }
        content = {name: value for name, value in content.items() if name not in without}
        key = settings.SIMPLE_JWT["SIGNING_KEY"] if key is None else key
        return jwt.api_jws.encode(
            json.dumps(content).encode(), key, algorithm=algorithm, headers=headers
        )

    return make


def me(client, token: str):
    return client.get(ME, HTTP_AUTHORIZATION=f"Bearer {token}")


def is_refused(answer, code="token_invalid") -> bool:
    assert answer.status_code == 401, answer.content
    error = answer.json()["errors"][0]
    challenge = 'Bearer realm="api"'
    if error["code"].startswith("token_"):
        challenge += f', error="invalid_token", error_description="{error["detail"]}"'
    assert answer["WWW-Authenticate"] == challenge
    return error["code"] == code


def test_a_genuine_token_is_accepted(client_for, viewer, forge):
    """The refusals below prove something only because this token is accepted."""
    answer = me(client_for(), forge())

    assert (answer.status_code, answer.json()["id"]) == (200, str(viewer.pk))


def test_a_token_that_was_seen_before_still_expires(client_for, forge):
    token = forge(exp=int(time.time()) + 60)
    assert [me(client_for(), token).status_code for _ in range(2)] == [200, 200]
    with time_machine.travel(time.time() + 80, tick=False):
        assert is_refused(me(client_for(), token), "token_expired")
    with time_machine.travel(time.time() - 80, tick=False):
        assert is_refused(me(client_for(), token))
    assert me(client_for(), token).status_code == 200


def test_a_token_that_was_seen_before_ends_with_its_sign_in(client_for, forge, viewer):
    token = forge()
    assert me(client_for(), token).status_code == 200
    tokens.end_all(viewer)
    assert is_refused(me(client_for(), token))


def test_the_account_costs_one_statement(client_for, forge, settings, django_assert_num_queries):
    settings.AUDIT_READS = False
    with django_assert_num_queries(1):
        assert me(client_for(), forge()).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"algorithm": "none", "key": ""},
        {"algorithm": "HS384"},
        {"algorithm": "HS512"},
        {"key": "another key of thirty-two characters or more"},
        {"key": "x" * 32, "headers": {"jku": "https://evil.example/keys"}},
        {"key": "x" * 32, "headers": {"kid": "../../dev/null"}},
        {"key": "x" * 32, "headers": {"jwk": {"kty": "oct", "k": "eHh4eHh4eHh4eHh4eHh4eA"}}},
    ],
)
def test_only_the_one_algorithm_and_key_count(client_for, forge, changes):
    assert is_refused(me(client_for(), forge(**changes)))


def test_an_unsigned_token_in_any_spelling_is_refused(client_for, forge):
    _, body, _ = forge().split(".")
    for algorithm in ("none", "None", "NONE", "nOnE", "", "RS256"):
        fields = json.dumps({"alg": algorithm, "typ": "JWT"}).encode()
        unsigned = base64.urlsafe_b64encode(fields).decode().rstrip("=")
        for signature in ("", "AAAA"):
            assert is_refused(me(client_for(), f"{unsigned}.{body}.{signature}"))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 10**20},
        {"exp": 10**400},
        {"exp": -(10**20)},
        {"exp": True},
        {"exp": "soon"},
        {"exp": [1]},
        {"exp": None},
        {"exp": {}},
        {"iat": 10**20},
        {"iat": "x"},
        {"nbf": 10**12},
        {"sub": []},
        {"sub": ["x"]},
        {"sub": True},
        {"sub": 1},
        {"sub": {}},
        {"sub": None},
        {"sub": "abc"},
        {"sub": "\u0000"},
        {"sub": str(uuid.uuid4())},
        {"sub": "x" * 1000},
        {"fam": True},
        {"fam": []},
        {"fam": "abc"},
        {"fam": str(uuid.uuid4())},
        {"iss": "somebody else"},
        {"iss": ["vod"]},
        {"token_type": "refresh"},
        {"token_type": None},
        {"token_type": ["access"]},
        {"jti": None, "token_type": "sliding"},
    ],
)
def test_odd_claims_under_a_genuine_signature_are_refused(client_for, forge, claims):
    assert me(client_for(), forge(**claims)).status_code == 401


@pytest.fixture
def wrong_times():
    """Claims with wrong times. They are made when the test runs, which may be long after its start."""
    now = int(time.time())
    return [
        {"iat": now + 60},
        {"iat": now + 10**9, "exp": now + 10**9 + 300},
        {"iat": True},
        {"iat": False},
        {"iat": now - 0.5},
        {"iat": str(now)},
        {"iat": None},
        {"iat": float("nan")},
        {"iat": -(10**20)},
        {"exp": now + 300.5},
        {"exp": str(now + 300)},
        {"exp": now + 10**9},
        {"exp": float("inf")},
        {"nbf": now + 60},
        {"nbf": True},
        {"nbf": now - 0.5},
        {"nbf": str(now)},
        {"nbf": None},
        {"nbf": 10**400},
    ]


def test_times_of_the_future_or_of_a_wrong_kind_are_refused(client_for, forge, wrong_times):
    accepted = [
        claims for claims in wrong_times if not is_refused(me(client_for(), forge(**claims)))
    ]
    assert not accepted


def test_a_token_lives_ninety_days_at_most(client_for, forge):
    now, longest = int(time.time()), 90 * 24 * 3600

    assert me(client_for(), forge(iat=now - 9, exp=now - 9 + longest)).status_code == 200
    assert is_refused(me(client_for(), forge(iat=now - 9, exp=now - 8 + longest)))
    assert is_refused(me(client_for(), forge(iat=now, exp=now)))


def test_a_token_has_at_most_2048_characters(client_for, forge):
    def of_length(wanted: int) -> str:
        size = next(n for n in range(2048) if len(forge(more="x" * n)) >= wanted)
        return forge(more="x" * size)

    longest, longer = of_length(2047), of_length(2049)
    assert (len(longest) <= 2048, len(longer)) == (True, 2049)
    assert me(client_for(), longest).status_code == 200
    assert is_refused(me(client_for(), longer))


@pytest.mark.parametrize("path", ["refresh", "logout"])
def test_a_refresh_token_with_wrong_times_changes_nothing(client_for, forge, wrong_times, path):
    wrong_ids = [{"jti": []}, {"jti": "\0"}, {"jti": 7}]
    # Signing out needs the sign-in only.
    for claims in wrong_times if path == "logout" else wrong_times + wrong_ids:
        forged = forge(token_type="refresh", **claims)
        before = list(RefreshFamily.objects.values())

        answer = client_for().post(f"/api/v1/auth/{path}", {"refresh_token": forged})

        assert is_refused(answer), claims
        assert list(RefreshFamily.objects.values()) == before


@pytest.mark.parametrize("claim", ["exp", "iat", "sub", "fam", "iss", "token_type"])
def test_a_token_without_a_claim_it_needs_is_refused(client_for, forge, claim):
    assert is_refused(me(client_for(), forge(without=[claim])))


def test_a_token_with_the_sign_in_of_another_user_is_refused(client_for, forge, make_user):
    other = make_user()
    theirs = jwt.decode(tokens.issue(other).access, options={"verify_signature": False})["fam"]

    assert is_refused(me(client_for(), forge(fam=theirs)))


@pytest.mark.parametrize("used", [False, True])
def test_a_refresh_token_of_one_sign_in_never_refreshes_another(client_for, forge, make_user, used):
    """Its id is that of one sign-in, and the sign-in that it names is another one."""
    own, theirs = tokens.issue(make_user()), tokens.issue(make_user())
    family, other = (
        RefreshFamily.objects.get(pk=tokens.family_of(p.refresh)) for p in (own, theirs)
    )
    if used:
        tokens.rotate(own.refresh)
    before = list(RefreshFamily.objects.exclude(pk=other.pk).values())

    mixed = forge(token_type="refresh", fam=str(other.pk), jti=family.current)
    answer = client_for().post("/api/v1/auth/refresh", {"refresh_token": mixed})

    assert answer.status_code == 401
    assert list(RefreshFamily.objects.exclude(pk=other.pk).values()) == before


@pytest.mark.parametrize("body", [b"[]", b"null", b"7", b'"text"', b"{", b"\xff\xfe"])
def test_a_signed_body_that_is_no_object_is_refused(client_for, settings, body):
    signed = jwt.api_jws.encode(body, settings.SIMPLE_JWT["SIGNING_KEY"], algorithm="HS256")

    assert is_refused(me(client_for(), signed))


def test_an_expired_token_says_so(client_for, forge):
    now = int(time.time())

    late = forge(iat=now - 300, exp=now - 5)
    assert me(client_for(), late).status_code == 200  # clocks differ by seconds
    assert is_refused(me(client_for(), forge(exp=now - 31)), "token_expired")


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer a b",
        "Bearer a.b.c",
        "bearer ...",
        "BEARER x",
        "Bearer \xe9\xff",
        "Bearer " + "x" * 60_000,
        "Bearer " + "x." * 1000,
        "Bearer eyJhbGciOiJIUzI1NiJ9..",
    ],
)
def test_a_malformed_header_is_a_401(client_for, header):
    answer = client_for().get(ME, HTTP_AUTHORIZATION=header)

    assert is_refused(answer)
    detail = answer.json()["errors"][0]["detail"]
    assert detail == "This token is not valid. Sign in again to get a new one."


@pytest.mark.parametrize("header", ["", "Basic dXNlcjpwYXNz", "Token abc", "a", "Bearerx y"])
def test_another_scheme_is_anonymous(client_for, header):
    answer = client_for().get(ME, HTTP_AUTHORIZATION=header)

    assert is_refused(answer, "not_authenticated")


def test_a_bad_token_is_refused_on_public_routes_too(client_for):
    assert client_for().get("/api/v1/videos/").status_code == 200
    assert is_refused(client_for().get("/api/v1/videos/", HTTP_AUTHORIZATION="Bearer x"))


def test_no_kind_of_token_is_accepted_as_another_kind(client_for, viewer, make_video):
    pair = tokens.issue(viewer)
    video = make_video()
    stream = client_for(viewer).get(f"/api/v1/stream/{video.pk}").data["stream_token"]
    grant = (
        client_for()
        .get(f"/api/v1/stream/play/{stream}", HTTP_ACCEPT="application/json")
        .data["grant"]
    )
    for wrong in (pair.refresh, stream, grant):
        for path in (
            ME,
            "/api/v1/videos/",
            "/api/v1/users/",
            "/api/v1/audit/",
            f"/api/v1/stream/{video.pk}",
        ):
            assert is_refused(client_for().get(path, HTTP_AUTHORIZATION=f"Bearer {wrong}"))
    for wrong in (pair.access, stream, grant, "x", "", "é"):
        answer = client_for().post("/api/v1/auth/refresh", {"refresh_token": wrong})
        assert answer.status_code == (400 if wrong == "" else 401), answer.content
    for wrong in (pair.access, pair.refresh, grant, "x", "é"):
        assert is_refused(client_for().get(f"/api/v1/stream/play/{wrong}"))


def test_a_session_of_the_admin_site_is_anonymous_in_the_api(client, admin):
    client.force_login(admin)

    assert client.get("/admin/").status_code == 200
    assert client.get(ME).status_code == 401
    change = client.post("/api/v1/videos/", {"title": "By cookie"}, content_type="application/json")
    assert change.status_code == 401


def test_the_role_is_read_from_the_row_not_from_the_token(client_for, creator, admin):
    theirs, title = client_for(creator), {"title": "Mine"}
    assert theirs.post("/api/v1/videos/", title).status_code == 201

    client_for(admin).patch(f"/api/v1/users/{creator.pk}/role", {"role": "VIEWER"})
    assert theirs.post("/api/v1/videos/", title).status_code == 403
    assert creator.videos.count() == 1

    client_for(admin).patch(f"/api/v1/users/{creator.pk}/role", {"role": "ADMIN"})
    assert theirs.get("/api/v1/users/").status_code == 200


def test_a_token_of_a_deleted_user_is_refused(client_for, viewer):
    pair = tokens.issue(viewer)
    User.objects.filter(pk=viewer.pk).delete()

    assert is_refused(me(client_for(), pair.access))
    again = client_for().post("/api/v1/auth/refresh", {"refresh_token": pair.refresh})
    assert again.status_code == 401
    assert RefreshFamily.objects.count() == 0
