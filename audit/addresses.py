"""The names under which the log holds e-mail addresses that have no account."""

import hashlib
import hmac

from django.conf import settings

from audit.services import Named
from config import emails

TYPE = "address"


def named(email: str) -> Named:
    """Return the name of an address: a keyed hash, the same however the address is written.

    Nobody can read the address from it, or test one without the key, which is derived from SECRET_KEY.
    After a change of that key, an address has another name.
    """
    form = emails.stored_forms(email)[-1].encode("utf-8", "surrogatepass")
    digest = hmac.digest(settings.ADDRESS_NAME_KEY, form, hashlib.sha256)
    return Named(TYPE, digest.hex()[:40])
