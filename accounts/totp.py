"""The second factor of a sign-in: six digits of an app (TOTP, RFC 6238), or a recovery code.

pyotp computes the codes. Which one is accepted, and how often, is decided here.
"""

import base64
import hashlib
import hmac
import logging
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pyotp
import segno
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.exceptions import APIException

import audit.services as audit
from accounts import limits, links
from accounts.errors import (
    TotpIsOff,
    TotpIsOn,
    TotpLocked,
    TotpNotBegun,
    TotpRefused,
    TotpRequired,
    TotpWrong,
    WrongPassword,
)
from accounts.models import RecoveryCode, Totp, User
from accounts.roles import Role
from accounts.signals import second_factor_changed
from audit.actions import AuditAction

STEP_SECONDS = 30
DRIFT = 1  # time steps that the clock of a telephone may be wrong, either way
CODE_CHARS = 40  # that are read; a recovery code has 19, with its dashes
CODE = re.compile(r"[0-9]{6}")
RECOVERY_CODES = 10
SETUP_LIFETIME = timedelta(hours=1)
# After so many wrong codes in a row each further one closes the factor for longer: a minute, two, four,
# up to an hour. Somebody who knows the password then has 24 tries a day at a million codes.
FREE_FAILURES = 5
LOCKED_AT_MOST = timedelta(hours=1)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Setup:
    """A set-up that has begun: the secret for the app, as text, as address and as a picture."""

    secret: str
    otpauth_url: str

    @property
    def qr(self) -> str:
        """The address as a picture: an SVG image as a ``data:`` address."""
        return self._code().svg_data_uri(scale=4, light="#fff")

    @property
    def picture(self) -> str:
        """The same as an SVG element, for a page."""
        return self._code().svg_inline(scale=4, light="#fff")

    def _code(self) -> segno.QRCode:
        return segno.make(self.otpauth_url, micro=False)

    def __repr__(self) -> str:  # it may be logged, and the secret must not
        return "Setup(…)"


@dataclass(frozen=True, slots=True)
class State:
    """Whether a second factor is asked for, since when, and how many recovery codes are unused."""

    is_on: bool
    confirmed_at: datetime | None = None
    recovery_codes_left: int = 0


def state_of(user: User) -> State:
    """Return the state of the user's second factor."""
    row = _confirmed(user)
    if row is None:
        return State(is_on=False)
    left = row.recovery_codes.filter(used_at=None).count()
    return State(is_on=True, confirmed_at=row.confirmed_at, recovery_codes_left=left)


def is_on(user: User) -> bool:
    """Return whether a sign-in of the user needs a code."""
    return _confirmed(user) is not None


def must_set_up(user: User) -> bool:
    """Return whether the user may do nothing but set a second factor up (TOTP_REQUIRED_FOR_ADMINS)."""
    return settings.TOTP_REQUIRED_FOR_ADMINS and user.role_name == Role.ADMIN and not is_on(user)


@transaction.atomic
def begin(*, user: User) -> Setup:
    """Begin a set-up and return its secret, which is shown in this answer alone.

    A set-up that had begun is replaced. Nothing is asked for at sign-ins before `confirm`. Raises
    TotpIsOn.
    """
    links.lock(user.pk)
    if is_on(user):
        raise TotpIsOn()
    Totp.objects.filter(user=user).delete()
    secret = pyotp.random_base32(32)
    Totp.objects.create(user=user, sealed_secret=_seal(secret))
    audit.record(actor=user, action=AuditAction.TOTP_BEGUN, target=user)
    return _setup(user, secret)


def begun(user: User) -> Setup | None:
    """Return the user's set-up again, for the page that shows it; None when none has begun."""
    row = _unconfirmed(user)
    secret = _open(row.sealed_secret) if row else None
    return _setup(user, secret) if secret else None


def confirm(*, user: User, code: str) -> list[str]:
    """Turn the second factor on with the first code of the app; return the recovery codes.

    They are shown in this answer alone. The user is told by mail. Raises TotpIsOn, TotpNotBegun, also
    for a set-up that began SETUP_LIFETIME ago, and TotpWrong.
    """
    with transaction.atomic():
        links.lock(user.pk)
        if is_on(user):
            raise TotpIsOn()
        row = _unconfirmed(user)
        secret = _open(row.sealed_secret) if row else None
        if row is None or secret is None:
            raise TotpNotBegun()
        step = _step_of(_normal(code), secret, after=row.last_step)
        if step is None:
            raise TotpWrong()
        now = timezone.now()
        Totp.objects.filter(pk=row.pk, confirmed_at=None).update(confirmed_at=now, last_step=step)
        codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
        RecoveryCode.objects.bulk_create(
            RecoveryCode(totp=row, digest=_digest(row, each)) for each in codes
        )
        audit.record(actor=user, action=AuditAction.TOTP_ON, target=user)
        _tell(user, "on", key=f"{user.pk}:{now.timestamp()}")
    return codes


def turn_off(request: HttpRequest, *, user: User, current_password: str, code: str) -> None:
    """Turn the user's second factor off, with all recovery codes. The user is told by mail.

    Wrong passwords and codes count against the limits of sign-ins. Raises RateLimited, TotpIsOff,
    WrongPassword, TotpWrong and TotpLocked.
    """
    limits.count_attempt(request, user.email)
    if not is_on(user):
        raise TotpIsOff()
    prove_owner(request, user, current_password=current_password, code=code)
    with transaction.atomic():
        _delete(user)
        audit.record(actor=user, action=AuditAction.TOTP_OFF, target=user)
        _tell(user, "off", key=f"{user.pk}:{timezone.now().timestamp()}")


def prove_owner(request: HttpRequest, user: User, *, current_password: str, code: str) -> None:
    """Let a signed-in user pass who knows the password, and the code of the second factor if it is on.

    A wrong one counts against the limits of sign-ins. Raises WrongPassword, TotpWrong and TotpLocked.
    """
    if not user.check_password(current_password):
        limits.count_failure(request, user.email)
        raise WrongPassword()
    try:
        check(user, code)
    except (TotpRequired, TotpRefused):
        limits.count_failure(request, user.email)
        raise TotpWrong() from None


@transaction.atomic
def reset(*, user: User, actor: User | None) -> bool:
    """Take the user's second factor away, because the telephone and the recovery codes are lost.

    ``actor`` is the administrator, None at the shell. The user is told by mail. Return whether there
    was one; without one nothing happens. Safe to repeat.
    """
    links.lock(user.pk)
    if not is_on(user):
        return False
    _delete(user)
    audit.record(actor=actor, action=AuditAction.TOTP_RESET, target=user)
    _tell(user, "reset", key=f"{user.pk}:{timezone.now().timestamp()}")
    return True


def check(user: User, code: str) -> None:
    """Let a sign-in pass whose password is right: at once without a second factor, else by its code.

    ``code`` is six digits or a recovery code; each is good once, also for two sign-ins at the same
    moment. Raises TotpRequired without a code, TotpRefused for a wrong one, and TotpLocked after too
    many wrong ones, until its time is over; a recovery code is taken even then. It counts no request:
    the callers do (`accounts.limits`).
    """
    row = _confirmed(user)
    if row is None:
        return
    text = _normal(code)
    if not text:
        raise TotpRequired()
    refusal = _take_digits(row, text) if CODE.fullmatch(text) else _take_recovery(user, row, text)
    if refusal is not None:
        raise refusal


def unreadable() -> int:
    """Return how many secrets none of the keys opens, for `manage.py doctor`."""
    rows = Totp.objects.exclude(confirmed_at=None).values_list("sealed_secret", flat=True)
    return sum(_open(sealed) is None for sealed in rows.iterator())


def _take_digits(row: Totp, code: str) -> APIException | None:
    """Use a code up. Return why it is refused, None if it is right.

    The refusal is returned and not raised, so that the transaction keeps the count of failures. The row
    is locked: of many guesses at one moment, each sees the failures before it.
    """
    now = timezone.now()
    with transaction.atomic():
        current = Totp.objects.select_for_update(no_key=True).filter(pk=row.pk).first()
        if current is None or current.confirmed_at is None:
            return TotpRefused()  # it was turned off a moment ago; the next sign-in needs none
        if current.locked_until is not None and current.locked_until > now:
            return TotpLocked(current.locked_until - now)
        secret = _open(current.sealed_secret)
        if secret is None:
            logger.error("No key opens the secret of a second factor; see manage.py doctor.")
            return TotpRefused()
        step = _step_of(code, secret, after=current.last_step)
        if step is not None and Totp.objects.filter(pk=row.pk, last_step__lt=step).update(
            last_step=step, failures=0, locked_until=None, sealed_secret=_seal(secret)
        ):
            return None
        current.failures += 1
        beyond = current.failures - FREE_FAILURES
        if beyond >= 0:
            minutes = 2 ** min(beyond, 10)
            current.locked_until = now + min(timedelta(minutes=minutes), LOCKED_AT_MOST)
        current.save(update_fields=["failures", "locked_until"])
        if beyond == 0:
            user = User.objects.get(pk=row.pk)
            _tell(user, "guessed", key=f"{user.pk}:{now:%Y-%m-%d}")
    return TotpRefused()


def _take_recovery(user: User, row: Totp, code: str) -> APIException | None:
    """Use a recovery code up, with the mail about it. Return why it is refused, None if it is right."""
    with transaction.atomic():
        unused = row.recovery_codes.filter(digest=_digest(row, code), used_at=None)
        if not unused.update(used_at=timezone.now()):
            return TotpRefused()
        Totp.objects.filter(pk=row.pk).update(failures=0, locked_until=None)
        left = row.recovery_codes.filter(used_at=None).count()
        audit.record(actor=user, action=AuditAction.TOTP_RECOVERY_USED, target=user, left=left)
        _tell(user, "recovery code used", key=f"{user.pk}:{row.begun_at.timestamp()}:{left}")
    return None


def _delete(user: User) -> None:
    Totp.objects.filter(user=user).delete()  # and its recovery codes


def _tell(user: User, what: str, *, key: str) -> None:
    second_factor_changed.send(sender=Totp, user=user, what=what, key=key)


def _confirmed(user: User) -> Totp | None:
    return Totp.objects.filter(user=user, confirmed_at__isnull=False).first()


def _unconfirmed(user: User) -> Totp | None:
    since = timezone.now() - SETUP_LIFETIME
    return Totp.objects.filter(user=user, confirmed_at=None, begun_at__gt=since).first()


def _step_of(code: str, secret: str, *, after: int) -> int | None:
    """Return the code's time step: within DRIFT of now, later than ``after``; None for a wrong code."""
    now = int(timezone.now().timestamp()) // STEP_SECONDS
    codes = pyotp.TOTP(secret, interval=STEP_SECONDS)
    found = None
    for step in range(now - DRIFT, now + DRIFT + 1):
        if hmac.compare_digest(codes.generate_otp(step), code) and step > after:
            found = step
    return found


def _normal(code: str) -> str:
    """Return a code without the spaces and dashes with which it is shown, in small letters."""
    return re.sub(r"[\s-]", "", code).lower().encode("ascii", "replace").decode()


def _new_recovery_code() -> str:
    text = base64.b32encode(secrets.token_bytes(10)).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, 16, 4))


def _digest(row: Totp, code: str) -> str:
    return hashlib.sha256(f"{row.pk}:{_normal(code)}".encode()).hexdigest()


def _setup(user: User, secret: str) -> Setup:
    issuer = urlsplit(settings.PUBLIC_URL).hostname or "VOD"
    url = pyotp.TOTP(secret, interval=STEP_SECONDS).provisioning_uri(
        name=user.email, issuer_name=issuer
    )
    return Setup(secret=secret, otpauth_url=url)


def _keys() -> MultiFernet:
    """Return the keys that encrypt secrets: the first one encrypts, the others only decrypt."""
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in settings.TOTP_KEYS])


def _seal(secret: str) -> str:
    return _keys().encrypt(secret.encode()).decode()


def _open(sealed: str) -> str | None:
    """Return a secret, None if no key opens it: SECRET_KEY was changed without a fallback."""
    try:
        return _keys().decrypt(sealed.encode()).decode()
    except InvalidToken:
        return None
