"""Requests to a bucket, or a CDN in front of it, by a client without any right."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from urllib.parse import quote, urlsplit

from django.conf import settings

from streaming.leaks.asking import Answer, Door
from videos.encryption import keys, versions


def clear_answers(segments: Sequence[str]) -> Iterator[tuple[str, Answer, bool]]:
    """Ask another host (CDN_URL) for segments, and for what lies beside them, without any right.

    Yields what was asked for, the answer, and whether it gives something that nobody may have there:
    everybody may have segments, as long as they are encrypted, and nothing else.
    """
    for segment in dict.fromkeys((*segments[:1], *segments[-1:])):
        parts = urlsplit(segment)
        door = Door(f"{parts.scheme}://{parts.netloc}")
        answer = door.ask(parts.path)
        is_clear = versions.is_clear(answer.body[:8], len(answer.body))
        yield "clear segment of the CDN", answer, answer.is_open and is_clear
        track, _, _ = parts.path.rpartition("/")
        answer = door.ask(f"{track}.m3u8")
        yield "playlist of the CDN", answer, answer.is_open


def answers(names: Mapping[str, str]) -> Iterator[tuple[str, Answer]]:
    """Ask the bucket for its list and for files, without a key. ``names`` has their names by class.

    Yields nothing where the files lie in a folder, which nobody reaches over the network, and nothing
    about encrypted segments and their initialisation that CDN_URL lets everybody read.
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
        answer = door.ask(home + quote(settings.S3_PREFIX + name))
        if not (answer.is_open and _may_be_public(name, answer)):
            yield f"{kind} in the bucket", answer


def _may_be_public(name: str, answer: Answer) -> bool:
    """Whether everybody may read an object: what players fetch from CDN_URL, and no clear segment."""
    version = PurePosixPath(name).parts[-3:][0]
    if not settings.CDN_URL or not keys.is_encrypted(version) or keys.is_common(version):
        return False
    if name.endswith(versions.SEGMENT):
        return not versions.is_clear(answer.body[:8], len(answer.body))
    return name.endswith("/init.mp4")
