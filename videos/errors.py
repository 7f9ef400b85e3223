"""Errors of the catalogue, of uploads and of the job queue."""

from datetime import datetime

from rest_framework import status

from config.errors import DomainError, ServiceUnavailable


class NotFailed(DomainError):
    """Refusal to retry a video that is not FAILED."""

    default_code = "not_failed"
    default_detail = "Only a FAILED video can be retried. Upload a new file to process this one."


class NotReady(DomainError):
    """Refusal to make a version again of a video that is not READY."""

    default_code = "not_ready"
    default_detail = "Only a READY video can be made again. Retry a FAILED one."


class AlreadyQueued(DomainError):
    """Refusal to make a version again while the video is being processed."""

    default_code = "already_queued"
    default_detail = "This video is being processed already. Wait until that has ended."


class FilesRemoved(DomainError):
    """Refusal to restore a video whose files were removed after DELETED_RETENTION_DAYS."""

    default_code = "files_removed"

    def __init__(self, *, on: datetime | None = None):
        day = f" on {on:%Y-%m-%d}" if on else ""
        super().__init__(
            f"The files of this video were removed for good{day}, because it had been deleted too long "
            "ago. It cannot be restored. Upload the file again as a new video."
        )


class NoSource(DomainError):
    """Refusal to retry a video that has no source, or a source that is missing on the disk."""

    default_code = "no_file"
    default_detail = "This video has no file to process. Upload one."


class QuotaExceeded(DomainError):
    """Refusal of a file while too many of the creator's videos wait to be processed."""

    default_code = "quota_exceeded"
    default_detail = (
        "Too many of the creator's videos wait to be processed. Try again when some are ready."
    )


class LengthRequired(DomainError):
    """Refusal of an upload of unknown length."""

    status_code = status.HTTP_411_LENGTH_REQUIRED
    default_code = "length_required"
    default_detail = "The upload has no Content-Length header. Send it again with one."


class UploadInterrupted(DomainError):
    """Refusal of an upload that ended early: its client disconnected while sending it."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "upload_interrupted"
    default_detail = (
        "The upload ended before the whole file had arrived, and nothing was stored. Send it again."
    )
    attr = "file"


class EmptyUpload(DomainError):
    """Refusal of a file of zero bytes."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "empty"
    default_detail = "The uploaded file is empty. Upload a file that holds a video."
    attr = "file"


class TooManyCaptions(DomainError):
    """Refusal of one more caption of a video that has as many as a video may have."""

    default_code = "too_many_captions"
    default_detail = "This video has 100 captions, and more are not possible. Delete one first."


class NoVersion(DomainError):
    """Refusal of what needs a published version, while the video has none."""

    default_code = "not_ready"
    default_detail = "This video has not been processed yet. Try again when it can be played."


class StorageAway(ServiceUnavailable):
    """The folder of videos (MEDIA_DIR) cannot be used: not mounted, read-only, or broken."""

    outage = "storage"  # the part that is away, for the log (config.log_records)
    default_code = "storage_unavailable"
    default_detail = (
        "The service cannot reach the storage of its videos at the moment. Nothing was changed or lost. "
        "Try again in a few minutes."
    )
    retry_after = 30


class LeaseLost(Exception):
    """Notice to an attempt that it no longer owns its job: another worker claimed the job, or a newer
    file cancelled it. The attempt must stop and must not change the job or the video.
    """
