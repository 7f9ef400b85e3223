"""The forms with which people sign in to pages."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget

from accounts import services
from accounts.errors import TotpLocked, TotpRefused, TotpRequired, WrongCredentials
from accounts.totp import CODE_CHARS
from config import domains
from config.api.ratelimit import RateLimited
from config.errors import ServiceUnavailable

CODE_INPUT = {"autocomplete": "one-time-code", "autocapitalize": "none", "spellcheck": "false"}
TEXT_MAX = 20_000  # characters of domains in a form
CODE_MISSING = (
    "Your account has a second factor. Enter your password again, and the six digits that your app"
    " shows or a recovery code."
)

CODE_MISSING_AT_PROVIDER = "Enter the six digits that your app shows, or a recovery code."


class DomainsField(forms.CharField):
    """Domains whose pages may show a player in a frame, one a line, with the checks of the API."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        return domains.of_text(super().clean(value))

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return list(initial or []) != domains.of_text(data or "")
        except ValidationError:
            return True


class ProfileForm(forms.ModelForm):
    """The part of a user's page that an administrator may edit."""

    embed_domains = DomainsField(
        label="Sites that may embed",
        required=False,
        max_length=TEXT_MAX,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text="Host names, one a line; *.example.com for all hosts below one; * for every site.",
    )


class CheckedSignIn(AuthenticationForm):
    """A sign-in with the limits and the records of the API's sign-in. Users who are no staff may too."""

    only_staff = False

    # It is there for everybody: a field that appears after the right password alone would need the
    # password to be sent twice.
    totp = forms.CharField(
        label="Code of your second factor",
        max_length=CODE_CHARS,
        required=False,
        help_text="Six digits, or a recovery code; only if you have set one up.",
        widget=forms.TextInput(attrs=CODE_INPUT),
    )

    @property
    def provider(self) -> str:
        """The name of the other provider with which one may sign in, empty without one."""
        return settings.OIDC_NAME if settings.OIDC_ISSUER else ""

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if data.get("username") and data.get("password") and self.request is not None:
            try:
                self.user_cache = services.user_of(
                    self.request,
                    email=data["username"],
                    password=data["password"],
                    code=data.get("totp", ""),
                    only_staff=self.only_staff,
                )
            except WrongCredentials:
                raise self.get_invalid_login_error() from None
            except TotpRequired:
                raise ValidationError(CODE_MISSING, code="totp_required") from None
            except (ServiceUnavailable, TotpRefused, TotpLocked) as refusal:
                raise ValidationError(str(refusal.detail)) from None
            except RateLimited as limited:
                raise ValidationError(
                    f"Too many attempts. Try again in {limited.usage.reset_seconds} seconds."
                ) from None
            services.record_sign_in(self.user_cache)
        return data
