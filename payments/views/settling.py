"""Disputes, and the public settings of the gateway."""

from django.conf import settings
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from config import money
from config.api.parsers import StrictMultiPartParser
from config.api.refusals import refuses
from config.api.views import APIView, GenericViewSet
from payments import gateways
from payments.filters import DisputeFilter
from payments.http import validated_body
from payments.idempotency import idempotent
from payments.models import Dispute, DisputeEvidence
from payments.permissions import MayAnswerDisputes, MaySeeRevenue
from payments.serializers.settling import (
    DisputeSerializer,
    EvidenceSerializer,
    EvidenceTextsSerializer,
    EvidenceUploadSerializer,
    GatewayConfigSerializer,
)
from payments.services.settling import evidence as evidence_service

EVIDENCE_FIELD = OpenApiParameter(
    "field",
    str,
    OpenApiParameter.PATH,
    enum=evidence_service.FILES,
    description="What the file shows.",
)


@extend_schema_view(
    list=extend_schema(
        summary="List the disputes",
        description="The newest come first. `evidence_due` is the last moment to answer one.",
    )
)
class DisputeViewSet(ListModelMixin, GenericViewSet):
    permission_classes = [MaySeeRevenue]
    queryset = Dispute.objects.select_related("payment", "evidence")
    serializer_class = DisputeSerializer
    filterset_class = DisputeFilter
    ordering = "-created_at"
    lookup_value_converter = "id"

    @extend_schema(
        summary="Show the evidence against a dispute",
        description="An empty draft if there is none yet.",
        responses=OpenApiResponse(EvidenceSerializer, "The evidence."),
    )
    @action(detail=True, permission_classes=[MayAnswerDisputes])
    def evidence(self, request, pk):
        return _answer(evidence_service.of(self.get_object()))

    @extend_schema(
        summary="Save texts as a draft of the evidence",
        description="The bank gets nothing before the evidence is submitted.",
        request=EvidenceTextsSerializer,
        responses=OpenApiResponse(EvidenceSerializer, "The draft."),
    )
    @evidence.mapping.patch
    @refuses(*evidence_service.REFUSALS_OF_CHANGE)
    def save_draft(self, request, pk):
        return _answer(
            evidence_service.save_draft(
                dispute_id=self.get_object().pk,
                texts=validated_body(EvidenceTextsSerializer, request),
                actor=request.user,
            )
        )

    @extend_schema(
        summary="Upload a file of the evidence",
        description="The gateway keeps the file. It takes the place of an earlier one of its field.",
        parameters=[EVIDENCE_FIELD],
        request={"multipart/form-data": EvidenceUploadSerializer},
        responses=OpenApiResponse(EvidenceSerializer, "The draft with the file."),
    )
    @action(
        detail=True,
        methods=["put"],
        url_path="evidence/files/<slug:field>",
        permission_classes=[MayAnswerDisputes],
        parser_classes=[StrictMultiPartParser],
    )
    @refuses(*evidence_service.REFUSALS_OF_FILE)
    def evidence_file(self, request, pk, field):
        dispute, file = self.get_object(), validated_body(EvidenceUploadSerializer, request)["file"]
        stored = evidence_service.put_file(
            dispute_id=dispute.pk,
            name=field,
            file_name=file.name,
            content=file.read(),
            actor=request.user,
        )
        return _answer(stored)

    @extend_schema(
        summary="Leave a file out of the evidence",
        description="Safe to repeat.",
        parameters=[EVIDENCE_FIELD],
        responses={200: OpenApiResponse(EvidenceSerializer, "The draft without the file.")},
    )
    @evidence_file.mapping.delete
    @refuses(*evidence_service.REFUSALS_OF_CHANGE)
    def remove_file(self, request, pk, field):
        return _answer(
            evidence_service.remove_file(
                dispute_id=self.get_object().pk, name=field, actor=request.user
            )
        )

    @extend_schema(
        summary="Submit the evidence to the buyer's bank",
        description="Final: it cannot be changed or submitted again. Safe to repeat with an"
        " `Idempotency-Key`.",
        request=None,
        responses=OpenApiResponse(EvidenceSerializer, "The submitted evidence."),
    )
    @action(
        detail=True,
        methods=["post"],
        url_path="evidence/submit",
        permission_classes=[MayAnswerDisputes],
    )
    @refuses(*evidence_service.REFUSALS_OF_SUBMIT)
    @idempotent
    def submit(self, request, pk):
        return _answer(evidence_service.submit(dispute_id=self.get_object().pk, actor=request.user))


def _answer(row: DisputeEvidence) -> Response:
    return Response(EvidenceSerializer(row).data)


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
