"""Public ids."""

import uuid

from uuid_utils import compat


def uuid7() -> uuid.UUID:
    """A new UUIDv7 (RFC 9562, section 5.7): unique, and ordered by the time it was made."""
    return compat.uuid7()
