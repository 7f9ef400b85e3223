"""Readers of the settings of the object storage (STORAGE=s3) and the delivery. A key is never shown."""

import re
from importlib.util import find_spec

from config.env import choice, read, wrong

# The names that Amazon allows and servers of others too (S3 user guide, bucket naming rules).
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z0-9-]{1,40}")
_PREFIX = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,99}/)*")
_CDN = re.compile(r"https?://[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?(?:/[A-Za-z0-9_.~-]{1,100}){0,8}")
REGION = "us-east-1"


def bucket(name: str) -> str:
    """Return the name of a bucket, or an empty string."""
    return _matching(name, _BUCKET, "it must be the name of a bucket", example="vod-media")


def region(name: str) -> str:
    """Return the name of a region, which servers outside of Amazon mostly ignore."""
    return _matching(name, _REGION, "it must be the name of a region", example=REGION) or REGION


def prefix(name: str) -> str:
    """Return the beginning of all keys: empty, or folders with a slash at the end."""
    value = read(name).strip("/")
    found = f"{value}/" if value else ""
    if not _PREFIX.fullmatch(found):
        allowed = "it must be folders of letters, digits, dots, dashes and underscores"
        wrong(name, allowed, example="vod/")
        return ""
    return found


def delivery(name: str, *, storage: str, bucket: str, access_key: str) -> str:
    """Return who sends the files of videos: ``embedded`` or ``nginx``.

    nginx needs them all on its disk, or all in a bucket for which it has a key.
    """
    value = choice(name, "embedded", among=("embedded", "nginx"))
    if value != "nginx":
        return value
    if storage == "local" and bucket:
        allowed = (
            "it needs STORAGE=s3, or STORAGE=local without S3_BUCKET: nginx looks in one place"
        )
        wrong(name, allowed, example="embedded")
    elif storage == "s3" and not access_key:
        allowed = "with STORAGE=s3 it needs S3_ACCESS_KEY and S3_SECRET_KEY, with which nginx signs"
        wrong(name, allowed, example="embedded")
    return value


def cdn(name: str, *, encryption: str) -> str:
    """Return the address of the folder of all videos on the host that sends segments, or "".

    It is an origin, perhaps with a path, without a slash at the end. Segments must be encrypted there.
    """
    value = read(name).rstrip("/")
    if value and encryption == "none":
        wrong(name, "it needs HLS_ENCRYPTION: everybody can read segments there", example="")
        return ""
    if value and encryption == "cbcs":
        wrong(name, "it needs HLS_ENCRYPTION=aes-128, whose keys end after two minutes", example="")
        return ""
    if value and not _CDN.fullmatch(value):
        allowed = "it must be an address like https://host or https://host/folder, without a query"
        wrong(name, allowed, example="https://cdn.example.com/videos")
        return ""
    return value


def require_all(*, bucket: str, access_key: str, secret_key: str) -> None:
    """Note as wrong what STORAGE=s3 lacks."""
    if not bucket:
        allowed = "it needs S3_BUCKET (docs/operations.md, Object storage)"
        wrong("STORAGE", allowed, example="local")
    if find_spec("boto3") is None:
        allowed = "it needs boto3: pip install -r requirements-s3.txt"
        wrong("STORAGE", allowed, example="local")
    if bool(access_key) != bool(secret_key):
        wrong(
            "S3_SECRET_KEY" if access_key else "S3_ACCESS_KEY",
            "S3_ACCESS_KEY and S3_SECRET_KEY belong together; without both, the role of this machine is "
            "used",
            example="the-key-of-the-bucket",
            shown=" (not set)",
        )


def _matching(name: str, form: re.Pattern[str], allowed: str, *, example: str) -> str:
    value = read(name)
    if value and not form.fullmatch(value):
        wrong(name, allowed, example=example)
        return ""
    return value
