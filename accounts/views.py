from drf_spectacular.utils import extend_schema, inline_serializer
from drf_standardized_errors.openapi_validation_errors import extend_validation_errors
from rest_framework import serializers, status
from rest_framework.exceptions import APIException
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.parsers import FormParser
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from accounts import services, tokens
from accounts.errors import (
    LastAdmin,
    TokenExpired,
    TokenInvalid,
    TokenReused,
    TotpLocked,
    TotpRefused,
    TotpRequired,
    WrongCredentials,
    WrongPassword,
)
from accounts.filters import UserFilter
from accounts.models import User
from accounts.permissions import MayManageUsers
from accounts.serializers import (
    LoginSerializer,
    ModeratorSerializer,
    PasswordSerializer,
    RefreshSerializer,
    RegisterSerializer,
    RoleSerializer,
    StatusSerializer,
    TokenPairSerializer,
    UserSerializer,
)
from config.api import ratelimit
from config.api.parsers import StrictJSONParser
from config.api.refusals import refuses
from config.api.views import APIView, GenericViewSet


class AuthView(APIView):
    """The base of the routes that need no token."""

    permission_classes = [AllowAny]
    authentication_classes = []
    rate_group = "auth"

    def read(self, serializer_class):
        """Return the serializer with the valid input. Raises ValidationError."""
        serializer = serializer_class(data=self.request.data, context={"request": self.request})
        serializer.is_valid(raise_exception=True)
        return serializer


@extend_validation_errors(["unique"], field_name="email")
@extend_validation_errors(["password"], field_name="password")
class RegisterView(AuthView):
    @extend_schema(
        summary="Create an account",
        description="Makes a viewer; an administrator may give another role later. The address must not"
        " be in use, and the password must be hard to guess.",
        request=RegisterSerializer,
        responses={201: UserSerializer},
        auth=[],
    )
    def post(self, request):
        user = self.read(RegisterSerializer).save()
        return Response(UserSerializer(user).data, status=status.HTTP_201_CREATED)


class LoginView(AuthView):
    parser_classes = [StrictJSONParser, FormParser]

    @extend_schema(
        summary="Sign in",
        description="Takes JSON or the form of OAuth2's password flow, and answers with an access token"
        " and a refresh token. A wrong address and a wrong password get the same answer. When the"
        " account has a second factor, the right password gets a 401 `totp_required`: send the same"
        " again with `totp`, six digits of the app or a recovery code.",
        request={
            "application/json": LoginSerializer,
            "application/x-www-form-urlencoded": inline_serializer(
                "LoginForm",
                {
                    "username": serializers.CharField(),
                    "password": serializers.CharField(),
                    "totp": serializers.CharField(required=False),
                },
            ),
        },
        responses=TokenPairSerializer,
        auth=[],
    )
    @refuses(WrongCredentials, TotpRequired, TotpRefused, TotpLocked)
    def post(self, request):
        credentials = self.read(LoginSerializer).validated_data
        pair = services.sign_in(request._request, **credentials)
        return Response(TokenPairSerializer(pair).data)


class RefreshView(AuthView):
    rate_group = "default"

    def count_request(self, request, key):
        """Leave the counting to `post`: many people may share an address, and each of them refreshes."""

    @extend_schema(
        summary="Exchange a refresh token for a new pair",
        description="The old refresh token is used up. A token that is used twice was stolen or lost, so"
        " all tokens of its sign-in are revoked.",
        request=RefreshSerializer,
        responses=TokenPairSerializer,
        auth=[],
    )
    @refuses(TokenInvalid, TokenExpired, TokenReused)
    def post(self, request):
        try:
            token = self.read(RefreshSerializer).validated_data["refresh_token"]
            family = tokens.family_of(token)
        except APIException:
            super().count_request(request, self.limit_key(request))
            raise
        key = f"family:{family}"
        self.rate_usage = ratelimit.count(request._request, group="refresh", key=key)
        pair = tokens.rotate(token)
        return Response(TokenPairSerializer(pair).data)


class LogoutView(AuthView):
    @extend_schema(
        summary="Sign out",
        description="Revokes all tokens of this sign-in. Repeating it changes nothing.",
        request=RefreshSerializer,
        responses={204: None},
        auth=[],
    )
    @refuses(TokenInvalid, TokenExpired)
    def post(self, request):
        services.sign_out(**self.read(RefreshSerializer).validated_data)
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_validation_errors(["password"], field_name="new_password")
class PasswordView(APIView):
    rate_group = "auth"

    @extend_schema(
        summary="Change the password",
        description="All tokens of the user become invalid, including the one of this request.",
        request=PasswordSerializer,
        responses={204: None},
    )
    @refuses(WrongPassword)
    def post(self, request):
        serializer = PasswordSerializer(data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        services.change_password(user=request.user, **serializer.validated_data)
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeView(APIView):
    is_open_before_setup = True

    @extend_schema(
        summary="Show my account",
        description="Answers with the user of the access token.",
        responses=UserSerializer,
    )
    def get(self, request):
        return Response(UserSerializer(request.user).data)

    @extend_schema(
        summary="Change my display name, and who may embed my videos",
        description="Changes the name that others see, and the sites that may show my videos in a frame."
        " Other fields of the body are ignored.",
        request=UserSerializer,
        responses=UserSerializer,
    )
    def patch(self, request):
        serializer = UserSerializer(request.user, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        user = request.user
        if serializer.validated_data:
            user = services.change_profile(user=user, **serializer.validated_data)
        return Response(UserSerializer(user).data)


class UserViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet):
    """All users, for administrators."""

    queryset = User.objects.select_related("role")
    serializer_class = UserSerializer
    permission_classes = [MayManageUsers]
    filterset_class = UserFilter
    ordering = "-created_at"
    ordering_fields = {"created_at": "created_at", "email": "email"}

    @extend_schema(
        summary="List users",
        description="All users, the newest first unless `ordering` says otherwise.",
    )
    def list(self, request, *args, **kwargs):
        return super().list(request, *args, **kwargs)

    @extend_schema(summary="Show a user", description="One user, also a deactivated one.")
    def retrieve(self, request, *args, **kwargs):
        return super().retrieve(request, *args, **kwargs)

    @extend_schema(
        summary="Change a user's role",
        description="The new role holds from the user's next request on. The last active administrator"
        " keeps the role.",
        request=RoleSerializer,
        responses=UserSerializer,
    )
    @refuses(LastAdmin)
    def set_role(self, request, pk):
        serializer = RoleSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = services.set_role(user_id=pk, actor=request.user, **serializer.validated_data)
        return Response(UserSerializer(user).data)

    @extend_schema(
        summary="Appoint or dismiss a moderator",
        description="A moderator may open the admin site beside their role. It holds from the user's"
        " next request on.",
        request=ModeratorSerializer,
        responses=UserSerializer,
    )
    def set_moderator(self, request, pk):
        serializer = ModeratorSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = services.set_moderator(user_id=pk, actor=request.user, **serializer.validated_data)
        return Response(UserSerializer(user).data)

    @extend_schema(
        summary="Activate or deactivate a user",
        description=(
            "A deactivated user's tokens, playback sessions and open orders end at once, and a"
            " subscription ends with its paid period. The user's videos leave the catalogue; buyers keep"
            " them. With the activation the videos come back. The subscription stays canceled until the"
            " user resumes it."
        ),
        request=StatusSerializer,
        responses=UserSerializer,
    )
    @refuses(LastAdmin)
    def set_status(self, request, pk):
        serializer = StatusSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = services.set_active(user_id=pk, actor=request.user, **serializer.validated_data)
        return Response(UserSerializer(user).data)
