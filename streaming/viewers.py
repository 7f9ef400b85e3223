"""Who plays: the device of a request, and the keys by which viewers are counted without naming them."""

import hashlib
import hmac
import uuid
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from config import addresses
from streaming.delivery import grants


@dataclass(frozen=True, slots=True)
class Client:
    """The device of a request: its user agent, and the address that the request came from."""

    user_agent: str
    address: str


def key_of(user_id: uuid.UUID | None, client: Client, now: datetime) -> str:
    """Return the key by which analytics counts different viewers.

    A signed-in user has one key for ever. An anonymous viewer has the HMAC of the date of ``now``,
    the network and the user agent, so they cannot be recognised on the next day.
    """
    if user_id is not None:
        return key_of_user(user_id)
    text = f"{now:%Y-%m-%d}|{network_prefix(client.address)}|{client.user_agent}"
    return f"anon:{_keyed(text)}"


def key_of_user(user_id: uuid.UUID) -> str:
    """Return the key of a signed-in viewer."""
    return f"user:{user_id.hex}"


def network_key(client: Client, now: datetime) -> str:
    """Return the keyed hash of the viewer's own network and of the day."""
    return _keyed(f"{now:%Y-%m-%d}|{addresses.network(client.address)}")


def network_prefix(address: str) -> str | None:
    """Return the first address of the address's network; None for text that is no IP address.

    Grants and analytics need no more, so the full address is never stored.
    """
    return None if addresses.parse(address) is None else grants.network_of(address)


def _keyed(text: str) -> str:
    return hmac.digest(settings.GRANT_KEY, text.encode(), hashlib.sha256).hex()[:40]
