"""What a video's row says of versions that were made of versions."""

from django.db import models


class Switched(models.Model):
    """When the current version last replaced another one without a job: `manage.py encrypt_videos`.

    Grants of the version before it are good for PLAYBACK_GRANT_HOURS from then on.
    """

    switched_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        abstract = True
