"""Access to videos, and the entitlements behind it."""

from drf_spectacular.utils import extend_schema
from rest_framework.mixins import ListModelMixin
from rest_framework.response import Response

from config.api.views import APIView, GenericAPIView
from config.errors import NotVisible
from payments.entitlements import can_watch
from payments.models import Entitlement
from payments.serializers.access import AccessSerializer, EntitlementSerializer
from videos.models import Video


class EntitlementsView(ListModelMixin, GenericAPIView):
    queryset = Entitlement.objects.none()
    serializer_class = EntitlementSerializer
    ordering = "-starts_at"

    def get_queryset(self):
        return Entitlement.objects.live().filter(user=self.request.user)

    @extend_schema(summary="What I may watch")
    def get(self, request):
        return self.list(request)


class EntitlementView(APIView):
    @extend_schema(summary="May I watch this video?", responses=AccessSerializer)
    def get(self, request, video_id):
        video = Video.objects.visible_to(request.user).filter(pk=video_id).first()
        if video is None:
            raise NotVisible()
        access = can_watch(request.user, video)
        return Response(
            {
                "video_id": video.pk,
                "allowed": access is not None,
                "access": access.kind if access else None,
                "ends_at": access.ends_at if access else None,
            }
        )
