"""The forms with which people sign in to pages."""

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError

from accounts import services
from accounts.errors import WrongCredentials
from config.api.ratelimit import RateLimited
from config.errors import ServiceUnavailable


class CheckedSignIn(AuthenticationForm):
    """A sign-in with the limits and the records of the API's sign-in. Users who are no staff may too."""

    only_staff = False

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if data.get("username") and data.get("password") and self.request is not None:
            try:
                self.user_cache = services.user_of(
                    self.request,
                    email=data["username"],
                    password=data["password"],
                    only_staff=self.only_staff,
                )
            except WrongCredentials:
                raise self.get_invalid_login_error() from None
            except ServiceUnavailable as away:
                raise ValidationError(str(away.detail)) from None
            except RateLimited as limited:
                raise ValidationError(
                    f"Too many attempts. Try again in {limited.usage.reset_seconds} seconds."
                ) from None
            services.record_sign_in(self.user_cache)
        return data
