from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers, status
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.parsers import FormParser
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from accounts import services, tokens
from accounts.filters import UserFilter
from accounts.models import User, normal_email
from accounts.permissions import MayManageUsers
from accounts.serializers import (
    LoginSerializer,
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


class RegisterView(AuthView):
    @extend_schema(
        summary="Create an account",
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
        request={
            "application/json": LoginSerializer,
            "application/x-www-form-urlencoded": inline_serializer(
                "LoginForm",
                {"username": serializers.CharField(), "password": serializers.CharField()},
            ),
        },
        responses=TokenPairSerializer,
        auth=[],
    )
    def post(self, request):
        credentials = self.read(LoginSerializer).validated_data
        # A second limit, by account: passwords may be guessed from many addresses at once.
        address = normal_email(credentials["email"])
        ratelimit.count(request._request, group="auth", key=f"email:{address}")
        return Response(TokenPairSerializer(services.sign_in(**credentials)).data)


class RefreshView(AuthView):
    @extend_schema(
        summary="Exchange a refresh token for a new pair",
        request=RefreshSerializer,
        responses=TokenPairSerializer,
        auth=[],
    )
    def post(self, request):
        pair = tokens.rotate(self.read(RefreshSerializer).validated_data["refresh_token"])
        return Response(TokenPairSerializer(pair).data)


class LogoutView(AuthView):
    @extend_schema(summary="Sign out", request=RefreshSerializer, responses={204: None}, auth=[])
    def post(self, request):
        services.sign_out(**self.read(RefreshSerializer).validated_data)
        return Response(status=status.HTTP_204_NO_CONTENT)


class PasswordView(APIView):
    rate_group = "auth"

    @extend_schema(
        summary="Change the password",
        description="All tokens of the user become invalid, including the one of this request.",
        request=PasswordSerializer,
        responses={204: None},
    )
    def post(self, request):
        serializer = PasswordSerializer(data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        services.change_password(user=request.user, **serializer.validated_data)
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeView(APIView):
    @extend_schema(summary="Show my account", responses=UserSerializer)
    def get(self, request):
        return Response(UserSerializer(request.user).data)

    @extend_schema(
        summary="Change my display name", request=UserSerializer, responses=UserSerializer
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

    @extend_schema(summary="List users")
    def list(self, request, *args, **kwargs):
        return super().list(request, *args, **kwargs)

    @extend_schema(summary="Show a user")
    def retrieve(self, request, *args, **kwargs):
        return super().retrieve(request, *args, **kwargs)

    @extend_schema(summary="Change a user's role", request=RoleSerializer, responses=UserSerializer)
    def set_role(self, request, pk):
        serializer = RoleSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = services.set_role(user_id=pk, actor=request.user, **serializer.validated_data)
        return Response(UserSerializer(user).data)

    @extend_schema(
        summary="Activate or deactivate a user", request=StatusSerializer, responses=UserSerializer
    )
    def set_status(self, request, pk):
        serializer = StatusSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = services.set_active(user_id=pk, actor=request.user, **serializer.validated_data)
        return Response(UserSerializer(user).data)
