"""The keys that seal the audit log and sign its checkpoints, from AUDIT_KEYS of the settings."""

import hashlib
import hmac
from functools import lru_cache
from typing import NamedTuple

from django.conf import settings


class Key(NamedTuple):
    """One key of the audit log. Its id is derived from it, and does not reveal it."""

    id: str
    chain: bytes
    checkpoint: bytes


class UnknownKey(Exception):
    """A key that is needed is not in the settings of this process."""

    def __init__(self, key_id: str) -> None:
        super().__init__(
            f"the audit log is sealed with the key {key_id}, which is not in the settings of this"
            " process. Set AUDIT_KEY as the worker has it. If the key was changed, add the earlier"
            " value to AUDIT_KEY_FALLBACKS, or to SECRET_KEY_FALLBACKS if it was SECRET_KEY"
        )


def current() -> Key:
    """Return the key that seals new entries."""
    return _ring(tuple(settings.AUDIT_KEYS))[0]


def known() -> list[Key]:
    """Return all keys of the settings, the current one first."""
    return _ring(tuple(settings.AUDIT_KEYS))


def age(key_id: str) -> int:
    """Return the place of a key in the list of keys: 0 is the current one. Raises UnknownKey."""
    for place, key in enumerate(_ring(tuple(settings.AUDIT_KEYS))):
        if key.id == key_id:
            return place
    raise UnknownKey(key_id)


def find(key_id: str) -> Key:
    """Return the key with this id. Raises UnknownKey."""
    return _ring(tuple(settings.AUDIT_KEYS))[age(key_id)]


@lru_cache(maxsize=8)
def _ring(secrets: tuple[bytes, ...]) -> list[Key]:
    def derived(secret: bytes, purpose: str) -> bytes:
        return hmac.digest(secret, f"{purpose}\x01".encode(), hashlib.sha256)

    return [
        Key(derived(s, "id").hex()[:16], derived(s, "chain"), derived(s, "checkpoint"))
        for s in dict.fromkeys(secrets)
    ]
