"""What nginx needs for published files that lie in a bucket (STORAGE=s3).

nginx fetches an object itself, with a request that bucket.js signs, and keeps a copy under the object's
key. It needs no MEDIA_DIR, so any host that reaches the bucket and a web server can be an nginx.
"""

import re
import ssl
from pathlib import Path
from typing import Any

from django.conf import settings

from streaming.delivery import files
from videos.storage import both
from videos.storage.base import VERSIONS
from videos.storage.folder import MARK

SCRIPT = "bucket.js"
MARK_PATH = "/internal/bucket"  # of a request that nginx sends to itself
# A text may change while its version stays, and a deleted video must leave the copies. In between nginx
# asks no more than whether the object is still the same.
TEXT_FRESH, SEGMENT_FRESH, UNUSED = "2s", "1h", "1d"
REPORT = "60s"
# Without these codes of its own, an answer of the bucket that is no object is one that it failed.
_OWN = {"599": "refuse", "404": "missing", "412": "changed", "416": "outside"}
_NO_CODE = 499  # nginx keeps it for clients that are gone
# Headers of buckets' answers that nginx hides before bucket.js looks for others.
HIDDEN = (
    "Accept-Ranges", "Last-Modified", "Vary", "Cache-Control", "Content-Disposition", "X-Amz-Id-2",
    "X-Amz-Request-Id", "X-Amz-Server-Side-Encryption", "X-Amz-Version-Id", "X-Amz-Storage-Class",
    "X-Content-Type-Options", "X-Xss-Protection", "Strict-Transport-Security",
    "Content-Security-Policy", "Seaweed-X-Amz-ETag", "Seaweed-X-Amz-Owner",
)  # fmt: skip
_ADDRESS = re.compile(r"localhost|[0-9.]+|\[[0-9a-fA-F:.]+\]")


def is_used() -> bool:
    """Return whether published files lie in a bucket."""
    return bool(settings.STORAGE == "s3")


def require_moved() -> None:
    """Raise ValueError while published files lie in MEDIA_DIR too: nginx would not find them."""
    if both.has_files(Path(settings.MEDIA_ROOT)):
        raise ValueError(
            "MEDIA_DIR still has files of videos, which nginx does not look for when STORAGE=s3. Use "
            "DELIVERY=embedded until `manage.py move_storage` has moved them."
        )


def _endpoint() -> tuple[str, str]:
    """Return the scheme and the host of requests; the bucket's name is in the host or in the path."""
    endpoint = settings.S3_ENDPOINT or f"https://s3.{settings.S3_REGION}.amazonaws.com"
    scheme, _, host = endpoint.rstrip("/").partition("://")
    return scheme, host if settings.S3_PATH_STYLE else f"{settings.S3_BUCKET}.{host}"


def is_encrypted() -> bool:
    """Return whether nginx speaks TLS with the bucket's server."""
    return _endpoint()[0] == "https"


def _prefix() -> str:
    """Return the path before the names of objects."""
    start = f"/{settings.S3_BUCKET}" if settings.S3_PATH_STYLE else ""
    return f"{start}/{settings.S3_PREFIX}"


def facts() -> dict[str, Any]:
    """Return the facts for bucket.js: where the objects are, and the key that signs requests."""
    return {
        "host": _endpoint()[1],
        "versions": f"{_prefix()}{VERSIONS}/",
        "mark": f"{_prefix()}{MARK}",
        "region": settings.S3_REGION,
        "access_key": settings.S3_ACCESS_KEY,
        "secret_key": settings.S3_SECRET_KEY,
        "types": {extension: kind.decode() for extension, kind in files.CONTENT_TYPES.items()},
    }


def errors() -> dict[str, str]:
    """Return who answers instead of nginx or the bucket, by codes: no body of the bucket goes out."""
    failed = [code for code in range(300, 600) if str(code) not in _OWN and code != _NO_CODE]
    return {**_OWN, " ".join(map(str, failed)): "broken"}


def server(resolver: str) -> str:
    """Return the bucket's server for an upstream.

    Raises ValueError for a name without a DNS server that follows its addresses, and for a certificate
    that nginx could not check.
    """
    scheme, host = _endpoint()
    name, port = host, ""
    if match := re.fullmatch(r"(.+):([0-9]+)", host):
        name, port = match[1], match[2]
    is_name = not _ADDRESS.fullmatch(name)
    if scheme == "https" and not is_name and name != "localhost":
        raise ValueError(
            f"nginx checks certificates for names only, and S3_ENDPOINT has the address {name}."
        )
    if is_name and not resolver:
        raise ValueError(
            f"The bucket's server is the name {name}, whose addresses change: name a DNS server with "
            "--resolver."
        )
    return f"{name}:{port or (443 if scheme == 'https' else 80)}{' resolve' if is_name else ''}"


def authorities() -> Path:
    """Return the file of the certificates that this system trusts. Raises ValueError without one."""
    places = ssl.get_default_verify_paths()
    for place in (places.cafile, "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/cert.pem"):
        if place and Path(place).is_file():
            return Path(place)
    raise ValueError("This system has no file of trusted certificates: name one with --bucket-ca.")


def http(folder: str, script: str, resolver: str) -> list[str]:
    """Return the lines of the block http."""
    return [
        f"js_import bucket from {script};",
        "js_set $bucket_date bucket.date;",
        "js_set $bucket_authorization bucket.authorization;",
        # A request that nginx sends to itself shares the variables of the first one.
        "js_set $bucket_mark_authorization bucket.authorizationOfMark;",
        f'proxy_cache_path "{folder}/cache" levels=1:2 keys_zone=vod_objects:32m '
        f"max_size={settings.MEDIA_CACHE_BYTES} inactive={UNUSED} use_temp_path=off;",
        "upstream vod_bucket {",
        "    zone vod_bucket 64k;",
        f"    server {server(resolver)};",
        "    keepalive 32;",
        "}",
    ]


def location(*, is_changing: bool, authority: str) -> list[str]:
    """Return the lines of a location that sends objects."""
    return [
        f"proxy_pass {_endpoint()[0]}://vod_bucket{_prefix()}{VERSIONS}/$media_file;",
        "proxy_set_header Authorization $bucket_authorization;",
        f'proxy_cache_key "{_endpoint()[1]}{_prefix()}{VERSIONS}/$media_file";',
        f"proxy_cache_valid 200 {TEXT_FRESH if is_changing else SEGMENT_FRESH};",
        "proxy_intercept_errors on;",
        "proxy_force_ranges on;",
        *(f"proxy_hide_header {name};" for name in HIDDEN),
        *_common(authority),
    ]


def mark(authority: str) -> str:
    """Return the location of the question whether the bucket is there, and the right one."""
    lines = [
        "internal;",
        "error_log /dev/null emerg;",
        f"proxy_pass {_endpoint()[0]}://vod_bucket{_prefix()}{MARK};",
        "proxy_set_header Authorization $bucket_mark_authorization;",
        f'proxy_cache_key "{_endpoint()[1]}{_prefix()}{MARK}";',
        f"proxy_cache_valid 200 {TEXT_FRESH};",
        *_common(authority, uses_stale=False),
    ]
    body = "\n".join(f"            {line}" for line in lines)
    return f"        location = {MARK_PATH} {{\n{body}\n        }}"


def _common(authority: str, *, uses_stale: bool = True) -> list[str]:
    lines = [
        # Nothing of the client reaches the bucket, and the bucket decides nothing in nginx.
        "proxy_pass_request_headers off;",
        "proxy_pass_request_body off;",
        "proxy_http_version 1.1;",
        'proxy_set_header Connection "";',
        f"proxy_set_header Host {_endpoint()[1]};",
        "proxy_set_header X-Amz-Date $bucket_date;",
        "proxy_set_header X-Amz-Content-Sha256 "
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855;",  # of no bytes
        "proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering "
        "X-Accel-Charset Expires Cache-Control Set-Cookie Vary;",
        "proxy_buffering on;",
        "proxy_cache vod_objects;",
        "proxy_cache_revalidate on;",
        # One request fetches an object, however many viewers wait for it.
        "proxy_cache_lock on;",
        "proxy_cache_lock_age 20s;",
        "proxy_cache_lock_timeout 20s;",
        "proxy_connect_timeout 2s;",
        "proxy_send_timeout 10s;",
        "proxy_read_timeout 10s;",
        "proxy_next_upstream_tries 2;",
    ]
    if uses_stale:  # while the bucket is away, the copies stand
        failures = "error timeout invalid_header http_403 http_429"
        failures += " http_500 http_502 http_503 http_504"
        lines.append(f"proxy_cache_use_stale {failures};")
    if is_encrypted():
        name = re.sub(r":[0-9]+$", "", _endpoint()[1])
        lines += [
            "proxy_ssl_server_name on;",
            f"proxy_ssl_name {name};",
            "proxy_ssl_verify on;",
            "proxy_ssl_verify_depth 4;",
            f"proxy_ssl_trusted_certificate {authority};",
        ]
    return lines
