"""The API of a sign-in with another provider (OpenID Connect)."""

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from accounts import identities, oidc
from accounts.errors import CodeInvalid, TotpLocked, TotpRefused, TotpRequired
from accounts.serializers import HandedCodeSerializer, TokenPairSerializer
from accounts.views import AuthView
from config.api.refusals import refuses
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
