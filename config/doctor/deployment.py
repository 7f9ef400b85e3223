"""Checks of the settings and secrets. They ask nothing of other parts."""

import ipaddress
import stat
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import validate_host

from config import env, listening
from config.doctor import Finding, check, error, ok, warning


def _is_for_others() -> bool:
    """Return whether the settings let clients of other machines in, directly or through a proxy."""
    names = [name.strip("[]") for name in settings.ALLOWED_HOSTS]
    return not all(map(listening.is_local, names)) or not listening.is_local(settings.HOST)


@check("Settings", "debug", at_start=True)
def debug() -> Iterator[Finding]:
    remedy = "Set DEBUG=false: error pages show source code and settings."
    if not settings.DEBUG:
        yield ok("DEBUG is off.")
    elif _is_for_others():
        yield error("DEBUG is on, and other machines can reach the service.", remedy)
    else:
        yield warning("DEBUG is on.", remedy)


@check("Settings", "hosts")
def hosts() -> Iterator[Finding]:
    allowed = settings.ALLOWED_HOSTS
    public = urlsplit(settings.PUBLIC_URL).hostname
    if "*" in allowed:
        yield warning(
            "ALLOWED_HOSTS=* answers to any name, also to names of an attacker.",
            "List the host names of the service: ALLOWED_HOSTS=vod.example.com",
        )
    elif public and not validate_host(public, allowed):
        yield error(
            f"PUBLIC_URL names {public}, which ALLOWED_HOSTS refuses: requests are answered with 400.",
            f"Add {public} to ALLOWED_HOSTS.",
        )
    else:
        yield ok(f"ALLOWED_HOSTS: {', '.join(allowed)}.")


@check("Settings", "https")
def https() -> Iterator[Finding]:
    url, is_for_others = settings.PUBLIC_URL, _is_for_others()
    if not url and is_for_others:
        yield warning(
            "PUBLIC_URL is empty: links in answers have the address of each request, and links in mails"
            " lead to this machine.",
            "Set PUBLIC_URL=https://<the name that clients use>",
        )
    elif url.startswith("http://") and not listening.is_local(urlsplit(url).hostname or ""):
        yield warning(
            f"PUBLIC_URL={url}: passwords and tokens cross the network unencrypted.",
            "Put a TLS proxy in front (docs/operations.md, HTTPS), and set PUBLIC_URL=https://…",
        )
    else:
        yield ok(f"PUBLIC_URL: {url or 'this machine only'}.")
    if settings.ALLOW_HTTP and (is_for_others or url.startswith("https://")):
        yield warning(
            "ALLOW_HTTP=true: plain HTTP is answered on every address.",
            "Set ALLOW_HTTP=false where a proxy speaks HTTPS.",
        )


@check("Settings", "proxies", at_start=True)
def proxies() -> Iterator[Finding]:
    trusted = settings.TRUSTED_PROXIES
    networks = [ipaddress.ip_network(each) for each in trusted]
    wide = [each for each in networks if each.prefixlen < (8 if each.version == 4 else 32)]
    if wide:
        yield error(
            f"TRUSTED_PROXIES trusts {', '.join(map(str, wide))}: any client can forge its address,"
            " and so pass rate limits and write other addresses into the audit log.",
            "Name the addresses of your proxies alone: TRUSTED_PROXIES=127.0.0.1",
        )
    elif not trusted and settings.PUBLIC_URL.startswith("https://"):
        yield error(
            "PUBLIC_URL is https, and TRUSTED_PROXIES is empty: the proxy's X-Forwarded-Proto is not"
            " read, so that the API refuses all requests as plain HTTP, and all clients share one"
            " address.",
            "Name the address of your proxy: TRUSTED_PROXIES=127.0.0.1",
        )
    else:
        yield ok(f"TRUSTED_PROXIES: {', '.join(trusted) or 'none'}.")


@check("Settings", "cors")
def cors() -> Iterator[Finding]:
    if settings.CORS_ALLOW_ALL_ORIGINS:
        yield warning(
            "CORS_ALLOWED_ORIGINS=* lets every web page call the API, without cookies.",
            "List the origins of your pages: CORS_ALLOWED_ORIGINS=https://app.example.com",
        )
    else:
        yield ok(f"CORS_ALLOWED_ORIGINS: {', '.join(settings.CORS_ORIGINS)}.")


@check("Secrets", "env_file", at_start=True)
def env_file() -> Iterator[Finding]:
    """Check who can read the file with the secrets."""
    if not env.FILE.is_file():
        yield ok("The secrets come from the environment, not from a file.")
        return
    mode = stat.S_IMODE(env.FILE.stat().st_mode)
    if mode & 0o007:
        yield error(
            f"Every user of this machine can open {env.FILE} (mode {mode:o}), which holds the secrets.",
            f"chmod 600 {env.FILE}, then change the secrets that were readable.",
        )
    elif mode & 0o070:
        yield warning(
            f"A group can open {env.FILE} (mode {mode:o}), which holds the secrets.",
            f"chmod 600 {env.FILE}, unless the service's own group needs it.",
        )
    else:
        yield ok(f"Only its owner can open {env.FILE}.")


@check("Secrets", "secret_key")
def secret_key() -> Iterator[Finding]:
    """Check the secrets that the settings accept. Guessable values of SECRET_KEY stop the start."""
    key, fallbacks = settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS
    yield ok(f"SECRET_KEY has {len(key)} characters, {len(set(key))} different ones.")
    if key in fallbacks:
        yield warning(
            "SECRET_KEY_FALLBACKS holds SECRET_KEY itself.", "Remove it from the fallbacks."
        )
    if any(len(each) < 50 for each in fallbacks):
        yield error(
            "SECRET_KEY_FALLBACKS holds a key of fewer than 50 characters, with which sessions can be"
            " forged.",
            "Set AUDIT_KEY or list the key in AUDIT_KEY_FALLBACKS, then remove it here: its admin site"
            " sessions end.",
        )
    elif fallbacks:
        hours = settings.SESSION_COOKIE_AGE // 3600
        yield warning(
            "SECRET_KEY_FALLBACKS still accepts an earlier key.",
            f"Empty it {hours} hours after the change: all admin site sessions have ended by then."
            " Before that, list the key in AUDIT_KEY_FALLBACKS: without AUDIT_KEY it has sealed the"
            " log.",
        )
    if any(len(each) < 16 for each in settings.SANDBOX_WEBHOOK_SECRETS):
        yield warning(
            "SANDBOX_WEBHOOK_SECRETS holds a secret of fewer than 16 characters.",
            "Leave it empty: a secret is then derived from SECRET_KEY.",
        )
