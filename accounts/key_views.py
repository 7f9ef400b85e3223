"""The API of one's API keys."""

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.mixins import ListModelMixin
from rest_framework.response import Response

from accounts import api_keys
from accounts.errors import TooManyKeys
from accounts.key_serializers import ApiKeySerializer, NewApiKeySerializer
from accounts.models import ApiKey
from config.api.refusals import refuses
from config.api.views import GenericViewSet


class ApiKeyViewSet(ListModelMixin, GenericViewSet):
    """The caller's API keys; every other one answers 404."""

    queryset = ApiKey.objects.none()
    serializer_class = ApiKeySerializer
    ordering = "-created_at"

    def get_queryset(self):
        user = self.request.user
        return api_keys.of_user(user) if user.is_authenticated else ApiKey.objects.none()

    @extend_schema(
        summary="List my API keys",
        description="The newest first, without those that were revoked. No answer shows a key again.",
    )
    def list(self, request, *args, **kwargs):
        return super().list(request, *args, **kwargs)

    @extend_schema(
        summary="Make an API key",
        description="For servers and scripts: send it as `Authorization: Bearer vod_…` in place of an"
        " access token. It may do what its scopes say, as far as you may do it yourself; each operation"
        " names the scope that it needs. Keys make no keys, and change neither password nor address. A"
        " key ends when it expires or is revoked, with a new password, with *Sign out everywhere*, and"
        " with the account.",
        request=ApiKeySerializer,
        responses={201: OpenApiResponse(NewApiKeySerializer, "The key, this once.")},
    )
    @refuses(TooManyKeys)
    def create(self, request):
        body = ApiKeySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        row, key = api_keys.create(user=request.user, **body.validated_data)
        shown_once = {**ApiKeySerializer(row).data, "key": key}
        return Response(shown_once, status.HTTP_201_CREATED)

    @extend_schema(
        summary="Revoke an API key",
        description="The key ends at once: its next request is refused.",
        responses={204: None},
    )
    def destroy(self, request, pk):
        api_keys.revoke(key_id=pk, actor=request.user, of=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)
