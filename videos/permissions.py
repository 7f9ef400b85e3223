from typing import ClassVar

from django.conf import settings
from rest_framework.permissions import SAFE_METHODS, BasePermission

from config.api.permissions import requires

MayUpload = requires("videos.add_video", "Only creators and administrators may upload videos.")
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


class MayChangeParts(BasePermission):
    """Reading the parts of a video is open to anyone, changing them to signed-in users.

    Whose video it is, the view decides with OwnsVideo.
    """

    def has_permission(self, request, view):
        return request.method in SAFE_METHODS or request.user.is_authenticated


class OwnsVideo(BasePermission):
    """A video may be changed by its owner, and by users whose role has the action's own permission."""

    message = "This video belongs to another creator, and your role may not do this to it."

    # By the view's action, the permission to do it to any video. An action that is missing here is
    # open to the owner alone.
    ANY_VIDEO: ClassVar = {
        "partial_update": "videos.change_any_video",
        "update": "videos.change_any_video",
        "upload": "videos.change_any_video",
        "destroy": "videos.delete_any_video",
        "retry": "videos.retry_any_video",
        "import_file": "videos.change_any_video",
    }

    def has_object_permission(self, request, view, obj):
        return request.method in SAFE_METHODS or self.allows(request.user, obj, view.action)

    @classmethod
    def allows(cls, user, video, action: str) -> bool:
        """Return whether the user may carry out the action on a video that they can see."""
        if video.creator_id == user.pk:
            return True
        permission = cls.ANY_VIDEO.get(action)
        return permission is not None and user.has_perm(permission)


class MayBrowse(BasePermission):
    """Videos, offers and playback are open to users, and with ANONYMOUS_PLAYBACK to anyone."""

    def has_permission(self, request, view):
        return settings.ANONYMOUS_PLAYBACK or request.user.is_authenticated
