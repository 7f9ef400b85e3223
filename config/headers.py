"""The security headers of answers, also of those that are made without Django.

Media files have headers of their own (`streaming/delivery/answers.py`).
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

# An answer for programs: a browser that shows it loads nothing and runs nothing.
NOTHING = "default-src 'none'; frame-ancestors 'none'"
# A page: all comes from this host, and no script or style stands in the HTML itself. Playlists play
# natively from 'self'; blob: is for players that assemble the video in the browser.
PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:;"
    " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
NO_FRAMES = "frame-ancestors 'none'"  # the part of PAGE that the player in a frame replaces
# Django's admin site is such a page, too. Its style sheets draw some pictures from data: addresses.
# Its fonts are files of this host.
ADMIN = PAGE.replace("img-src 'self'", "img-src 'self' data:") + "; font-src 'self'"
NO_DEVICES = ", ".join(
    f"{name}=()"
    for name in (
        "accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer",
        "microphone", "midi", "payment", "usb",
    )
)  # fmt: skip
# For files that players and pages of other hosts show. Other answers reach them by CORS alone.
FOR_OTHER_SITES = {"Cross-Origin-Resource-Policy": "cross-origin"}
DEFAULTS = {
    "Content-Security-Policy": NOTHING,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": NO_DEVICES,
    # Tokens, grants, money and personal data are in most answers. An answer that may be kept says so.
    "Cache-Control": "no-store",
}
BEARER = 'Bearer realm="api"'  # the challenge of a 401 (RFC 6750, section 3)
WITHOUT_DJANGO: list[tuple[bytes, bytes]] = [
    (name.lower().encode(), value.encode())
    for name, value in {
        **DEFAULTS,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }.items()
]


def add(request: HttpRequest, response: HttpResponseBase) -> None:
    """Give a response the headers that its view has not set."""
    defaults: Mapping[str, str] = DEFAULTS
    if request.path_info.startswith("/admin/"):
        defaults = {**DEFAULTS, "Content-Security-Policy": ADMIN}
    for name, value in defaults.items():
        response.headers.setdefault(name, value)
    if settings.CDN_URL:
        policy = _with_segments_of(response.headers["Content-Security-Policy"], settings.CDN_URL)
        response.headers["Content-Security-Policy"] = policy
    if settings.LICENCE_SERVERS:
        policy = _with_licences_of(response.headers["Content-Security-Policy"])
        response.headers["Content-Security-Policy"] = policy


def _with_segments_of(policy: str, address: str) -> str:
    """Return a page's policy that lets players fetch segments from the host of an address."""
    host = "{0.scheme}://{0.netloc}".format(urlsplit(address))
    for kind in ("connect-src", "media-src"):
        policy = policy.replace(f"{kind} 'self'", f"{kind} 'self' {host}")
    return policy


def _with_licences_of(policy: str) -> str:
    """Return a page's policy that lets players ask the licence servers of the settings."""
    addresses = [*settings.LICENCE_SERVERS.values(), settings.FAIRPLAY_CERTIFICATE_URL]
    parts = [urlsplit(each) for each in addresses if each]
    hosts = " ".join(dict.fromkeys(f"{each.scheme}://{each.netloc}" for each in parts))
    return policy.replace("connect-src 'self'", f"connect-src 'self' {hosts}")
