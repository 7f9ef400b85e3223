"""The views of the bare application, as a tutorial of REST framework would write them."""

from typing import Any

import jwt
from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.urls import path
from rest_framework import exceptions, generics, serializers, status
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reference.models import Row, User, Video


class Bearer(BaseAuthentication):
    """A JWT, and the row of its user."""

    def authenticate(self, request: Request) -> tuple[User, dict[str, Any]] | None:
        token = request.META.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
        if not token:
            return None
        try:
            claims = jwt.decode(token, settings.JWT_KEY, algorithms=["HS256"], issuer="vod")
            return User.objects.get(pk=claims["sub"], is_active=True), claims
        except (jwt.InvalidTokenError, User.DoesNotExist):
            raise exceptions.AuthenticationFailed() from None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class SignedIn(APIView):
    authentication_classes = [Bearer]
    permission_classes = [IsAuthenticated]


class Me(SignedIn):
    def get(self, request: Request) -> Response:
        user = request.user
        return Response(
            {
                "id": user.id,
                "email": user.email,
                "display_name": user.display_name,
                "is_active": user.is_active,
                "created_at": user.created_at,
            }
        )


class CreatorSerializer(serializers.ModelSerializer):
    class Meta:
        model = User
        fields = ["id", "display_name"]


class VideoSerializer(serializers.ModelSerializer):
    """Sixteen fields, with the creator nested."""

    creator = CreatorSerializer()

    class Meta:
        model = Video
        fields = [
            "id", "creator", "title", "description", "category", "status", "visibility", "is_paid",
            "price", "currency", "duration_seconds", "width", "height", "views", "created_at",
            "published_at",
        ]  # fmt: skip


class OneVideo(generics.RetrieveAPIView):
    queryset = Video.objects.select_related("creator")
    serializer_class = VideoSerializer


class Videos(generics.ListAPIView):
    """The newest twenty; with ``?search=`` those whose title or description has the word.

    As a first version is written: each video asks for its creator, unless ``joined``.
    """

    joined = False

    authentication_classes = [Bearer]
    serializer_class = VideoSerializer

    def get_queryset(self):
        rows = Video.objects.order_by("-created_at", "-id")
        if self.joined:
            rows = rows.select_related("creator")
        if word := self.request.query_params.get("search"):
            rows = rows.filter(title__icontains=word) | rows.filter(description__icontains=word)
        return rows[:20]


class Rows(SignedIn):
    def post(self, request: Request) -> Response:
        row = Row.objects.create(user_id=request.user.pk)
        return Response({"id": row.pk}, status=status.HTTP_201_CREATED)


class OneRow(SignedIn):
    def post(self, request: Request, pk: int) -> Response:
        Row.objects.filter(pk=pk).update(position=request.data["position_seconds"])
        return Response(status=status.HTTP_204_NO_CONTENT)


class Login(APIView):
    def post(self, request: Request) -> Response:
        user = User.objects.get(email=request.data["email"])
        if not check_password(request.data["password"], user.password):
            raise exceptions.AuthenticationFailed()
        token = jwt.encode({"sub": str(user.pk), "iss": "vod"}, settings.JWT_KEY)
        return Response({"access_token": token})


urlpatterns = [
    path("me", Me.as_view()),
    path("videos/", Videos.as_view()),
    path("joined/", Videos.as_view(joined=True)),
    path("videos/<uuid:pk>", OneVideo.as_view()),
    path("rows/", Rows.as_view()),
    path("rows/<int:pk>", OneRow.as_view()),
    path("login", Login.as_view()),
]
