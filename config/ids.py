"""Public ids of database rows."""

import uuid

from uuid_utils import compat


def uuid7() -> uuid.UUID:
    """Return a new UUIDv7 (RFC 9562, section 5.7). Later ids of one process sort after earlier ones."""
    return compat.uuid7()
