"""What a bucket gives to somebody without any right."""

from collections.abc import Iterator, Mapping
from urllib.parse import quote, urlsplit

from django.conf import settings

from streaming.leaks.asking import Answer, Door


def answers(names: Mapping[str, str]) -> Iterator[tuple[str, Answer]]:
    """Ask the bucket for its list and for files, without a key. ``names`` has their names by class.

    Yields nothing where the files lie in a folder, which nobody reaches over the network.
    """
    if settings.STORAGE != "s3":
        return
    endpoint = settings.S3_PUBLIC_ENDPOINT or settings.S3_ENDPOINT
    parts = urlsplit(endpoint or f"https://s3.{settings.S3_REGION}.amazonaws.com")
    host = parts.netloc if settings.S3_PATH_STYLE else f"{settings.S3_BUCKET}.{parts.netloc}"
    door = Door(f"{parts.scheme}://{host}")
    home = f"/{settings.S3_BUCKET}/" if settings.S3_PATH_STYLE else "/"
    yield "list of the bucket", door.ask(f"{home}?list-type=2")
    for kind, name in names.items():
        yield f"{kind} in the bucket", door.ask(home + quote(settings.S3_PREFIX + name))
