"""Public ids of database rows."""

import re
import uuid

import uuid_utils
from uuid_utils import compat

# Hexadecimal digits in upper case are read too, and never written (RFC 9562, section 4).
FORM = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"


def uuid7() -> uuid.UUID:
    """Return a new UUIDv7 (RFC 9562, section 5.7). Later ids of one process sort after earlier ones."""
    return compat.uuid7()


def uuid7_text() -> str:
    """Return the text of a new UUIDv7, for many rows at once: no `uuid.UUID` is made."""
    return str(uuid_utils.uuid7())


def parse(text: str) -> uuid.UUID:
    """Return the id that a text of the usual form stands for. Raises ValueError for all other forms.

    Python alone would also read ids in braces, without hyphens and as ``urn:uuid:…``.
    """
    if not re.fullmatch(FORM, text):
        raise ValueError(text)
    return uuid.UUID(text)


def as_written(text: str) -> str:
    """Return a text with the ids in it as this service writes them, in lower case."""
    return re.sub(FORM, lambda found: found[0].lower(), text)


class IdConverter:
    """Ids in paths: ``<id:pk>``."""

    regex = FORM

    def to_python(self, value: str) -> uuid.UUID:
        return parse(value)

    def to_url(self, value: uuid.UUID | str) -> str:
        return str(value)
