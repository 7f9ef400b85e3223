"""The API of one's second factor."""

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.response import Response

from accounts import totp
from accounts.errors import (
    TotpIsOff,
    TotpIsOn,
    TotpLocked,
    TotpNotBegun,
    TotpWrong,
    WrongPassword,
)
from accounts.serializers import (
    RecoveryCodesSerializer,
    TotpConfirmSerializer,
    TotpOffSerializer,
    TotpSetupSerializer,
    TotpStateSerializer,
)
from config.api.refusals import refuses, takes_body
from config.api.views import APIView


class TotpView(APIView):
    rate_group = "auth"
    is_open_before_setup = True

    @extend_schema(
        summary="Show my second factor",
        description="Whether it is on, since when, and how many recovery codes are left.",
        responses=TotpStateSerializer,
    )
    def get(self, request):
        return Response(TotpStateSerializer(totp.state_of(request.user)).data)

    @extend_schema(
        summary="Begin to set a second factor up",
        description="Answers with a secret for an app that shows time-based codes (RFC 6238: SHA-1, six"
        " digits, 30 seconds). Nothing is asked for at sign-ins before it is confirmed, within an hour."
        " Beginning again gives a new secret.",
        request=None,
        responses=TotpSetupSerializer,
    )
    @refuses(TotpIsOn)
    def post(self, request):
        return Response(TotpSetupSerializer(totp.begin(user=request.user)).data)

    @extend_schema(
        summary="Turn my second factor off",
        description="Takes the password, and a code of the app or a recovery code. The recovery codes"
        " end too. For new recovery codes, turn it off and set it up again.",
        request=TotpOffSerializer,
        responses={204: None},
    )
    @takes_body
    @refuses(TotpIsOff, TotpLocked, TotpWrong, WrongPassword)
    def delete(self, request):
        serializer = TotpOffSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        totp.turn_off(request._request, user=request.user, **serializer.validated_data)
        return Response(status=status.HTTP_204_NO_CONTENT)


class TotpConfirmView(APIView):
    rate_group = "auth"
    is_open_before_setup = True

    @extend_schema(
        summary="Turn my second factor on",
        description="Takes the first code of the app. From then on a sign-in needs a code; sign-ins that"
        " are open stay open. The answer has ten recovery codes, which are shown once.",
        request=TotpConfirmSerializer,
        responses=RecoveryCodesSerializer,
    )
    @refuses(TotpIsOn, TotpNotBegun, TotpWrong)
    def post(self, request):
        serializer = TotpConfirmSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        codes = totp.confirm(user=request.user, **serializer.validated_data)
        return Response(RecoveryCodesSerializer({"recovery_codes": codes}).data)
