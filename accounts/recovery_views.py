"""The API of a forgotten password, of one's address, and of where one is signed in."""

from drf_spectacular.utils import extend_schema
from drf_standardized_errors.openapi_validation_errors import extend_validation_errors
from rest_framework import status
from rest_framework.mixins import ListModelMixin
from rest_framework.response import Response

from accounts import recovery, services, tokens
from accounts.errors import AlreadyVerified, EmailTaken, LinkInvalid, WrongPassword
from accounts.models import RefreshFamily
from accounts.serializers import (
    EmailSerializer,
    ForgotSerializer,
    LinkTokenSerializer,
    ResetSerializer,
    SignInSerializer,
)
from accounts.views import AuthView
from config.api.refusals import refuses
from config.api.views import APIView, GenericViewSet


class ForgotView(AuthView):
    @extend_schema(
        summary="Ask for a link to set a new password",
        description="If an active account has this address, a mail with a link goes out within seconds."
        " The link works once and for an hour, and a newer one ends it. The answer is the same for every"
        " address, and says nothing about accounts. An address gets at most three such mails an hour.",
        request=ForgotSerializer,
        responses={202: None},
        auth=[],
    )
    def post(self, request):
        email = self.read(ForgotSerializer).validated_data["email"]
        recovery.ask_for_reset(request._request, email=email)
        return Response(status=status.HTTP_202_ACCEPTED)


@extend_validation_errors(["password"], field_name="new_password")
class ResetView(AuthView):
    @extend_schema(
        summary="Set a new password by a mailed link",
        description="`token` is what the link has after `#token=`. All tokens and all other links of the"
        " user become invalid, and the address is verified. A password that is too weak leaves the link"
        " as it was.",
        request=ResetSerializer,
        responses={204: None},
        auth=[],
    )
    @refuses(LinkInvalid)
    def post(self, request):
        recovery.reset_password(**self.read(ResetSerializer).validated_data)
        return Response(status=status.HTTP_204_NO_CONTENT)


class VerifyView(AuthView):
    @extend_schema(
        summary="Verify an address by a mailed link",
        description="Verifies the address of a new account, or makes the new address count that was"
        " asked for with `PUT /auth/email`. The link works once, and for three days.",
        request=LinkTokenSerializer,
        responses={204: None},
        auth=[],
    )
    @refuses(LinkInvalid, EmailTaken)
    def post(self, request):
        recovery.verify_email(**self.read(LinkTokenSerializer).validated_data)
        return Response(status=status.HTTP_204_NO_CONTENT)


class ResendView(APIView):
    rate_group = "auth"

    @extend_schema(
        summary="Ask for another link to verify my address",
        description="It goes to the present address, and ends the link before it. For another link to a"
        " new address, ask for the change again. An address gets at most three such mails an hour.",
        request=None,
        responses={202: None},
    )
    @refuses(AlreadyVerified)
    def post(self, request):
        recovery.ask_again(user=request.user)
        return Response(status=status.HTTP_202_ACCEPTED)


class EmailView(APIView):
    rate_group = "auth"

    @extend_schema(
        summary="Change my address",
        description="A link goes to the new address, which counts when it was followed; until then one"
        " signs in with the present address. The present address is told. An address that another"
        " account has gets a mail without a link. At most three changes an hour are mailed.",
        request=EmailSerializer,
        responses={202: None},
    )
    @refuses(WrongPassword)
    def put(self, request):
        serializer = EmailSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        recovery.ask_for_change(user=request.user, **serializer.validated_data)
        return Response(status=status.HTTP_202_ACCEPTED)


class SignInViewSet(ListModelMixin, GenericViewSet):
    """The caller's live sign-ins; every other one answers 404."""

    queryset = RefreshFamily.objects.none()
    serializer_class = SignInSerializer
    ordering = "-created_at"

    def get_queryset(self):
        user = self.request.user
        return tokens.live(user) if user.is_authenticated else RefreshFamily.objects.none()

    @extend_schema(
        summary="List where I am signed in",
        description="My sign-ins whose tokens are valid, the newest first. `last_used_at` is the last"
        " refresh, or the sign-in itself.",
    )
    def list(self, request, *args, **kwargs):
        return super().list(request, *args, **kwargs)

    @extend_schema(
        summary="Sign out there",
        description="Revokes all tokens of one of my sign-ins, which may be that of this request.",
        responses={204: None},
    )
    def destroy(self, request, pk):
        services.end_sign_in(user=request.user, sign_in_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        operation_id="auth_sessions_destroy_all",
        summary="Sign out everywhere",
        description="Revokes all my tokens, including that of this request. Sessions of the admin site"
        " end with a new password.",
        responses={204: None},
    )
    def destroy_all(self, request):
        services.end_all_sign_ins(user=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)
