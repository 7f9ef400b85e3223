"""Base classes of all API views. They count requests and send the rate limit's headers."""

from typing import Any, TypeVar

from django.db.models import Model
from rest_framework import exceptions, generics, views, viewsets
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from config import addresses
from config.api import ratelimit
from config.headers import BEARER

Row = TypeVar("Row", bound=Model, covariant=True)


def _network_of(request: Request) -> str:
    return addresses.network(request.META.get("REMOTE_ADDR", ""))


class APIView(views.APIView):
    """A view that counts each request against the rate limit of its ``rate_group``.

    Requests are counted by user, or by address without a valid token; all addresses of one IPv6 /64
    network count as one. A request with a refused token is counted too, before anything else happens.
    """

    rate_group = "default"
    is_frequent = False  # True: the audit log counts the requests instead of listing them
    rate_usage: ratelimit.Usage | None = None

    def get_authenticate_header(self, request: Request) -> str:
        """Return a challenge also for views without authentication classes.

        Without one REST framework would turn each of their 401s into a 403.
        """
        return BEARER

    def perform_content_negotiation(
        self, request: Request, force: bool = False
    ) -> tuple[BaseRenderer, str]:
        """Choose JSON whatever ``Accept`` says; no view answers 406.

        A view has one JSON form, and some send a poster, a CSV file or a redirect to a player, which
        ask for ``image/*`` or ``text/csv``. RFC 9110 (12.4.1) lets a server disregard the header.
        """
        renderers = self.get_renderers()
        if len(renderers) == 1 and "indent" not in request.META.get("HTTP_ACCEPT", ""):
            return renderers[0], renderers[0].media_type
        return super().perform_content_negotiation(request, force=True)

    def perform_authentication(self, request: Request) -> None:
        try:
            super().perform_authentication(request)
        except exceptions.APIException:
            self.count_request(request, _network_of(request))
            raise
        self.count_request(request, self.limit_key(request))

    def limit_key(self, request: Request) -> str:
        """Return the text by which requests are counted: the user's id, or the address."""
        user = request.user
        return str(user.pk if user.is_authenticated else _network_of(request))

    def count_request(self, request: Request, key: str) -> None:
        """Count this request and keep the usage for the headers. Raises RateLimited."""
        self.rate_usage = ratelimit.count(request._request, group=self.rate_group, key=key)

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        if self.rate_usage is not None:
            for name, value in self.rate_usage.headers().items():
                response[name] = value
        return response

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, ratelimit.RateLimited):
            self.rate_usage = exc.usage
        return super().handle_exception(exc)


class GenericAPIView(APIView, generics.GenericAPIView[Row]):
    pass


class GenericViewSet(APIView, viewsets.GenericViewSet[Row]):
    pass


class UnknownRoute(APIView):
    """A 404 with the common error body, for every path under /api that is not a route."""

    permission_classes = [AllowAny]
    authentication_classes = []
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)  # counts the request
        raise exceptions.NotFound("There is no resource at this address.")
