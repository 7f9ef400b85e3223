import unicodedata
from datetime import datetime

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from accounts import precis, recovery, services
from accounts.models import RefreshFamily, User
from accounts.roles import Role
from config import emails
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

    class Meta:
        model = User
        fields = [
            "id", "email", "display_name", "role", "is_moderator", "email_verified", "is_active",
            "suspended_at", "created_at",
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

    def to_internal_value(self, data):
        if isinstance(data, dict) and "username" in data and "email" not in data:
            data = {"email": data["username"], "password": data.get("password", "")}
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
        return claims is not None and claims.family_id == sign_in.pk


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
