"""Resumable uploads for Django: it answers, and `videos.uploads.resumable` has taken in the bytes."""

from typing import cast
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import APIException
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from config.api.refusals import reads_header, refuses, sends_headers
from config.api.views import GenericViewSet
from config.errors import NotVisible, StorageFull, TooLarge
from videos.errors import (
    ChecksumMismatch,
    DirectUnavailable,
    DirectUpload,
    EmptyUpload,
    InvalidHeader,
    JoinedUpload,
    LengthRequired,
    NotDirect,
    NotJoinable,
    OffsetMismatch,
    PartsMismatch,
    QuotaExceeded,
    StorageAway,
    TusVersion,
    UploadBusy,
    UploadCut,
    UploadDamaged,
    UploadGone,
    UploadQuotaExceeded,
)
from videos.models import Upload
from videos.permissions import MayUpload
from videos.services import direct, resuming
from videos.uploads import receiving, tus
from videos.uploads.serializers import (
    NewDirectUploadSerializer,
    PartNumbersSerializer,
    SentPartsSerializer,
    UploadSerializer,
)

BYTES_REFUSED = (
    ChecksumMismatch, InvalidHeader, LengthRequired, StorageAway, StorageFull, TooLarge, TusVersion,
    UploadBusy, UploadCut, UploadQuotaExceeded,
)  # fmt: skip
MODE = reads_header(
    "Upload-Mode",
    "`direct`: the body is JSON, and the file goes to the bucket. Left out: tus.",
    {"type": "string", "enum": ["direct"]},
)
RESUMABLE = reads_header("Tus-Resumable", "`1.0.0`, in every request.", {"type": "string"})
CHECKSUM = reads_header(
    "Upload-Checksum",
    "`sha1`, `sha256` or `md5`, a space, and the checksum of this request's bytes in base64.",
    {"type": "string"},
)
LENGTH = reads_header("Upload-Length", "Bytes of the whole file.", {"type": "integer"})
DIRECT_ACTIONS = {"parts", "complete"}
OF_UPLOAD = (
    "Tus-Resumable", "Upload-Offset", "Upload-Length", "Upload-Defer-Length", "Upload-Metadata",
    "Upload-Concat", "Upload-Expires", "Video-Id",
)  # fmt: skip


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
        speaks_tus = request.method.lower() in self.action_map and request.method != "GET"
        if speaks_tus and self.action not in DIRECT_ACTIONS and not _is_direct(request):
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
        "upload, and `Video-Id` its video. Processing is queued when all bytes have come.\n\n"
        "With `Upload-Mode: direct`, where the service keeps its files in an object storage, the file "
        "goes there past the service. The answer's `direct` has the addresses of the first 100 parts, "
        "to which `PUT` sends their bytes, several at once and again after an error; "
        "`/uploads/{id}/parts` tells more of them, and `/uploads/{id}/complete` ends it.",
        request={
            tus.CONTENT_TYPE: OpenApiTypes.BINARY,
            "application/json": NewDirectUploadSerializer,
        },
        responses={201: UploadSerializer},
    )
    @MODE
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
    @refuses(NotVisible, DirectUnavailable)
    @sends_headers("Location", *OF_UPLOAD)
    def create(self, request):
        if _is_direct(request):
            return self._begin_direct(request)
        transfer = self._transfer(None)
        if transfer is not None:
            upload = self._answered(transfer)
        else:
            wanted = tus.wanted(request.headers)
            upload = resuming.begin(resuming.plan(request.user, wanted), wanted.parts)
            if resuming.is_joined(upload):
                self._join(upload)
        return self._created(upload)

    def _begin_direct(self, request):
        wanted = NewDirectUploadSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        values = {name: str(value) for name, value in wanted.validated_data.items()}
        upload = direct.begin(request.user, length=int(values.pop("length")), values=values)
        return self._created(upload, *direct.sign(upload, direct.first_numbers(upload)))

    def _created(self, upload: Upload, pieces=(), until=None) -> Response:
        headers = {"Location": f"{tus.PATH}{upload.pk}", **tus.headers_of(upload)}
        return self._told(upload, pieces, until, status=status.HTTP_201_CREATED, headers=headers)

    def _told(self, upload: Upload, pieces=(), until=None, **options) -> Response:
        context = {"pieces": pieces, "until": until}
        return Response(UploadSerializer(upload, context=context).data, **options)

    @extend_schema(
        summary="Get an upload's state",
        description="HEAD answers with the same headers, as tus wants it, and without a body. Of a "
        "direct upload, `direct.parts` are those that the bucket has.",
    )
    @refuses(TusVersion, UploadGone, StorageAway, DirectUnavailable)
    @sends_headers(*OF_UPLOAD)
    def retrieve(self, request, pk):
        pieces = []
        if request.method == "GET":
            upload = resuming.get(request.user, pk)
            if upload.kind == Upload.Kind.DIRECT:
                pieces = direct.arrived(upload)
        else:
            transfer = self._transfer(pk)
            if transfer is not None:
                self._answered(transfer)
            upload = resuming.find(request.user, pk)
        return self._told(upload, pieces, headers=tus.headers_of(upload))

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
    @refuses(*BYTES_REFUSED, EmptyUpload, JoinedUpload, DirectUpload, OffsetMismatch, UploadGone)
    @sends_headers(*OF_UPLOAD)
    def partial_update(self, request, pk):
        upload = self._answered(cast("receiving.Transfer", self._transfer(pk)))
        return Response(status=status.HTTP_204_NO_CONTENT, headers=tus.headers_of(upload))

    @extend_schema(
        summary="End an upload",
        description="Its bytes are forgotten. The video of a finished upload stays.",
        responses={204: None},
    )
    @MODE
    @RESUMABLE
    @refuses(TusVersion, InvalidHeader, UploadBusy, UploadGone, NotJoinable, StorageAway)
    @sends_headers("Tus-Resumable")
    def destroy(self, request, pk):
        upload = resuming.find(request.user, pk)
        if upload.kind == Upload.Kind.DIRECT:
            direct.end(upload)
        else:
            resuming.terminate(upload)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        summary="Get addresses for parts of a direct upload",
        description="Addresses are good for beginning to send within an hour; ask for new ones then. A "
        "part may be sent again until the upload is complete.",
        request=PartNumbersSerializer,
        responses={200: UploadSerializer},
    )
    @refuses(NotDirect, DirectUnavailable, UploadGone, StorageAway)
    @sends_headers("Tus-Resumable")
    @action(detail=True, methods=["post"])
    def parts(self, request, pk):
        wanted = PartNumbersSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        upload = resuming.find(request.user, pk)
        return self._told(upload, *direct.sign(upload, wanted.validated_data["numbers"]))

    @extend_schema(
        summary="Complete a direct upload",
        description="Needs all parts, each with the `ETag` that the bucket has answered. They are "
        "compared with what the bucket has, and so is the object that it makes of them; then the "
        "processing is queued. Safe to repeat: it happens once. After a 503 it is done later by itself, "
        "too.",
        request=SentPartsSerializer,
        responses={200: UploadSerializer},
    )
    @refuses(
        NotDirect, DirectUnavailable, PartsMismatch, UploadDamaged, UploadGone, StorageAway,
        QuotaExceeded, NotVisible,
    )  # fmt: skip
    @sends_headers("Tus-Resumable")
    @action(detail=True, methods=["post"])
    def complete(self, request, pk):
        sent = SentPartsSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        etags = {part["number"]: part["etag"] for part in sent.validated_data["parts"]}
        return self._told(direct.complete(resuming.find(request.user, pk), etags))

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


def _is_direct(request) -> bool:
    """Return whether the file goes to the bucket. Raises InvalidHeader for a mode that is not known."""
    mode = request.headers.get("Upload-Mode")
    if mode not in {None, "direct"}:
        raise InvalidHeader("Upload-Mode", "must be 'direct', or left out for tus.")
    return mode is not None
