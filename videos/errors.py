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


class InvalidHeader(DomainError):
    """Refusal of a request of the tus protocol with a header that is missing or cannot be read."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid_header"

    def __init__(self, header: str, detail: str):
        super().__init__(f"{header} {detail}")
        self.attr = header


class TusVersion(DomainError):
    """Refusal of a request that does not speak the version of tus that is served."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "tus_version"
    default_detail = "Send the header Tus-Resumable: 1.0.0. No other version of tus is spoken here."


class OffsetMismatch(DomainError):
    """Refusal of bytes that do not follow those that are there."""

    default_code = "offset_mismatch"

    def __init__(self, offset: int = 0):
        super().__init__(f"The upload has {offset} bytes. Send the rest from there.")


class ChecksumMismatch(DomainError):
    """Refusal of bytes that are not those of their checksum. They are forgotten."""

    status_code = 460
    default_code = "checksum_mismatch"
    default_detail = (
        "The bytes are not those of Upload-Checksum, and were not kept. Send them again."
    )


class UploadBusy(DomainError):
    """Refusal of a second writer of an upload, and of ending one that is being completed."""

    status_code = status.HTTP_423_LOCKED
    default_code = "upload_busy"
    default_detail = (
        "Another request writes this upload at the moment. Try again when it has ended."
    )
    retry_after = 2


class UploadCut(DomainError):
    """The end of a request whose client has gone. What had arrived is kept."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "upload_interrupted"
    default_detail = (
        "The connection ended. Ask for the upload's offset, and send the rest from there."
    )


class UploadGone(DomainError):
    """Refusal of an upload that has expired or failed, or whose bytes are gone."""

    status_code = status.HTTP_410_GONE
    default_code = "upload_gone"
    default_detail = "This upload has ended. Begin a new one."


class UploadQuotaExceeded(DomainError):
    """Refusal of an upload beyond UPLOAD_QUOTA_BYTES of its creator."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "upload_quota_exceeded"
    default_detail = "Too many bytes are under way. Finish or end other uploads first."


class JoinedUpload(DomainError):
    """Refusal of bytes for an upload that is joined from others."""

    status_code = status.HTTP_403_FORBIDDEN
    default_code = "joined_upload"
    default_detail = "This upload is joined from others, and takes no bytes."


class NotJoinable(DomainError):
    """Refusal to join uploads that are no complete parts, or are parts of another upload."""

    default_code = "not_joinable"
    default_detail = "Only complete partial uploads of your own can be joined, and only once."


class DirectUnavailable(DomainError):
    """Refusal of a direct upload by a service that keeps its files on a disk."""

    default_code = "direct_unavailable"
    default_detail = (
        "This service has no object storage to which files could be sent directly (STORAGE=local). "
        "Upload by tus to this address, without Upload-Mode, or with a form."
    )


class DirectUpload(DomainError):
    """Refusal of bytes by tus for an upload whose parts go to the bucket."""

    default_code = "direct_upload"
    default_detail = (
        "The parts of this upload are sent to the addresses that it has told, and not to this one."
    )


class NotDirect(DomainError):
    """Refusal of a request that only direct uploads know."""

    default_code = "not_direct"
    default_detail = "This is no direct upload. Send its bytes by tus."


class PartsMismatch(DomainError):
    """Refusal to complete a direct upload whose parts are not in the bucket as they must be."""

    default_code = "parts_mismatch"
    default_detail = (
        "Some parts changed while the upload was completed. Complete it again when all are there."
    )
    attr = "parts"


class UploadDamaged(DomainError):
    """The end of a direct upload: the bucket has made another object of its parts."""

    status_code = status.HTTP_410_GONE
    default_code = "upload_damaged"
    default_detail = "The object is not what its parts are together. Begin a new upload."


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
