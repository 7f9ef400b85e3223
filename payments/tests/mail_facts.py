"""Facts for each template of a mail, for tests and for looking at the mails."""

from pathlib import Path
from typing import Any

from django.conf import settings

from config import mails
from config.templatetags.mails import LINK

FOLDERS = ("payments/templates/payments/mails", "webhooks/templates/webhooks/mails")
VIDEO = "01a21880-93d1-7d4b-b8a3-0f1f6a8f2c55"
TITLE = "The harbour at night & other <b>stories</b>"
ADDRESS = "ann.o'neil+films@example.com"


def templates() -> list[str]:
    """Return the names of all templates of mails, as they lie in the folders."""
    root = Path(settings.BASE_DIR)
    return sorted(
        f"{folder.partition('templates/')[2]}/{path.name}"
        for folder in FOLDERS
        for path in (root / folder).iterdir()
    )


def variants(title: str = TITLE) -> list[tuple[str, dict[str, Any]]]:
    """Return each mail that can be sent: a template, and facts as its writer gives them."""
    watch = mails.watch_page(VIDEO)
    video = {"title": title, "watch_page": watch}
    order = {**video, "order": "01a21883-0a52-7f00-8d8e-52a4d0b6c9aa"}
    preorder = {"available_from": "1 December 2026, 10:00 UTC"}
    decided = {**video, "appeal_page": mails.page(f"/appeal/{VIDEO}"), "reason": "", "note": ""}
    reasoned = {**decided, "reason": "infringes a copyright", "note": f"{title}\nSee from 1:20."}
    account = {"email": ADDRESS, "link": LINK}
    plan = {"plan": "Everything & more", "until": "28 December 2026"}
    page = "https://pay.example.com/i/1?a=1&b=2"
    payout = {"amount": "120.00 USD", "failure": "The account is closed <R02>."}
    of_payments: list[tuple[str, dict[str, Any]]] = [
        ("reset_password", account),
        ("verify_email", account),
        ("verify_new_email", account),
        ("email_change_asked", {}),
        ("email_in_use", {}),
        ("email_changed", {}),
        ("password_changed", account),
        *(
            ("second_factor", {**account, "what": what})
            for what in ("on", "off", "reset", "guessed", "recovery code used")
        ),
        ("linked_identity", {**account, "provider": "Example & Company"}),
        ("unlinked_identity", {**account, "provider": "Example & Company"}),
        (
            "wrong_passwords",
            {**account, "since": "27 November 2026, 10:00", "failures": 40, "networks": 3},
        ),
        (
            "strange_sign_in",
            {**account, "at": "27 November 2026, 10:00", "network": "203.0.113.0/24"},
        ),
        ("warned", reasoned),
        ("warning_withdrawn", decided),
        ("taken_down", reasoned),
        ("restored", decided),
        ("appeal_rejected", {**decided, "note": "It is still the same."}),
        ("suspended", {**reasoned, "title": ""}),
        ("suspension_lifted", decided),
        ("reports_wait", {"cases": 3, "appeals": 1, "desk": mails.page("/admin/")}),
        ("receipt", {**order, "price": "19.99 USD", "is_rental": False}),
        ("receipt", {**order, "price": "19.99 USD", **preorder}),
        ("refund", {**order, "is_free": False, "is_whole": True, **preorder}),
        ("refund", {**order, "is_free": True, "is_whole": True, **preorder}),
        ("receipt", {**order, "price": "3.99 USD", "is_rental": True}),
        ("refund", {**order, "is_free": False, "is_whole": True}),
        ("refund", {**order, "is_free": False, "is_whole": False}),
        ("refund", {**order, "is_free": True, "is_whole": True}),
        ("subscription_begun", plan),
        ("subscription_unpaid", plan),
        ("trial_over", plan),
        ("subscription_returned", {**plan, "amount": "9.99 USD", "is_by_bank": False}),
        ("subscription_returned", {**plan, "amount": "9.99 USD", "is_by_bank": True}),
        ("confirm_upgrade", {**plan, "present": "Basic", "page": page}),
        ("confirm_renewal", {**plan, "page": page}),
        ("renewal_unpaid", {**plan, "page": page, "is_first": False}),
        ("renewal_unpaid", {**plan, "page": "", "is_first": True}),
        ("payout_paid", payout),
        ("payout_failed", payout),
        ("payout_returned", payout),
        ("payout_canceled", payout),
    ]
    endpoint = {
        "name": "The shop <one>",
        "reason": "It has taken no event for 3 days.",
        "given_up": 12,
        "endpoint": "01a21882-4f6c-7b21-9d0e-5c3a8f1e7b44",
    }
    return [
        *((f"payments/mails/{name}.html", facts) for name, facts in of_payments),
        ("webhooks/mails/endpoint_disabled.html", endpoint),
    ]
