"""nginx's configuration for DELIVERY=nginx, made from the settings.

It consists of ``nginx.conf``, ``delivery.js`` with the check, ``bucket.js`` for files in a bucket, and
``delivery.json`` with the facts that they need. Only the last one holds secrets, and only its owner can
read it. nginx reads it when it starts, before it gives up root's rights.
"""

import json
import os
import re
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from config import ids
from streaming.delivery import answers, files, grants, licences, snapshot
from streaming.delivery import keys as delivery_keys
from streaming.delivery.nginx import bucket, link
from videos.encryption import keys
from videos.processing.posters import POSTER
from videos.storage.chosen import store

HERE = Path(__file__).resolve().parent
SCRIPT, FACTS = "delivery.js", "delivery.json"
SCRIPTS = (SCRIPT, bucket.SCRIPT)
EXCHANGE_MS = int(snapshot.PERIOD_SECONDS * 1000)
RUN_MS = 5000  # of several exchanges; their memory is given back when a run ends
NOTES_OF_AN_EXCHANGE = 5000
# The path is rewritten after nginx has decoded it: a question mark or line break in place of the grant
# could end it, or become a header of another request. Such a path is no address of a file.
_GRANT = "[A-Za-z0-9_.~!*(),:@=+-]*"
_KEY = (
    rf"/(?:{keys.VERSION}/{keys.FOLDER}/[0-9]{{1,{delivery_keys.PERIOD_DIGITS}}}"
    rf"|{keys.COMMON_VERSION}/(?:{keys.FOLDER}/(?:video|audio)|{licences.LICENCE}))"
)
_ORIGIN = re.compile(r"http://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?")
_NO_LOG = "error_log /dev/null emerg;"  # a line would name the address, which holds a grant
_ERRORS = {
    "599": "refuse",
    "403 404": "missing",
    "412": "changed",
    "416": "outside",
    "500 503": "broken",
}


@dataclass(frozen=True)
class Site:
    """Where nginx listens, where the web servers are, and what nginx may use.

    ``web`` are origins like http://127.0.0.1:2001. ``certificate`` and ``certificate_key`` are files;
    without them nginx speaks plain HTTP. ``ended_memory`` bounds the number of ended sessions: 8 MB hold
    31,000. ``bucket_ca`` has the certificates that may vouch for the bucket; None: those of the system.
    ``module`` is the file of njs, for an nginx that does not have it built in. ``redirect`` is where
    plain HTTP is answered with a redirect to HTTPS.
    """

    folder: Path
    web: list[str]
    listen: str = "443"
    certificate: Path | None = None
    certificate_key: Path | None = None
    resolver: str = ""
    user: str = ""
    ended_memory: str = "64m"
    bucket_ca: Path | None = None
    module: str = ""
    redirect: str = ""


def facts(site: Site) -> dict[str, Any]:
    """Return the facts for the check inside nginx: keys, limits, and the answers that are refusals."""
    where = {"root": "", "bucket": bucket.facts()} if bucket.is_used() else {"root": _root()}
    return {
        "key": _base64(settings.GRANT_KEY),
        "secret": link.secret(),
        "binding": settings.BIND_PLAYBACK,
        **where,
        "web": [origin.rstrip("/") for origin in site.web],
        "path": link.PATH,
        "stale_ms": int(snapshot.STALE_SECONDS * 1000),
        "full_ms": int(snapshot.FULL_LOAD_SECONDS * 1000),
        "exchange_ms": EXCHANGE_MS,
        "run_ms": RUN_MS,
        "batch": NOTES_OF_AN_EXCHANGE,
        "poster": POSTER,
        "changing": dict.fromkeys(sorted(files.CHANGING), True),  # preloaded lists have no methods
        "answers": answers.table(),
    }


def _root() -> str:
    return str(store().delivered()[0])


def _base64(value: bytes) -> str:
    return b64encode(value).decode()


def write(site: Site) -> None:
    """Write the scripts and the facts into the site's folder, each whole or not at all."""
    (site.folder / "tmp").mkdir(parents=True, exist_ok=True)
    _replace(site.folder / FACTS, json.dumps(facts(site), indent=1, sort_keys=True), 0o600)
    for name in SCRIPTS:
        _replace(site.folder / name, (HERE / name).read_text(encoding="utf-8"), 0o644)


def is_current(folder: Path) -> bool | None:
    """Return whether the written files still follow the settings; None when there are none."""
    try:
        written = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        scripts = [(folder / name).read_text(encoding="utf-8") for name in SCRIPTS]
    except FileNotFoundError:
        return None
    expected = facts(Site(folder, written.get("web", [])))
    ours = [(HERE / name).read_text(encoding="utf-8") for name in SCRIPTS]
    return bool(written == expected and scripts == ours)


def _replace(path: Path, text: str, mode: int) -> None:
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    new.replace(path)


def render(site: Site) -> str:
    """Return nginx.conf. It holds no secret. Raises ValueError for a text that nginx would misread."""
    if bucket.is_used():
        bucket.require_moved()
    is_any = settings.CORS_ALLOW_ALL_ORIGINS
    given = {
        "folder_quoted": _quoted(str(site.folder)),
        "script": _quoted(str(site.folder / SCRIPT)),
        "facts": _quoted(str(site.folder / FACTS)),
        "pid": _quoted(str(site.folder / "nginx.pid")),
        "temporary": _quoted(str(site.folder / "tmp"))[1:-1],
        "module": f"load_module {_quoted(site.module)};\n" if site.module else "",
        "user": f"user {_word(site.user)};\n" if site.user else "",
        "resolver": f"    resolver {_word(site.resolver)} valid=10s;\n" if site.resolver else "",
        "ended_memory": _word(site.ended_memory),
        "upstreams": "\n".join(
            f"        server {_host(each)} max_fails=1 fail_timeout=2s;" for each in site.web
        ),
        "origins": "\n".join(
            f"        {_quoted(origin)} {_quoted(origin)};"
            for origin in dict.fromkeys(settings.CORS_ALLOWED_ORIGINS)
            if origin != "null"
        ),
        "other_origins": '"*"' if is_any else '""',
        "vary": "" if is_any else "Origin",
        "listen": _listen(site),
        "redirect": _redirect(site),
        "types": "\n".join(
            f"        {kind.decode()} {extension};"
            for extension, kind in files.CONTENT_TYPES.items()
        ),
        "run_ms": str(RUN_MS),
        "bucket": _bucket(site),
        "periodic": f" js_periodic bucket.report interval={bucket.REPORT};"
        if bucket.is_used()
        else "",
        "locations": _locations(site),
    }
    text = _MAIN
    for name, value in given.items():
        text = text.replace(f"@{{{name}}}", value)
    return text


def _listen(site: Site) -> str:
    lines = [f"        listen {_word(site.listen)}{' ssl' if site.certificate else ''};"]
    if site.certificate and site.certificate_key:
        lines += [
            "        http2 on;",
            f"        ssl_certificate {_quoted(str(site.certificate))};",
            f"        ssl_certificate_key {_quoted(str(site.certificate_key))};",
            "        ssl_protocols TLSv1.2 TLSv1.3;",
            "        ssl_session_cache shared:vod_tls:10m;",
        ]
    return "\n".join(lines)


def _redirect(site: Site) -> str:
    """Return a server that redirects to HTTPS. It logs nothing: the addresses may hold grants."""
    if not site.redirect:
        return ""
    return (
        f"    server {{\n        listen {_word(site.redirect)};\n        access_log off;\n"
        f"        return 301 https://$host{_port_outside(site)}$request_uri;\n    }}\n"
    )


def _port_outside(site: Site) -> str:
    """Return the port at which clients reach HTTPS, as it stands in an address: PUBLIC_URL knows it.

    Without PUBLIC_URL it is the one on which nginx listens.
    """
    address = urlsplit(settings.PUBLIC_URL)
    if address.scheme == "https":
        port = str(address.port or 443)
    else:
        port = site.listen.split()[0].rpartition(":")[2]
    return f":{port}" if port.isdecimal() and port != "443" else ""


def _bucket(site: Site) -> str:
    """Return the lines of the block ``http`` that a bucket needs."""
    if not bucket.is_used():
        return ""
    folder, script = _quoted(str(site.folder))[1:-1], _quoted(str(site.folder / bucket.SCRIPT))
    resolver = _word(site.resolver) if site.resolver else ""
    return "\n".join(f"    {line}" for line in bucket.http(folder, script, resolver)) + "\n"


def _locations(site: Site) -> str:
    """Return the locations of published files: of texts and of the others, each with and without ranges.

    nginx reads Range otherwise than the embedded engine (several ranges, HEAD, malformed ones), so it
    gets to see only those that both read alike.
    """
    video = f"(?<media_video>{ids.FORM})"
    changing = "|".join(sorted(files.CHANGING))
    fixed = "|".join(sorted(set(files.CONTENT_TYPES) - files.CHANGING))
    module, has_tag = ("bucket", False) if bucket.is_used() else ("media", True)
    parts = []
    for is_ranged in (False, True):
        # nginx tries them in this order, and most requests are for segments.
        for extensions, is_changing in ((fixed, False), (changing, True)):
            if is_changing and not is_ranged:
                parts.append(_texts_of_previews(video, changing))
            path = (
                rf"(?<media_version>{files.PART})(?:/{files.PART}){{0,7}}"
                rf"\.(?<media_extension>{extensions})"
            )
            prefix = "/ranged" if is_ranged else ""
            cache = answers.CHANGING_CACHE if is_changing else answers.SEGMENT_CACHE
            lines = [
                "internal;" if is_ranged else "set $media_path $uri;",
                "" if is_ranged else "if ($media_ranged) { rewrite ^ /ranged$uri last; }",
                "max_ranges 1;" if is_ranged else "max_ranges 0;",
                "" if is_ranged else _header("Accept-Ranges", "bytes"),
                'set $media_file "$media_video/$media_name";',
                f'set $media_cache "{cache.decode()}";',
                _header("Cache-Control", "$media_cache"),
                "open_file_cache off;" if is_changing else "",
                # A text may change at any moment: its tag is made before the file is opened.
                "etag off;" if is_changing and has_tag else "",
                _header("ETag", "$media_tag") if is_changing and has_tag else "",
                "js_access media.judge;",
                f"js_header_filter {module}.begun;",
                "access_log /dev/null nothing if=$media_noted;",
                *(_from_bucket(site, is_changing) if bucket.is_used() else _from_folder()),
                _errors(),
                _common(),
            ]
            body = "\n".join(f"            {line}" for line in lines if line)
            pattern = f"^{prefix}/media/(?<media_grant>{_GRANT})/{video}/(?<media_name>{path})$"
            parts.append(f'        location ~ "{pattern}" {{\n{body}\n        }}')
    # A player asks for a key every two minutes.
    parts.append(_answered_by_web(f"/media/{_GRANT}/{ids.FORM}{_KEY}"))
    for name in ("refuse", "missing", "changed", "outside", "broken"):
        parts.append(
            f"        location @{name} {{\n            js_content {module}.{name};\n"
            f"            {_NO_LOG}\n            {_common()}\n        }}"
        )
    parts.append(
        "        location @away {\n            js_content media.broken;\n"
        f"            {_NO_LOG}\n            {_common()}\n        }}"
    )
    if bucket.is_used():
        parts.append(bucket.mark(_authority(site)))
    parts.append(
        "        location /media/ {\n"
        "            set $media_path /;  # no published name: every method but OPTIONS is refused\n"
        "            js_access media.judge;\n"
        f"            {_errors()}\n            {_common()}\n        }}"
    )
    return "\n".join(parts)


def _texts_of_previews(video: str, extensions: str) -> str:
    """Return the location of the texts of previews: the web server checks the grant, and cuts them."""
    grant = rf"[A-Za-z0-9_-]{{{grants.PREVIEW_CHARACTERS}}}"
    return _answered_by_web(f"/media/{grant}/{video}/.+\\.({extensions})")


def _answered_by_web(path: str) -> str:
    """Return the location of paths for which a web server checks the grant and makes the answer."""
    lines = [
        _NO_LOG,
        "proxy_pass http://vod_web;",
        "proxy_http_version 1.1;",
        'proxy_set_header Connection "";',
        "proxy_set_header Host $http_host;",
        "proxy_set_header X-Forwarded-Proto $scheme;",
        "proxy_set_header X-Forwarded-For $remote_addr;",
        "proxy_set_header X-Request-ID $media_request_id;",
        # The web server refuses a long body, and one without a grant, before it has arrived.
        "proxy_request_buffering off;",
        "proxy_connect_timeout 3s;",
        "proxy_intercept_errors off;",
        "error_page 502 504 = @away;",
    ]
    body = "\n".join(f"            {line}" for line in lines)
    return f'        location ~ "^{path}$" {{\n{body}\n        }}'


def _from_folder() -> list[str]:
    root = _quoted(_root())[1:-1]
    return [f'disable_symlinks on "from={root}";', f'alias "{root}/$media_file";']


def _from_bucket(site: Site, is_changing: bool) -> list[str]:
    return bucket.location(is_changing=is_changing, authority=_authority(site))


def _authority(site: Site) -> str:
    """Return the file of the certificates that vouch for the bucket, if it speaks TLS."""
    if not bucket.is_encrypted():
        return ""
    return _quoted(str(site.bucket_ca or bucket.authorities()))


def _errors() -> str:
    """Return where refusals go."""
    answered = bucket.errors() if bucket.is_used() else _ERRORS
    pages = [f"error_page {codes} = @{name};" for codes, name in answered.items()]
    return "\n            ".join([*pages, _NO_LOG])


def _common() -> str:
    """Return the headers of every answer."""
    headers = {name.decode(): value.decode() for name, value in answers.EVERYWHERE}
    headers |= {
        "Access-Control-Allow-Origin": "$media_origin",
        "Vary": "$media_vary",
        "X-Request-ID": "$media_request_id",
        "Last-Modified": "",
    }
    return "\n            ".join(_header(name, value) for name, value in headers.items())


def _header(name: str, value: str) -> str:
    return f'add_header {name} "{value}" always;'


def _host(origin: str) -> str:
    if not _ORIGIN.fullmatch(origin):
        raise ValueError(
            f"nginx cannot read this text: {origin!r}. A web server is an origin like "
            "http://127.0.0.1:2001, without TLS and without a path."
        )
    return _word(origin.removeprefix("http://").rstrip("/"))


def _word(text: str) -> str:
    """Return a text that stands in nginx.conf without quotes."""
    if not text or any(character in text for character in "\"'\\;{}$#\n"):
        raise ValueError(f"nginx cannot read this text: {text!r}")
    return text


def _quoted(text: str) -> str:
    if any(character in text for character in '"\\$\n'):
        raise ValueError(f"nginx cannot read this text: {text!r}")
    return f'"{text}"'


_MAIN = (HERE / "nginx.conf.template").read_text(encoding="utf-8")
