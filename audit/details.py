"""The details of an audit entry for people: what changed, field by field, and the other values."""

import json
import re
import uuid
from typing import Any, NamedTuple

from audit.actions import AuditAction
from config import money

HIDDEN = "(not shown)"
UNRECORDED = "(changed; the log does not keep the value)"
# No service writes such values to the log. If one ever does, the page does not show them.
_SENSITIVE = re.compile(
    r"passw|secret|token|credential|cookie|authori[sz]ation|card|cvc|iban|email|e_mail|address"
    r"|api_?key|private_?key|signature|session_?key|otp",
    re.IGNORECASE,
)
_MONEY = frozenset({"amount", "price", "rental_price", "kept", "fee", "discount", "list_amount"})
# What `before` and `after` of an entry without field names are about.
_SUBJECTS = {AuditAction.ROLE_CHANGED.value: "role", AuditAction.MODE_CHANGED.value: "mode"}


class Change(NamedTuple):
    """One changed field, as text."""

    field: str
    before: str
    after: str


class Detail(NamedTuple):
    """One other value of an entry; ``about`` is the id of the thing that it names, or empty."""

    name: str
    value: str
    about: str


def changes(action: str, data: dict[str, Any]) -> list[Change]:
    """Return the changed fields of an entry. Sensitive values are replaced by HIDDEN."""
    found = []
    fields = data.get("changes")
    for name, change in fields.items() if isinstance(fields, dict) else ():
        if isinstance(change, dict) and "after" in change:
            before, after = change.get("before"), change["after"]
            found.append(Change(_words(name), _text(name, before, data), _text(name, after, data)))
        else:
            found.append(Change(_words(name), UNRECORDED, UNRECORDED))
    after_name = next((name for name in ("after", "status") if name in data), None)
    if "before" in data and after_name:
        subject = _SUBJECTS.get(action, "status")
        before, after = data["before"], data[after_name]
        found.append(Change(subject, _text(subject, before, data), _text(subject, after, data)))
    return found


def others(data: dict[str, Any]) -> list[Detail]:
    """Return the values of an entry that are no changes. Sensitive values are replaced by HIDDEN."""
    left = {name: value for name, value in data.items() if name not in {"changes", "before"}}
    if "before" in data:
        left.pop("after" if "after" in left else "status", None)
    if "changes" in data:
        left.pop("fields", None)
    return [
        Detail(_words(name), _text(name, value, data), _id(name, value))
        for name, value in left.items()
        if value is not None
    ]


def summary(action: str, data: dict[str, Any]) -> str:
    """Return what an entry changed, in a few words for a list."""
    found = changes(action, data)
    if len(found) == 1 and found[0].after not in {HIDDEN, UNRECORDED}:
        field, before, after = found[0]
        return f"{field}: {_short(before)} → {_short(after)}"
    if found:
        return ", ".join(change.field for change in found)
    fields = data.get("fields")
    if isinstance(fields, list):
        return ", ".join(_words(str(name)) for name in fields)
    amount = _text("amount", data["amount"], data) if "amount" in data else ""
    return str(data.get("reason") or data.get("admin_reason") or amount)[:80]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"


def _text(name: str, value: Any, data: dict[str, Any]) -> str:
    """Return a value as text. Amounts get the currency of their entry."""
    if _SENSITIVE.search(name):
        return HIDDEN
    currency = data.get("currency")
    if name in _MONEY and isinstance(value, int) and isinstance(currency, str) and currency:
        try:
            return f"{money.to_text(value, currency)} {currency}"
        except (KeyError, ValueError):
            return f"{value} {currency}"
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (dict, list)):
        return json.dumps(_without_secrets(value), ensure_ascii=False, sort_keys=True)
    return str(value)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_secrets(each) for each in value]
    if isinstance(value, dict):
        return {
            name: HIDDEN if _SENSITIVE.search(name) else _without_secrets(each)
            for name, each in value.items()
        }
    return value


def _id(name: str, value: Any) -> str:
    if _SENSITIVE.search(name) or not isinstance(value, str):
        return ""
    try:
        return str(uuid.UUID(value))
    except ValueError:
        return ""
