from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed

from config.errors import DomainError


class WrongCredentials(AuthenticationFailed):
    """One answer for an unknown address, a wrong password and a deactivated user."""

    default_code = "wrong_credentials"
    default_detail = "No active user has this e-mail address and password."


class TokenInvalid(AuthenticationFailed):
    default_code = "token_invalid"
    default_detail = "This token is not valid."


class TokenExpired(AuthenticationFailed):
    default_code = "token_expired"
    default_detail = "This token has expired."


class TokenReused(AuthenticationFailed):
    default_code = "token_reused"
    default_detail = "This token was used before. Everybody signed in with it has been signed out."


class LastAdmin(DomainError):
    default_code = "last_admin"
    default_detail = "This is the last active administrator; appoint another one first."


class WrongPassword(DomainError):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "wrong_password"
    default_detail = "This is not your current password."
    attr = "current_password"
