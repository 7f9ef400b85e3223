"""The client of a self-hosted video-on-demand service.

`Vod` signs in and keeps signed in, uploads, waits and plays. Everything else of the API is in
`vod_client.generated`, whose functions take `Vod.api`: ``result(videos_list.sync(client=vod.api))``.
"""

from vod_client.errors import (
    ApiError,
    NotReady,
    Problem,
    ProcessingFailed,
    UploadInterrupted,
    VodError,
    result,
)
from vod_client.uploads import Uploaded
from vod_client.vod import Vod
from vod_client.webhooks import Event, WebhookVerificationError, verify_webhook

__version__ = "1.0.0"
__all__ = [
    "ApiError",
    "Event",
    "NotReady",
    "Problem",
    "ProcessingFailed",
    "UploadInterrupted",
    "Uploaded",
    "Vod",
    "VodError",
    "WebhookVerificationError",
    "result",
    "verify_webhook",
]
