"""The caller's access to videos, and their entitlements."""

from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.mixins import ListModelMixin
from rest_framework.response import Response

from config.api.views import GenericViewSet
from config.errors import NotVisible
from payments.entitlements import Access, can_watch, require_available
from payments.models import Entitlement
from payments.serializers.access import AccessSerializer, EntitlementSerializer
from videos.availability import errors as availability
from videos.models import Video


@extend_schema_view(
    list=extend_schema(
        summary="List my entitlements that are valid now",
        description="The newest come first. An entitlement with `video_id` null covers every video.",
    )
)
class EntitlementViewSet(ListModelMixin, GenericViewSet):
    queryset = Entitlement.objects.none()
    serializer_class = EntitlementSerializer
    ordering = "-starts_at"
    lookup_url_kwarg = "video_id"
    lookup_value_converter = "id"

    def get_queryset(self):
        return Entitlement.objects.live().filter(user=self.request.user.pk)

    @extend_schema(
        summary="Ask whether I may watch this video, and why",
        description="Says beforehand what `GET /stream/{video_id}` would answer. Access to a video that"
        " is not available yet, or not in the caller's country, has an `access` and is not `allowed`.",
        responses=OpenApiResponse(AccessSerializer, "The caller's access, or that there is none."),
    )
    def retrieve(self, request, video_id):
        video = Video.objects.visible_to(request.user).filter(pk=video_id).first()
        if video is None:
            raise NotVisible()
        access = can_watch(request.user, video)
        return Response(
            {
                "video_id": video.pk,
                "allowed": access is not None and _is_available(request, video, access),
                "access": access.kind if access else None,
                "ends_at": access.ends_at if access else None,
            }
        )


def _is_available(request, video: Video, access: Access) -> bool:
    """Return whether the video's dates and countries allow the caller to watch it now."""
    try:
        require_available(access, video, address=request.META.get("REMOTE_ADDR", ""))
    except availability.REFUSALS:
        return False
    return True
