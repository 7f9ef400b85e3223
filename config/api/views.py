"""What every API view has in common: limits, and their headers."""

from django_ratelimit.core import _get_ip as address_for_limits
from rest_framework import exceptions, generics, views, viewsets
from rest_framework.permissions import AllowAny

from config.api import ratelimit


class Limited:
    """Counts every request, also the one whose token is refused, before anything else is done.

    Per user, else per address (an IPv6 household counts as one).
    """

    rate_group = "default"

    def get_authenticate_header(self, request):
        # Also where the token is no header: without this DRF turns a 401 into a 403.
        return 'Bearer realm="api"'

    def perform_authentication(self, request):
        try:
            super().perform_authentication(request)
        except exceptions.AuthenticationFailed:
            self.count_request(request, address_for_limits(request._request))
            raise
        self.count_request(request, self.limit_key(request))

    def limit_key(self, request) -> str:
        user = request.user
        return str(user.pk) if user.is_authenticated else address_for_limits(request._request)

    def count_request(self, request, key: str) -> None:
        request._request.rate_usage = ratelimit.count(
            request._request, group=self.rate_group, key=key
        )

    def finalize_response(self, request, response, *args, **kwargs):
        response = super().finalize_response(request, response, *args, **kwargs)
        usage = getattr(request, "rate_usage", None)
        if usage is not None:
            for name, value in usage.headers().items():
                response[name] = value
        return response

    def handle_exception(self, exc):
        if isinstance(exc, ratelimit.RateLimited):
            self.request._request.rate_usage = exc.usage
        return super().handle_exception(exc)


class APIView(Limited, views.APIView):
    pass


class GenericAPIView(Limited, generics.GenericAPIView):
    pass


class GenericViewSet(Limited, viewsets.GenericViewSet):
    pass


class UnknownRoute(APIView):
    """404 in the one error body, for everything under /api that is not a route."""

    permission_classes = [AllowAny]
    authentication_classes = []
    schema = None

    def initial(self, request, *args, **kwargs):
        raise exceptions.NotFound("There is nothing at this address.")
