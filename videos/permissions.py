from django.conf import settings
from rest_framework.permissions import SAFE_METHODS, BasePermission

from config.api.permissions import requires

MayRestoreVideos = requires("videos.restore_video", "Only administrators may restore videos.")


class MayAddVideos(BasePermission):
    """Reading is open to anyone, adding to creators and administrators, the rest to signed-in users.

    It does not decide which videos are seen (VideoQuerySet does) or changed (OwnsVideo does).
    """

    message = "Only creators and administrators may add videos."

    def has_permission(self, request, view):
        if request.method in SAFE_METHODS:
            return True
        if request.method == "POST" and view.action == "create":
            return request.user.has_perm("videos.add_video")
        return request.user.is_authenticated


class OwnsVideo(BasePermission):
    """A video may be changed by its owner and by administrators only."""

    message = "Only the owner of this video may change it."

    def has_object_permission(self, request, view, obj):
        if request.method in SAFE_METHODS:
            return True
        return obj.creator_id == request.user.pk or request.user.has_perm("videos.manage_any_video")


class MayBrowse(BasePermission):
    """The catalogue is open to signed-in users, and with ANONYMOUS_PLAYBACK to anyone."""

    def has_permission(self, request, view):
        return settings.ANONYMOUS_PLAYBACK or request.user.is_authenticated
