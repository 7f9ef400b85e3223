"""Disputes, and the public settings of the gateway."""

from django.conf import settings
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.mixins import ListModelMixin
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from config import money
from config.api.views import APIView, GenericViewSet
from payments import gateways
from payments.filters import DisputeFilter
from payments.models import Dispute
from payments.permissions import MaySeeRevenue
from payments.serializers.settling import DisputeSerializer, GatewayConfigSerializer


@extend_schema_view(
    list=extend_schema(
        summary="List the disputes",
        description="The newest come first. Disputes are answered on the gateway's own pages.",
    )
)
class DisputeViewSet(ListModelMixin, GenericViewSet):
    permission_classes = [MaySeeRevenue]
    queryset = Dispute.objects.select_related("payment")
    serializer_class = DisputeSerializer
    filterset_class = DisputeFilter
    ordering = "-created_at"


class ConfigView(APIView):
    permission_classes = [AllowAny]

    @extend_schema(
        summary="Show the settings that a checkout page needs",
        description="Needs no sign-in, and shows no secret.",
        responses=OpenApiResponse(GatewayConfigSerializer, "The settings of the gateway."),
    )
    def get(self, request):
        gateway = gateways.configured()
        return Response(
            {
                "gateway": gateway.name,
                "sandbox": gateway.name == "sandbox",
                "publishable_key": gateway.public["publishable_key"],
                "currencies": sorted(money.EXPONENTS),
                "default_currency": settings.DEFAULT_CURRENCY,
            }
        )
