"""Resumable uploads for Django: it answers, and `videos.uploads.resumable` has taken in the bytes."""

from typing import cast
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import APIException
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from config.api.refusals import reads_header, refuses, sends_headers
from config.api.views import GenericViewSet
from config.errors import NotVisible, StorageFull, TooLarge
from videos.errors import (
    ChecksumMismatch,
    EmptyUpload,
    InvalidHeader,
    JoinedUpload,
    LengthRequired,
    NotJoinable,
    OffsetMismatch,
    QuotaExceeded,
    StorageAway,
    TusVersion,
    UploadBusy,
    UploadCut,
    UploadGone,
    UploadQuotaExceeded,
)
from videos.models import Upload
from videos.permissions import MayUpload
from videos.services import resuming
from videos.uploads import receiving, tus

BYTES_REFUSED = (
    ChecksumMismatch, InvalidHeader, LengthRequired, StorageAway, StorageFull, TooLarge, TusVersion,
    UploadBusy, UploadCut, UploadQuotaExceeded,
)  # fmt: skip
RESUMABLE = reads_header("Tus-Resumable", "`1.0.0`, in every request.", {"type": "string"})
CHECKSUM = reads_header(
    "Upload-Checksum",
    "`sha1`, `sha256` or `md5`, a space, and the checksum of this request's bytes in base64.",
    {"type": "string"},
)
LENGTH = reads_header("Upload-Length", "Bytes of the whole file.", {"type": "integer"})
OF_UPLOAD = (
    "Tus-Resumable", "Upload-Offset", "Upload-Length", "Upload-Defer-Length", "Upload-Metadata",
    "Upload-Concat", "Upload-Expires", "Video-Id",
)  # fmt: skip


class UploadSerializer(serializers.ModelSerializer[Upload]):
    """What became of an upload."""

    error = serializers.SerializerMethodField()

    class Meta:
        model = Upload
        fields = [
            "id", "kind", "state", "offset", "length", "filename", "video_id", "error", "created_at",
            "expires_at",
        ]  # fmt: skip

    def get_error(self, upload: Upload) -> dict[str, str] | None:
        if not upload.error_code:
            return None
        return {"code": upload.error_code, "detail": upload.error_detail}


class UploadViewSet(GenericViewSet[Upload]):
    """Uploads belong to their users. Those of others are answered with 404."""

    queryset = Upload.objects.none()
    serializer_class = UploadSerializer
    permission_classes = [MayUpload]
    lookup_value_converter = "id"
    pagination_class = None
    filterset_class = None

    def get_permissions(self):
        return [AllowAny()] if self.request and self._only_asks() else super().get_permissions()

    def _only_asks(self) -> bool:
        return self.request.method == "OPTIONS"

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        if request.method != "GET" and request.method.lower() in self.action_map:
            tus.require_version(request.headers)

    def finalize_response(self, request, response, *args, **kwargs):
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Tus-Resumable"] = tus.VERSION
        if response.status_code == TusVersion.status_code:
            response["Tus-Version"] = tus.VERSION
        return response

    def options(self, request, *args, **kwargs):
        """Tell what is spoken here; a browser's preflight is answered by the middleware."""
        return Response(status=status.HTTP_204_NO_CONTENT, headers=tus.capabilities())

    @extend_schema(
        summary="Begin a resumable upload",
        description="tus 1.0.0, with `creation`, `creation-with-upload`, `creation-defer-length`, "
        "`checksum`, `expiration`, `termination` and `concatenation`; any tus client speaks it. "
        "`Upload-Metadata` has `filename`, and either `video_id`, whose file is replaced, or `title`, "
        "for a new video (without it, the title is the file's name). The answer's `Location` is the "
        "upload, and `Video-Id` its video. Processing is queued when all bytes have come.",
        request={tus.CONTENT_TYPE: OpenApiTypes.BINARY},
        responses={201: None},
    )
    @RESUMABLE
    @LENGTH
    @reads_header("Upload-Defer-Length", "`1`: the length is told later.", {"type": "integer"})
    @reads_header(
        "Upload-Metadata",
        "Keys, each with its value in base64; commas between.",
        {"type": "string"},
    )
    @reads_header(
        "Upload-Concat",
        "`partial` for a part; `final;` and the addresses of complete parts to join them.",
        {"type": "string"},
    )
    @CHECKSUM
    @refuses(*BYTES_REFUSED, EmptyUpload, JoinedUpload, NotJoinable, QuotaExceeded)
    @refuses(NotVisible)
    @sends_headers("Location", *OF_UPLOAD)
    def create(self, request):
        transfer = self._transfer(None)
        if transfer is not None:
            upload = self._answered(transfer)
        else:
            wanted = tus.wanted(request.headers)
            upload = resuming.begin(resuming.plan(request.user, wanted), wanted.parts)
            if resuming.is_joined(upload):
                self._join(upload)
        headers = {"Location": f"{tus.PATH}{upload.pk}", **tus.headers_of(upload)}
        return Response(status=status.HTTP_201_CREATED, headers=headers)

    @extend_schema(
        summary="Get an upload's state",
        description="HEAD answers with the same headers, as tus wants it, and without a body.",
    )
    @refuses(TusVersion, UploadGone, StorageAway)
    @sends_headers(*OF_UPLOAD)
    def retrieve(self, request, pk):
        if request.method == "GET":
            upload = resuming.get(request.user, pk)
        else:
            transfer = self._transfer(pk)
            if transfer is not None:
                self._answered(transfer)
            upload = resuming.find(request.user, pk)
        return Response(UploadSerializer(upload).data, headers=tus.headers_of(upload))

    @extend_schema(
        summary="Send bytes of an upload",
        description="The bytes follow those that have come: `Upload-Offset` says how many these are. Of "
        "a request that breaks off, all that came is kept, unless it has an `Upload-Checksum`.",
        request={tus.CONTENT_TYPE: OpenApiTypes.BINARY},
        responses={204: None},
    )
    @RESUMABLE
    @reads_header("Upload-Offset", "Bytes that have come already.", {"type": "integer"})
    @LENGTH
    @CHECKSUM
    @refuses(*BYTES_REFUSED, EmptyUpload, JoinedUpload, OffsetMismatch, UploadGone)
    @sends_headers(*OF_UPLOAD)
    def partial_update(self, request, pk):
        upload = self._answered(cast("receiving.Transfer", self._transfer(pk)))
        return Response(status=status.HTTP_204_NO_CONTENT, headers=tus.headers_of(upload))

    @extend_schema(
        summary="End an upload",
        description="Its bytes are forgotten. The video of a finished upload stays.",
        responses={204: None},
    )
    @RESUMABLE
    @refuses(TusVersion, UploadBusy, UploadGone, NotJoinable, StorageAway)
    @sends_headers("Tus-Resumable")
    def destroy(self, request, pk):
        resuming.terminate(resuming.find(request.user, pk))
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _transfer(self, upload_id: UUID | None) -> receiving.Transfer | None:
        """Return what the upload application has taken in; under another server, take it in here."""
        request = self.request
        if receiving.KEY in request.META:
            outcome = request.META[receiving.KEY]
            if isinstance(outcome, APIException):
                raise outcome
            return outcome
        if request.method == "HEAD":
            return None
        transfer = receiving.begin(request.user, upload_id, request.headers)
        if transfer is not None:
            try:
                receiving.receive(request._request, transfer)
            except BaseException:
                transfer.close()
                raise
        return transfer

    def _answered(self, transfer: receiving.Transfer) -> Upload:
        try:
            return transfer.answer()
        finally:
            if receiving.KEY not in self.request.META:
                transfer.close()

    def _join(self, upload: Upload) -> None:
        """Leave the joining to the upload application, or to the next look for interrupted uploads."""
        self.request.META[receiving.JOINED_KEY] = upload
