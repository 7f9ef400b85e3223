from rest_framework import status

from config.errors import DomainError


class NotFailed(DomainError):
    default_code = "not_failed"
    default_detail = "Only a video whose processing failed can be processed again."


class NoSource(DomainError):
    default_code = "no_file"
    default_detail = "This video has no file yet: upload one."


class LengthRequired(DomainError):
    status_code = status.HTTP_411_LENGTH_REQUIRED
    default_code = "length_required"
    default_detail = "Send the upload with a Content-Length header."


class UploadInterrupted(DomainError):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "upload_interrupted"
    default_detail = "The upload ended before all of it had arrived. Nothing was stored."
    attr = "file"


class EmptyUpload(DomainError):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "empty"
    default_detail = "The submitted file is empty."
    attr = "file"


class LeaseLost(Exception):
    """This attempt no longer owns its job: another worker does, or a new file replaced it."""
