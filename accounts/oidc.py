"""Sign-in with another provider: OpenID Connect Core 1.0, authorization code flow with PKCE (RFC 7636).

Authlib speaks with the provider, and joserfc, on which it rests, verifies signatures. Nothing here
touches the database: `accounts.identities` finds the account.
"""

import hmac
import logging
import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from authlib.integrations.base_client import OAuthError  # type: ignore[import-untyped]  # no types
from authlib.integrations.requests_client import OAuth2Session  # type: ignore[import-untyped]
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
from django.conf import settings
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from accounts.errors import ProviderAway, SignInRefused

SCOPE = "openid email profile"
TIMEOUTS = (3.05, 6)  # seconds to connect, and of silence
FRESH_SECONDS = 3600  # for which the provider's description and keys are remembered
# None of the algorithms with a shared secret, and not "none".
ALGORITHMS = [
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
]

logger = logging.getLogger(__name__)
_remembered: dict[
    str, tuple[float, Any]
] = {}  # by address: time.monotonic of the answer, the answer


@dataclass(frozen=True, slots=True)
class Start:
    """A sign-in that has begun: where the browser goes, and what must come back with it."""

    url: str
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Person:
    """What the provider says of the person. ``email`` is empty unless the provider verified it."""

    issuer: str
    subject: str
    email: str
    name: str


def is_on() -> bool:
    return bool(settings.OIDC_ISSUER)


def own_origin() -> str:
    """Return the origin of this service. It comes from the settings, never from the Host header."""
    return settings.PUBLIC_URL or f"http://localhost:{settings.PORT}"


def redirect_uri() -> str:
    """Return where the provider sends the browser back to; it must be registered there."""
    return f"{own_origin()}/sign-in/oidc/callback"


def start() -> Start:
    """Begin a sign-in. Raises ProviderAway."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    endpoint = _metadata()["authorization_endpoint"]
    with _session() as session:
        url, _ = session.create_authorization_url(
            endpoint, state=state, nonce=nonce, code_verifier=verifier
        )
    return Start(url, state, nonce, verifier)


def finish(begun: Start, *, state: str, code: str, issuer: str = "") -> Person:
    """Exchange the code of the provider's answer, and return the person whom its ID token names.

    ``issuer`` is the answer's ``iss``, if it has one (RFC 9207). Raises SignInRefused when the answer
    belongs to another sign-in, was used before, or its token is not for us, has expired or is not
    signed by the provider; ProviderAway when the provider does not answer.
    """
    if not hmac.compare_digest(begun.state.encode(), state.encode("utf-8", "replace")):
        raise SignInRefused("This answer belongs to another sign-in.")
    if issuer and issuer != _metadata()["issuer"]:
        raise SignInRefused("This answer comes from another provider.")
    with _session() as session:
        tokens = _exchange(session, code, begun.verifier)
        claims = _verified(tokens, nonce=begun.nonce)
        if "email" not in claims:
            claims = {**claims, **_userinfo(session, claims["sub"])}
    is_verified = claims.get("email_verified") is True
    return Person(
        issuer=settings.OIDC_ISSUER,
        subject=claims["sub"],
        email=_text(claims, "email", 254) if is_verified else "",
        name=_text(claims, "name", 100),
    )


def forget() -> None:
    """Make this process ask for the provider's description and keys again."""
    _remembered.clear()


def _session() -> OAuth2Session:
    supported = _metadata().get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    basic = "client_secret_basic" in supported or "client_secret_post" not in supported
    return OAuth2Session(
        client_id=settings.OIDC_CLIENT_ID,
        client_secret=settings.OIDC_CLIENT_SECRET,
        token_endpoint_auth_method="client_secret_basic" if basic else "client_secret_post",
        scope=SCOPE,
        redirect_uri=redirect_uri(),
        code_challenge_method="S256",
        default_timeout=TIMEOUTS,
    )


def _exchange(session: OAuth2Session, code: str, verifier: str) -> dict[str, Any]:
    try:
        tokens = session.fetch_token(
            _metadata()["token_endpoint"],
            grant_type="authorization_code",
            code=code,
            code_verifier=verifier,
            timeout=TIMEOUTS,
        )
    except OAuthError as refusal:
        logger.warning("The provider refused a code of a sign-in: %s", str(refusal.error)[:100])
        raise SignInRefused(
            "The provider did not accept the answer; it may have been used."
        ) from None
    except (requests.RequestException, ValueError) as error:
        raise _away(error) from None
    if not isinstance(tokens.get("id_token"), str):
        raise SignInRefused("The provider's answer has no ID token.")
    return dict(tokens)


def _verified(tokens: dict[str, Any], *, nonce: str) -> dict[str, Any]:
    """Return the claims of an ID token (OpenID Connect Core 1.0, section 3.1.3.7).

    Raises SignInRefused.
    """
    metadata = _metadata()
    try:
        token = _decoded(tokens["id_token"], metadata["jwks_uri"])
        claims = CodeIDToken(
            token.claims,
            token.header,
            options={
                "iss": {"essential": True, "value": metadata["issuer"]},
                "aud": {"essential": True, "value": settings.OIDC_CLIENT_ID},
                "nonce": {"essential": True},
            },
            params={
                "nonce": nonce,
                "client_id": settings.OIDC_CLIENT_ID,
                "access_token": tokens.get("access_token"),
            },
        )
        claims.validate(now=int(time.time()), leeway=settings.CLOCKS_DIFFER_BY.total_seconds())
    except (JoseError, ValueError, TypeError, KeyError) as fault:
        logger.warning("An ID token was refused: %s", type(fault).__name__)
        raise SignInRefused("The provider's ID token is not valid for this sign-in.") from None
    if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
        raise SignInRefused("The provider's ID token names nobody.")
    return dict(claims)


def _decoded(id_token: str, jwks_uri: str) -> jwt.Token:
    """Return a token whose signature is right. A key that is not known yet is asked for once."""
    try:
        return jwt.decode(id_token, _keys(jwks_uri), algorithms=ALGORITHMS)
    except (JoseError, ValueError):
        _remembered.pop(jwks_uri, None)
    return jwt.decode(id_token, _keys(jwks_uri), algorithms=ALGORITHMS)


def _keys(jwks_uri: str) -> KeySet:
    keys: Any = _get(jwks_uri)
    return KeySet.import_key_set(keys)


def _userinfo(session: OAuth2Session, subject: str) -> dict[str, Any]:
    """Return the claims of the UserInfo endpoint, which must be about the same person (5.3.2)."""
    endpoint = _metadata().get("userinfo_endpoint")
    if not endpoint:
        return {}
    try:
        answer = session.get(endpoint, timeout=TIMEOUTS)
        answer.raise_for_status()
        claims = answer.json()
    except (requests.RequestException, OAuthError, ValueError) as error:
        raise _away(error) from None
    if not isinstance(claims, dict) or claims.get("sub") != subject:
        raise SignInRefused("The provider's answers name two persons.")
    return claims


def _metadata() -> dict[str, Any]:
    """Return the provider's description (OpenID Connect Discovery 1.0). Raises ProviderAway."""
    issuer = settings.OIDC_ISSUER
    found = _get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    if str(found.get("issuer", "")).rstrip("/") != issuer.rstrip("/"):
        raise _away(ValueError("its description names another issuer than OIDC_ISSUER"))
    for name in needed:
        if urlsplit(str(found.get(name, ""))).scheme not in {"https", urlsplit(issuer).scheme}:
            raise _away(ValueError(f"its description has no usable {name}"))
    return found


def _get(url: str) -> dict[str, Any]:
    """Return a JSON object of the provider, at most FRESH_SECONDS old. Raises ProviderAway."""
    at, found = _remembered.get(url, (0.0, None))
    if found is not None and time.monotonic() - at < FRESH_SECONDS:
        return dict(found)
    try:
        answer = requests.get(url, timeout=TIMEOUTS)
        answer.raise_for_status()
        found = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise _away(error) from None
    if not isinstance(found, dict):
        raise _away(ValueError("its answer is no JSON object"))
    _remembered[url] = (time.monotonic(), found)
    return dict(found)


def _away(error: Exception) -> ProviderAway:
    """Return the error for the user; the reason is for the log, without addresses or codes."""
    reason = str(error) if type(error) is ValueError else type(error).__name__
    logger.error("The provider of sign-ins (OIDC_ISSUER) cannot be used: %s", reason)
    return ProviderAway(reason)


def _text(claims: dict[str, Any], name: str, most: int) -> str:
    value = claims.get(name)
    return value.strip() if isinstance(value, str) and len(value) <= most else ""
