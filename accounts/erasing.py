"""The erasure of an account: refused, begun at once, and carried through by the worker.

`begin` gives the user a pseudonym and ends whatever they could still do, in one transaction. Everything
else that tells of the person goes in `finish`, by the entries of `config.personal`; each is safe to
repeat, so an erasure that was killed goes on with the next attempt.
"""

import logging
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

from django.db import OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone

import audit.services as audit
from accounts import api_keys, links, services, tokens, totp
from accounts.errors import LastAdmin, TotpRefused, TotpRequired, TotpWrong, WrongPassword
from accounts.models import Erasure, User
from accounts.roles import Role
from accounts.signals import user_deactivated, user_erasing
from audit.actions import AuditAction
from config import personal
from config.personal import Fate, Person, Rows

logger = logging.getLogger(__name__)

# After an attempt that failed or died. Much longer than an attempt takes.
AGAIN_AFTER = timedelta(minutes=10)
DOMAIN = "erased.invalid"  # RFC 2606: no mail can reach it


def ask(*, user: User, current_password: str, code: str = "") -> Erasure:
    """Begin the erasure that a user asks for themselves, with a code of their second factor if it is on.

    Raises WrongPassword, TotpWrong, TotpLocked, and what `begin` raises.
    """
    _prove_owner(user, current_password, code)
    return begin(user_id=user.pk, actor=user)


def _prove_owner(user: User, current_password: str, code: str) -> None:
    if not user.check_password(current_password):
        raise WrongPassword()
    try:
        totp.check(user, code)
    except (TotpRequired, TotpRefused):
        raise TotpWrong() from None


@transaction.atomic
def begin(*, user_id: uuid.UUID, actor: User | None) -> Erasure:
    """Take name, address, password and every access from a user, for good. Safe to repeat.

    The address is free at once. The worker removes the rest within minutes (`go_on`).

    Raises NotVisible, LastAdmin, and MoneyOwed and MoneyMoving (`accounts.signals.user_erasing`).
    """
    user, admins = services.locked(user_id)
    begun = Erasure.objects.filter(user=user).first()
    if begun is not None:
        return begun
    check(user, admins)
    was_active = user.is_active
    erasure = Erasure.objects.create(
        user=user, email=user.email, display_name=user.display_name, asked_by=actor
    )
    _give_pseudonym(user)
    tokens.end_all(user)
    api_keys.end_all(user)
    links.end_all(user)
    audit.record(actor=actor, action=AuditAction.ERASURE_BEGUN, target=user)
    if was_active:
        user_deactivated.send(sender=User, user=user, actor=actor)
    return erasure


def check(user: User, admins: list[User]) -> None:
    """Refuse the erasure of a user by LastAdmin, MoneyOwed or MoneyMoving. Changes nothing."""
    if user.is_active and admins == [user]:
        raise LastAdmin()
    user_erasing.send(sender=User, user=user)


def _give_pseudonym(user: User) -> None:
    user.email = f"{user.pk.hex}@{DOMAIN}"
    user.display_name = ""  # User.public_name is the pseudonym
    user.role = services.group_of(Role.VIEWER)
    user.is_active = user.is_staff = user.is_moderator = user.is_superuser = False
    user.email_verified = False
    user.embed_domains = []
    user.last_login = None
    user.set_unusable_password()
    user._password = None  # no password was changed (accounts.passwords)
    user.save()
    user.groups.clear()
    user.user_permissions.clear()


def go_on() -> int:
    """Carry through the erasures that were begun; return how many have ended. Runs every minute.

    An erasure is taken by the process whose UPDATE moves ``not_before``. One that fails is logged, and
    tried again after AGAIN_AFTER.
    """
    now, ended = timezone.now(), 0
    waiting = Erasure.objects.filter(finished_at=None, not_before__lte=now).order_by("not_before")
    for erasure in waiting[:20]:
        taken = waiting.filter(pk=erasure.pk).order_by()
        if not taken.update(not_before=now + AGAIN_AFTER, attempts=F("attempts") + 1):
            continue
        try:
            finish(erasure)
        except Exception:
            logger.exception("The %s has failed, and is tried again", erasure)
        else:
            ended += 1
    return ended


def finish(erasure: Erasure) -> None:
    """Remove what tells of the person, app by app, and at last the former name and address.

    Safe to repeat, and to go on with after a kill.
    """
    user = User.objects.get(pk=erasure.user_id)
    person = Person(
        user.pk, erasure.email, erasure.display_name, user.public_name, erasure.asked_at
    )
    for entry in personal.entries():
        entry.apply(person)
    with transaction.atomic():
        ended = Erasure.objects.filter(pk=erasure.pk, finished_at=None).update(
            finished_at=timezone.now(), email="", display_name=""
        )
        if ended:
            audit.record(actor=None, action=AuditAction.USER_ERASED, target=user)
    _empty_log_of_changes()


def _empty_log_of_changes() -> None:
    """Have SQLite move its log of changes (WAL) into the database and empty it: it has the old texts.

    A reader of this moment prevents that; later writes then overwrite the log, as ever.
    """
    if connection.vendor == "sqlite" and not connection.in_atomic_block:
        with suppress(OperationalError), connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def described(fate: Fate) -> Iterator[Rows]:
    """Yield the entries of the rows that an erasure removes, makes anonymous or keeps."""
    return (entry for entry in personal.entries() if entry.fate == fate)
