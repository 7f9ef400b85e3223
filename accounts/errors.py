"""Errors of accounts and tokens."""

import uuid
from datetime import timedelta
from math import ceil

from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed

from config.errors import DomainError, ServiceUnavailable


class WrongCredentials(AuthenticationFailed):
    """The one answer to an unknown address, a wrong password and a deactivated user.

    Different answers would tell strangers which addresses have an account.
    """

    default_code = "wrong_credentials"
    default_detail = (
        "No active user has this e-mail address and password. Check both, and try again."
    )


class TokenInvalid(AuthenticationFailed):
    default_code = "token_invalid"
    default_detail = "This token is not valid. Sign in again to get a new one."


class TokenExpired(AuthenticationFailed):
    default_code = "token_expired"
    default_detail = "This token has expired. Exchange your refresh token, or sign in again."


class TokenReused(AuthenticationFailed):
    default_code = "token_reused"
    default_detail = (
        "This refresh token was used before, so all tokens of its sign-in have been revoked."
        " Sign in again."
    )


class KeyInvalid(TokenInvalid):
    """The one answer to an API key that is unknown, wrong, expired or revoked."""

    default_detail = (
        "This API key is unknown, has expired or was revoked. Make a new one at /auth/api-keys/."
    )


class InsufficientScope(DomainError):
    """An API key is valid, and may not do this (RFC 6750, section 3.1).

    ``scope`` is the scope that it lacks, or None where no key may do it. The request is counted for the
    owner of the key, ``user_id``.
    """

    status_code = status.HTTP_403_FORBIDDEN
    default_code = "insufficient_scope"
    default_detail = "This API key may not do this."

    def __init__(self, scope: str | None, user_id: uuid.UUID) -> None:
        super().__init__(
            f"This API key lacks the scope {scope}. Make a key that has it."
            if scope
            else "API keys may not do this. Sign in, and use the access token."
        )
        self.limit_key = str(user_id)
        self.challenge = 'error="insufficient_scope"' + (f', scope="{scope}"' if scope else "")
        self.extra = {"scope": scope} if scope else None


class TooManyKeys(DomainError):
    default_code = "too_many_api_keys"


class LinkInvalid(DomainError):
    """The one answer to every token of a mail that cannot be used (any more)."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "link_invalid"
    default_detail = (
        "This link was used, has expired, or was replaced by a newer one. Ask for a new one."
    )
    attr = "token"


class EmailTaken(DomainError):
    default_code = "email_taken"
    default_detail = (
        "Another account has this address now, so yours keeps its own. Sign in to that account, or"
        " choose another address."
    )


class AlreadyVerified(DomainError):
    default_code = "already_verified"
    default_detail = (
        "Your address is verified, so there is no link to send. For a link to a new address, ask for the"
        " change again."
    )


class LastAdmin(DomainError):
    default_code = "last_admin"
    default_detail = (
        "This is the last active administrator. Make another user an administrator first."
    )


class AccountErased(DomainError):
    default_code = "account_erased"
    default_detail = "This account was erased, and cannot come back. Its owner can register anew."


class MoneyOwed(DomainError):
    """An account cannot be erased while the platform owes its user money, or the user the platform."""

    default_code = "money_owed"
    default_detail = "Your balance is not zero. Have it paid out first, or ask the operator."


class MoneyMoving(DomainError):
    """An account cannot be erased while a payment, a payout or a dispute of it is under way."""

    default_code = "money_moving"
    default_detail = "Money of this account is still moving. Try again when it has arrived."


class WrongPassword(DomainError):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "wrong_password"
    default_detail = "This is not your current password."
    attr = "current_password"


class TotpRequired(AuthenticationFailed):
    """The password is right, and the account has a second factor."""

    default_code = "totp_required"
    default_detail = (
        "This account has a second factor. Send the six digits that its app shows, or a recovery code,"
        " as `totp`."
    )


class TotpRefused(AuthenticationFailed):
    """The one answer of a sign-in to a code that is wrong, was used before or is too old."""

    default_code = "totp_wrong"
    default_detail = (
        "This code is wrong, has expired or was used before. Wait for the next one, and try again."
    )


class TotpWrong(DomainError):
    """The same, where the caller is signed in already."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "totp_wrong"
    default_detail = TotpRefused.default_detail
    attr = "totp"


class TotpLocked(DomainError):
    """Too many wrong codes in a row were sent with the right password."""

    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_code = "totp_locked"
    default_detail = (
        "Too many wrong codes were sent for this account. Use a recovery code, or try again later."
    )

    def __init__(self, wait: timedelta) -> None:
        self.retry_after = ceil(wait.total_seconds())
        minutes = ceil(self.retry_after / 60)
        super().__init__(
            "Too many wrong codes were sent for this account. Use a recovery code, or try again in"
            f" {minutes} minute{'s' if minutes > 1 else ''}."
        )


class TotpIsOn(DomainError):
    default_code = "totp_on"
    default_detail = "Your second factor is on. To use another app, turn it off first."


class TotpIsOff(DomainError):
    default_code = "totp_off"
    default_detail = "Your second factor is off, so there is nothing to turn off."


class NoSecondFactor(DomainError):
    default_code = "totp_off"
    default_detail = "This user has no second factor, so nothing was changed."


class TotpNotBegun(DomainError):
    default_code = "totp_not_begun"
    default_detail = "No set-up has begun in the last hour. Begin one with POST /auth/totp."


class TotpSetupRequired(DomainError):
    """An administrator without a second factor, where TOTP_REQUIRED_FOR_ADMINS asks for one."""

    status_code = status.HTTP_403_FORBIDDEN
    default_code = "totp_setup_required"
    default_detail = (
        "Administrators need a second factor here. Set one up with POST /auth/totp, or on the page"
        " /account/second-factor."
    )


class LastSignIn(DomainError):
    default_code = "last_sign_in"
    default_detail = (
        "This is the only way to sign in to your account. Set a password first, with the mail of a"
        " forgotten password."
    )


class SignInRefused(DomainError):
    """A sign-in at another provider that ends here; the text says why."""

    status_code = status.HTTP_403_FORBIDDEN
    default_code = "sign_in_refused"
    default_detail = "This sign-in was refused."

    def __init__(self, why: str) -> None:
        super().__init__(f"{why} You are not signed in.")


class ProviderAway(ServiceUnavailable):
    default_code = "provider_away"
    default_detail = (
        "The provider of this sign-in does not answer at the moment. Try again in a minute, or sign in"
        " with your password."
    )
    retry_after = 60

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason  # for the operator


class CodeInvalid(DomainError):
    """The one answer to every handed code that cannot be used (any more)."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "code_invalid"
    default_detail = "This code was used, has expired, or is unknown. Sign in again."
    attr = "code"
