"""Endpoints of webhooks, and their deliveries."""

from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin
from rest_framework.response import Response

from config.api.refusals import refuses
from config.api.views import GenericViewSet
from webhooks import services
from webhooks.errors import DeliveryWaits, EndpointDisabled, TooManyEndpoints
from webhooks.filters import DeliveryFilter
from webhooks.models import Delivery, Endpoint
from webhooks.permissions import MayUseWebhooks
from webhooks.serializers import (
    ChangedEndpointSerializer,
    ChangeEndpointSerializer,
    DeliverySerializer,
    EndpointSerializer,
    SecretEndpointSerializer,
)


@extend_schema_view(
    list=extend_schema(
        summary="List the webhook endpoints",
        description="The newest come first. Creators see their own, administrators those of all.",
    )
)
class EndpointViewSet(ListModelMixin, GenericViewSet):
    permission_classes = [MayUseWebhooks]
    queryset = Endpoint.objects.none()
    serializer_class = EndpointSerializer
    ordering = "-created_at"

    def get_queryset(self):
        return Endpoint.objects.visible_to(self.request.user)

    @extend_schema(
        summary="Create a webhook endpoint",
        description=(
            "Events are sent to it by POST, signed as Standard Webhooks describes. Creators are told of"
            " `video.*` and `payout.*` of their own, administrators of everything. The answer alone"
            " shows the secret."
        ),
        request=EndpointSerializer,
        responses={201: OpenApiResponse(SecretEndpointSerializer, "The endpoint and its secret.")},
    )
    @refuses(TooManyEndpoints)
    def create(self, request):
        body = EndpointSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        endpoint = services.create_endpoint(owner=request.user, **body.validated_data)
        return Response(SecretEndpointSerializer(endpoint).data, status.HTTP_201_CREATED)

    @extend_schema(
        summary="Change a webhook endpoint, or its secret",
        description=(
            "`is_active` true enables an endpoint again that was disabled because it was dead; what it"
            " has missed can be replayed."
        ),
        request=ChangeEndpointSerializer,
        responses=OpenApiResponse(ChangedEndpointSerializer, "The changed endpoint."),
    )
    def partial_update(self, request, pk):
        endpoint = self.get_object()
        body = ChangeEndpointSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        changes = dict(body.validated_data)
        rotates = changes.pop("rotate_secret", False)
        endpoint = services.change_endpoint(
            endpoint=endpoint, actor=request.user, changes=changes, rotates=rotates
        )
        shown = ChangedEndpointSerializer(endpoint, context={"shows_secret": rotates})
        return Response(shown.data)

    @extend_schema(
        summary="Delete a webhook endpoint",
        description="Its deliveries are deleted with it, also those that wait.",
        responses={204: OpenApiResponse(description="The endpoint is deleted.")},
    )
    def destroy(self, request, pk):
        services.delete_endpoint(endpoint=self.get_object(), actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema_view(
    list=extend_schema(
        summary="List the webhook deliveries",
        description=(
            "The log of 30 days, the newest first. Creators see those of their own endpoints,"
            " administrators those of all."
        ),
    )
)
class DeliveryViewSet(ListModelMixin, GenericViewSet):
    permission_classes = [MayUseWebhooks]
    queryset = Delivery.objects.none()
    serializer_class = DeliverySerializer
    filterset_class = DeliveryFilter
    ordering = "-created_at"

    def get_queryset(self):
        rows = Delivery.objects.visible_to(self.request.user)
        return rows.select_related("endpoint", "event")

    @extend_schema(
        summary="Send a webhook delivery again",
        description=(
            "With the same `webhook-id` and body, by which a receiver can drop what it had already."
        ),
        request=None,
        responses=OpenApiResponse(DeliverySerializer, "The delivery, which waits again."),
    )
    @action(detail=True, methods=["post"])
    @refuses(DeliveryWaits, EndpointDisabled)
    def replay(self, request, pk):
        delivery = services.replay(delivery=self.get_object(), actor=request.user)
        return Response(DeliverySerializer(delivery).data)
