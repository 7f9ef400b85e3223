import unicodedata
from datetime import datetime
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from accounts import precis, recovery, services
from accounts.models import RefreshFamily, User
from accounts.roles import Role
from accounts.totp import CODE_CHARS
from config import emails
from config.api.fields import EmbedDomainsField
from config.api.representation import Compiled
from config.api.serializers import CompleteErrors
from config.texts import validate_name


class PasswordField(serializers.CharField):
    """A password as it was sent. Its length is counted in normal form (`accounts.precis`)."""

    def __init__(self) -> None:
        super().__init__(max_length=precis.LENGTH_MAX, trim_whitespace=False)

    def run_validators(self, value: str) -> None:
        if len(value) <= precis.SENT_MAX:
            value = unicodedata.normalize("NFC", value)
        super().run_validators(value)


class CodeField(serializers.CharField):
    """Six digits of a second factor's app, or a recovery code."""

    def __init__(self, **more: Any) -> None:
        more.setdefault(
            "help_text",
            "The six digits that the app of the second factor shows, or one of the recovery codes.",
        )
        super().__init__(max_length=CODE_CHARS, **more)


class AddressField(serializers.EmailField):
    """An e-mail address in the form in which it is stored."""

    def __init__(self) -> None:
        super().__init__(max_length=emails.LENGTH_MAX)
        # The normal form of the address is judged, and that by `emails.normal`.
        self.validators = [each for each in self.validators if not isinstance(each, EmailValidator)]

    def to_internal_value(self, data: str) -> str:
        text = super().to_internal_value(data)
        try:
            return emails.normal(text)
        except ValidationError as error:
            raise serializers.ValidationError(error.messages) from None


class UserSerializer(Compiled, serializers.ModelSerializer):
    role = serializers.ChoiceField(choices=Role.choices, source="role_name", read_only=True)
    embed_domains = EmbedDomainsField(
        required=False,
        help_text="Sites whose pages may show the player of the user's videos in a frame: host names,"
        " `*.example.com` for all hosts below one, `*` for every site. A video's own list comes first.",
    )

    class Meta:
        model = User
        fields = [
            "id", "email", "display_name", "role", "is_moderator", "email_verified", "is_active",
            "embed_domains", "suspended_at", "created_at",
        ]  # fmt: skip
        read_only_fields = [
            "id", "email", "is_moderator", "email_verified", "is_active", "suspended_at",
            "created_at",
        ]  # fmt: skip
        extra_kwargs = {
            "display_name": {"required": True},
            "suspended_at": {
                "help_text": "Since when a moderator keeps the user's videos out of the shop, or null."
            },
        }


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A new viewer",
            value={
                "email": "ann@example.com",
                "password": "a long pass phrase",
                "display_name": "Ann",
            },
            request_only=True,
        )
    ]
)
class RegisterSerializer(CompleteErrors):
    email = AddressField()
    password = PasswordField()
    display_name = serializers.CharField(
        max_length=100, required=False, allow_blank=True, validators=[validate_name]
    )

    def validate_email(self, value):
        if User.objects.filter(email=value).exists():
            raise serializers.ValidationError(services.EMAIL_TAKEN, code="unique")
        return value

    def validate(self, attrs):
        user = User(email=attrs.get("email", ""), display_name=attrs.get("display_name", ""))
        _check_password("password", attrs, user)
        return attrs

    def create(self, validated_data):
        return services.register(**validated_data)


class LoginSerializer(serializers.Serializer):
    """The input of a sign-in, as JSON ``{email, password}`` or as form ``username=…&password=…``.

    The form is that of OAuth2's password flow (RFC 6749, section 4.3.2).
    """

    email = serializers.CharField(max_length=254)
    password = PasswordField()
    totp = CodeField(required=False, allow_blank=True, source="code")

    def to_internal_value(self, data):
        if isinstance(data, dict) and "username" in data and "email" not in data:
            data = {
                "email": data["username"],
                "password": data.get("password", ""),
                "totp": data.get("totp", ""),
            }
        return super().to_internal_value(data)


class TokenPairSerializer(serializers.Serializer):
    access_token = serializers.CharField(source="access")
    refresh_token = serializers.CharField(source="refresh")
    token_type = serializers.CharField(default="bearer", help_text="Always `bearer`.")
    expires_in = serializers.IntegerField(help_text="Seconds until the access token expires.")


class RefreshSerializer(serializers.Serializer):
    refresh_token = serializers.CharField(max_length=2048)


class PasswordSerializer(CompleteErrors):
    current_password = PasswordField()
    new_password = PasswordField()

    def validate(self, attrs):
        _check_password("new_password", attrs, self.context["request"].user)
        return attrs


class ForgotSerializer(serializers.Serializer):
    # As at a sign-in: any text, because accounts of old may have addresses without a normal form.
    email = serializers.CharField(max_length=emails.LENGTH_MAX)


class LinkTokenSerializer(serializers.Serializer):
    token = serializers.CharField(max_length=200, help_text="What the link has after `#token=`.")


class ResetSerializer(LinkTokenSerializer):
    new_password = PasswordField()

    def validate(self, attrs):
        _check_password("new_password", attrs, recovery.owner_of(attrs["token"]))
        return attrs


class EmailSerializer(serializers.Serializer):
    email = AddressField()
    current_password = PasswordField()


class SignInSerializer(serializers.ModelSerializer):
    last_used_at = serializers.SerializerMethodField()
    is_current = serializers.SerializerMethodField(help_text="Whether this request belongs to it.")

    class Meta:
        model = RefreshFamily
        fields = [
            "id", "created_at", "last_used_at", "expires_at", "network", "user_agent", "is_current",
        ]  # fmt: skip
        read_only_fields = fields
        extra_kwargs = {
            "network": {"help_text": "Where it began: an IPv4 address, or an IPv6 /64 network."},
            "user_agent": {"help_text": "The program, as it named itself."},
        }

    def get_last_used_at(self, sign_in: RefreshFamily) -> datetime:
        return sign_in.rotated_at or sign_in.created_at

    def get_is_current(self, sign_in: RefreshFamily) -> bool:
        claims = self.context["request"].auth
        return getattr(claims, "family_id", None) == sign_in.pk


_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"  # noqa: S105 - an example


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A set-up that has begun",
            value={
                "secret": _SECRET,
                "otpauth_url": (
                    f"otpauth://totp/vod.example.com:ann%40example.com?secret={_SECRET}"
                    "&issuer=vod.example.com"
                ),
                "qr": "data:image/svg+xml;charset=utf-8,%3Csvg…%3C/svg%3E",
            },
            response_only=True,
        )
    ]
)
class TotpSetupSerializer(serializers.Serializer):
    """A set-up that has begun. It is shown in this answer alone."""

    secret = serializers.CharField(help_text="To be typed into the app, in base32.")
    otpauth_url = serializers.CharField(help_text="The same as an address, which apps open.")
    qr = serializers.CharField(
        help_text="A QR code of the address: an SVG image as a `data:` address."
    )


class TotpStateSerializer(serializers.Serializer):
    is_on = serializers.BooleanField(help_text="Whether a sign-in needs a code.")
    confirmed_at = serializers.DateTimeField(allow_null=True, help_text="On since then.")
    recovery_codes_left = serializers.IntegerField(help_text="How many are unused.")


class TotpConfirmSerializer(serializers.Serializer):
    totp = CodeField(source="code", help_text="The six digits that the app shows now.")


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Two of the ten",
            value={"recovery_codes": ["mfzw-g5lq-oj3x-2zdf", "ob2h-k4tf-nvxg-c3dp"]},
            response_only=True,
        )
    ]
)
class RecoveryCodesSerializer(serializers.Serializer):
    recovery_codes = serializers.ListField(
        child=serializers.CharField(),
        help_text="Each opens the account once, in place of `totp`. They are shown here alone.",
    )


class TotpOffSerializer(serializers.Serializer):
    current_password = PasswordField()
    totp = CodeField(source="code")


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Back from the provider",
            value={"code": "3kPq0fV9oZ7tB2mXcY5uLw1sRdEaHgJ8iNnKvQxT4eM"},
            request_only=True,
        ),
        OpenApiExample(
            "With a second factor",
            value={"code": "3kPq0fV9oZ7tB2mXcY5uLw1sRdEaHgJ8iNnKvQxT4eM", "totp": "492039"},
            request_only=True,
        ),
    ]
)
class HandedCodeSerializer(serializers.Serializer):
    code = serializers.CharField(
        max_length=100, source="handed", help_text="What the address has after `#code=`."
    )
    totp = CodeField(required=False, allow_blank=True, source="code")


class RoleSerializer(serializers.Serializer):
    role = serializers.ChoiceField(choices=Role.choices)


class ModeratorSerializer(serializers.Serializer):
    is_moderator = serializers.BooleanField()


class StatusSerializer(serializers.Serializer):
    is_active = serializers.BooleanField()


def _check_password(field: str, attrs: dict[str, str], user: User) -> None:
    """Raise a ValidationError of ``field`` if the password in it is too weak for this user."""
    if field not in attrs:
        return
    try:
        validate_password(attrs[field], user)
    except ValidationError as error:
        raise serializers.ValidationError({field: error.messages}, code="password") from None
