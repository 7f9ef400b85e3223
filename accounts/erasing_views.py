"""The API of the export and the erasure of one's account."""

import json
from collections.abc import Iterator
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.response import Response

from accounts import erasing
from accounts.errors import (
    LastAdmin,
    MoneyMoving,
    MoneyOwed,
    TotpLocked,
    TotpWrong,
    WrongPassword,
)
from accounts.models import Erasure
from accounts.serializers import CodeField, PasswordField
from accounts.views import MeView as ShownMeView
from config import personal
from config.api.refusals import refuses, sends_headers, takes_body
from config.api.views import APIView
from config.personal import Fate

ROWS_A_PIECE = 200


class EraseSerializer(serializers.Serializer):
    current_password = PasswordField()
    totp = CodeField(required=False, allow_blank=True, source="code")


class ErasedRowsSerializer(serializers.Serializer):
    what = serializers.CharField(help_text="The rows, in words.")
    why = serializers.CharField(help_text="What goes with them, or why they are kept.")


class ErasureSerializer(serializers.ModelSerializer):
    pseudonym = serializers.CharField(source="user.public_name", help_text="Your name from now on.")
    removed = serializers.SerializerMethodField(help_text="What is deleted.")
    anonymous = serializers.SerializerMethodField(help_text="What stays without you.")
    kept = serializers.SerializerMethodField(help_text="What stays, and why.")

    class Meta:
        model = Erasure
        fields = ["asked_at", "pseudonym", "removed", "anonymous", "kept"]
        read_only_fields = fields

    def get_removed(self, erasure: Erasure) -> list[dict[str, str]]:
        return _texts(Fate.REMOVED)

    def get_anonymous(self, erasure: Erasure) -> list[dict[str, str]]:
        return _texts(Fate.ANONYMOUS)

    def get_kept(self, erasure: Erasure) -> list[dict[str, str]]:
        return _texts(Fate.KEPT)


def _texts(fate: Fate) -> list[dict[str, str]]:
    return [{"what": entry.what, "why": entry.why} for entry in erasing.described(fate)]


class MeView(ShownMeView):
    """The account: shown and changed as in `accounts.views.MeView`, and erased."""

    def get_rate_group(self) -> str:
        return "auth" if self.request.method == "DELETE" else "default"

    rate_group = property(get_rate_group)  # a password is tried here

    @extend_schema(
        summary="Erase my account",
        description="Takes my name, address and password from the account at once, ends every sign-in,"
        " API key, subscription and playback, and frees the address; within minutes my videos and what"
        " else tells of me are gone. The answer says what is removed, and what is kept and why. It"
        " cannot be undone. 409 while money is owed or moves, and for the last administrator.",
        request=EraseSerializer,
        responses={202: ErasureSerializer},
    )
    @refuses(WrongPassword, TotpWrong, TotpLocked, LastAdmin, MoneyOwed, MoneyMoving)
    @takes_body
    def delete(self, request):
        body = EraseSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        erasure = erasing.ask(user=request.user, **body.validated_data)
        return Response(ErasureSerializer(erasure).data, status=status.HTTP_202_ACCEPTED)


class ExportView(APIView):
    rate_group = "auth"  # it reads much

    @extend_schema(
        summary="Export my data",
        description="Everything that the service has of me, as one JSON document: a list of rows for"
        " each kind, and the account itself. Amounts are in minor units. Secrets are left out; my videos"
        " name their files, which `GET /videos/{id}` and the delivery give. The document is sent as it"
        " is read; one that ends without `complete` was cut.",
        responses={200: OpenApiResponse(OpenApiTypes.OBJECT, "My data.")},
        examples=[
            OpenApiExample(
                "The beginning",
                value={
                    "exported_at": "2026-11-28T09:00:00Z",
                    "account": [{"email": "ann@example.com", "display_name": "Ann"}],
                    "api_keys": [],
                    "complete": True,
                },
            )
        ],
    )
    @sends_headers("Content-Disposition")
    def get(self, request):
        return StreamingHttpResponse(
            _pieces(request.user.pk),
            content_type="application/json",
            headers={"Content-Disposition": 'attachment; filename="my-data.json"'},
        )


def _pieces(user_id: Any) -> Iterator[str]:
    """Yield the document in pieces of at most ROWS_A_PIECE rows."""
    yield f'{{"exported_at": {_text(timezone.now())}'
    for name, rows in personal.sections(user_id):
        yield f",\n{_text(name)}: ["
        piece: list[str] = []
        separator = ""
        for row in rows:
            piece.append(_text(row))
            if len(piece) == ROWS_A_PIECE:
                yield separator + ",\n".join(piece)
                piece, separator = [], ",\n"
        yield (separator if piece else "") + ",\n".join(piece) + "]"
    yield ',\n"complete": true}'


def _text(value: Any) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)
