"""The API of a sign-in with another provider (OpenID Connect)."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.mixins import ListModelMixin
from rest_framework.response import Response

from accounts import identities, oidc
from accounts.errors import (
    CodeInvalid,
    LastSignIn,
    TotpLocked,
    TotpRefused,
    TotpRequired,
    TotpWrong,
    WrongPassword,
)
from accounts.models import ProviderIdentity
from accounts.serializers import CodeField, HandedCodeSerializer, PasswordField, TokenPairSerializer
from accounts.views import AuthView
from config.api.refusals import refuses, takes_body
from config.api.views import GenericViewSet
from config.errors import NotVisible


class OidcTokenView(AuthView):
    @extend_schema(
        summary="Exchange the code of a sign-in with another provider",
        description="A front end sends the browser to `/sign-in/oidc?return_to=…&state=…`, with an"
        " address of its own that the service allows. The browser comes back with `#code=…&state=…`;"
        " compare the state. The code is good once, for a minute. Of an account with a second factor"
        " it is good for five, and the answer is a 401 `totp_required` until `totp` comes along. It is"
        " a 404 when the service has no provider.",
        request=HandedCodeSerializer,
        responses=TokenPairSerializer,
        auth=[],
    )
    @refuses(CodeInvalid, TotpRequired, TotpRefused, TotpLocked, NotVisible)
    def post(self, request):
        if not oidc.is_on():
            raise NotVisible()
        given = self.read(HandedCodeSerializer).validated_data
        pair = identities.exchange(request._request, **given)
        return Response(TokenPairSerializer(pair).data)


class IdentitySerializer(serializers.ModelSerializer):
    provider = serializers.SerializerMethodField(help_text="The provider's name, for people.")

    class Meta:
        model = ProviderIdentity
        fields = ["id", "provider", "issuer", "created_at"]
        read_only_fields = fields

    def get_provider(self, identity: ProviderIdentity) -> str:
        return identities.name_of(identity.issuer)


class UnlinkSerializer(serializers.Serializer):
    current_password = PasswordField()
    totp = CodeField(required=False, allow_blank=True, source="code")


class IdentityViewSet(ListModelMixin, GenericViewSet):
    """The caller's accounts at other providers; every other one answers 404."""

    queryset = ProviderIdentity.objects.none()
    serializer_class = IdentitySerializer
    ordering = "-created_at"

    def get_rate_group(self) -> str:
        return "auth" if self.request.method == "DELETE" else "default"

    rate_group = property(get_rate_group)  # a password is tried here

    def get_queryset(self):
        user = self.request.user
        return identities.of_user(user) if user.is_authenticated else self.queryset

    @extend_schema(
        summary="List the accounts that sign me in",
        description="My accounts at other providers with which I can sign in here, the newest first.",
    )
    def list(self, request, *args, **kwargs):
        return super().list(request, *args, **kwargs)

    @extend_schema(
        summary="Unlink an account that signs me in",
        description="It opens my account no longer, and I am told by mail. Sign-ins that are open stay"
        " open. A later sign-in at the provider links it again, as long as both sides have verified the"
        " same address. 409 while my account has no password, because it is the only way to sign in.",
        request=UnlinkSerializer,
        responses={204: None},
    )
    @refuses(LastSignIn, WrongPassword, TotpWrong, TotpLocked)
    @takes_body
    def destroy(self, request, pk):
        body = UnlinkSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        identities.unlink(
            request._request, user=request.user, identity_id=pk, **body.validated_data
        )
        return Response(status=status.HTTP_204_NO_CONTENT)
