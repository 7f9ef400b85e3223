"""The objects of the stand-in, its errors, and how lists and answers show the objects."""

import threading
import time
from itertools import count

API_VERSION = "2026-10-28.endive"
DAY = 86_400


class Refused(Exception):
    """An error answer of the stand-in: HTTP status and Stripe's error body."""

    invoice: dict  # set only if the payment of this invoice failed; the invoice stays open

    def __init__(self, status: int, message: str, **error):
        super().__init__(message)
        self.status = status
        kinds = {402: "card_error", 429: "rate_limit_error", 500: "api_error"}
        self.body = {
            "error": {"type": kinds.get(status, "invalid_request_error"), "message": message}
            | error
        }


def declined(code: str) -> Refused:
    return Refused(402, "Your card was declined.", code="card_declined", decline_code=code)


def asking() -> Refused:
    code = "subscription_payment_intent_requires_action"
    return Refused(402, "The subscription needs its client at the bank.", code=code)


class Objects:
    """The objects of one Stripe account by their id, in the order in which they were created."""

    def __init__(self) -> None:
        self.objects: dict[str, dict] = {}
        self.asks_always = False  # banks also ask for authentication at renewals and upgrades
        self.settles_in = ""  # the currency of the balance; "": each payment's own
        self.rate = 0.9172  # of the exchange into it
        self.settles_later = False  # charges come on the balance when `settle` is called
        self._ids, self._lock = count(1), threading.RLock()

    def make(self, prefix: str, kind: str, **fields) -> dict:
        """Store a new object, with an id that starts with ``prefix``, and return it."""
        name = f"{prefix}_{next(self._ids):06}"
        self.objects[name] = {
            "id": name, "object": kind, "created": int(time.time()), "livemode": False,
            "metadata": {},
        } | fields  # fmt: skip
        return self.objects[name]

    def find(self, kind: str, name: str, param: str = "id") -> dict:
        """Return the object of this kind and id; raise Refused (404), which names ``param``.

        A deleted object can still be retrieved, and be used for nothing.
        """
        thing = self.objects.get(name)
        is_gone = thing is not None and thing.get("deleted") and param != "id"
        if thing is None or thing["object"] != kind or is_gone:
            raise Refused(404, f"No such {kind}: '{name}'", code="resource_missing", param=param)
        return thing

    def tell(self, event_type: str, about: dict) -> dict:
        """Store and return a new event with the object's current state. Nothing is delivered."""
        return self.make(
            "evt", "event", type=event_type, api_version=API_VERSION,
            data={"object": self.export(about, [])},
        )  # fmt: skip

    def listing(self, kind: str, *, limit=10, starting_after="", created=None, **wanted) -> dict:
        """Return a page of objects, newest first, with the ``wanted`` fields (``status=all``: any)."""
        if wanted.get("status") == "all":
            del wanted["status"]
        since = int((created or {}).get("gte", 0))
        rows = [
            row
            for row in reversed(self.objects.values())
            if row["object"] == kind
            and row["created"] >= since
            and all(row.get(name) == value for name, value in wanted.items())
        ]
        if starting_after:
            rows = rows[[row["id"] for row in rows].index(starting_after) + 1 :]
        page = rows[: int(limit)]
        return {"object": "list", "data": page, "has_more": len(rows) > len(page)}

    def export(self, thing: dict, expand: list[str]) -> dict:
        """Return an object as an answer shows it: without private fields, and expanded at paths."""
        shown = {name: value for name, value in thing.items() if not name.startswith("_")}
        if thing.get("object") == "list":
            inner = [path.removeprefix("data.") for path in expand]
            return shown | {"data": [self.export(row, inner) for row in thing["data"]]}
        for path in expand:
            name, _, rest = path.partition(".")
            value = self.objects.get(thing.get(name, "")) or self._includable(thing, name)
            if value is not None:
                shown[name] = self.export(value, [rest] if rest else [])
        return shown

    def _includable(self, thing: dict, name: str) -> dict | None:
        if thing["object"] == "invoice" and name == "payments":
            return self.listing("invoice_payment", invoice=thing["id"])
        return None
