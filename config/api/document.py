"""The OpenAPI document as bytes, made once for each version of the code and of the settings.

drf-spectacular needs a second for it, and must not run in two threads at once: its extensions replace
their ``target_class`` by the class of that name at their first use, without a lock.
"""

import gzip
import hashlib
import logging
import os
import sys
import threading
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer

logger = logging.getLogger(__name__)

RENDERERS = {"json": OpenApiJsonRenderer, "yaml": OpenApiYamlRenderer}
# The libraries that write a part of the document. A new version may write another one.
LIBRARIES = (
    "django", "django-filter", "djangorestframework", "drf-spectacular", "drf-standardized-errors",
    "pyyaml",
)  # fmt: skip
PREPARE_AFTER_SECONDS = 2.0


class Document(NamedTuple):
    """The document in one format; ``digest`` is the SHA-256 of its body in hexadecimal digits."""

    body: bytes
    gzipped: bytes
    digest: str


_made: dict[str, Document] | None = None
_making = threading.Lock()


def documents() -> dict[str, Document]:
    """Return the document in each format of RENDERERS.

    The first call of a process reads it from DATA_DIR, or makes it and stores it there for the other
    processes and the next start. Callers at the same time wait for this one.
    """
    global _made
    if _made is None:
        with _making:
            if _made is None:
                _made = _load() or _make()
    return _made


def prepare() -> None:
    """Make the document soon, in a thread, so that no client has to wait for it.

    The first moments of a process belong to the requests that wait for its start.
    """
    timer = threading.Timer(PREPARE_AFTER_SECONDS, documents)
    timer.daemon = True
    timer.start()


def fingerprint() -> str:
    """Return a hash over everything that the document is made from: code, libraries and settings.

    All settings are part of it, because any serializer may show one in a default or a description. The
    hash reveals none of them, because SECRET_KEY cannot be guessed.
    """
    found = hashlib.sha256(sys.version.encode())
    for path in _code():
        found.update(path.read_bytes())
    for library in LIBRARIES:
        found.update(metadata.version(library).encode())
    for name in sorted(filter(str.isupper, dir(settings))):
        found.update(f"{name}={getattr(settings, name)!r}\n".encode())
    return found.hexdigest()[:32]


def _code() -> list[Path]:
    """Return the files of the code, in one order."""
    apps = [path.parent for path in settings.BASE_DIR.glob("*/__init__.py")]
    found = (path for app in apps for path in app.rglob("*.py"))
    return sorted(path for path in found if not {"tests", "migrations"} & set(path.parts))


def _folder() -> Path:
    folder: Path = settings.DATA_DIR / "openapi"
    return folder


def _load() -> dict[str, Document] | None:
    """Return the stored document of this version, or None if there is none or it is damaged."""
    name, loaded = fingerprint(), {}
    for kind in RENDERERS:
        try:
            digest, _, body = (_folder() / f"{name}.{kind}").read_bytes().partition(b"\n")
        except OSError:
            return None
        document = _document(body)
        if document.digest != digest.decode(errors="replace"):
            return None
        loaded[kind] = document
    return loaded


def _make() -> dict[str, Document]:
    """Make the document and store it. A folder that cannot be written costs the next start a second."""
    schema: Any = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]  # has no annotations
    made = {}
    for kind, renderer in RENDERERS.items():
        body: Any = renderer().render(schema, None, {})
        made[kind] = _document(body)
    try:
        _store(made)
    except OSError as error:
        logger.warning("The OpenAPI document could not be stored in %s: %s", _folder(), error)
    return made


def _store(made: dict[str, Document]) -> None:
    """Write each file whole or not at all, and remove those of other versions."""
    folder, name = _folder(), fingerprint()
    folder.mkdir(exist_ok=True)
    for kind, document in made.items():
        unfinished = folder / f"{name}.{kind}.{os.getpid()}"
        with unfinished.open("wb") as file:
            file.write(document.digest.encode() + b"\n" + document.body)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(folder / f"{name}.{kind}")
    for path in folder.iterdir():
        if path.stem.partition(".")[0] != name:
            path.unlink(missing_ok=True)


def _document(body: bytes) -> Document:
    return Document(body, gzip.compress(body, mtime=0), hashlib.sha256(body).hexdigest())
