"""Django's middleware for pages, which lets requests of the API pass.

The API reads no cookie, has no session and shows no form. What it needs of these classes is done here.
"""

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.deprecation import MiddlewareMixin

API = "/api/v1/"


class PagesOnly(MiddlewareMixin):
    """The base of middleware that runs for all requests but those of the API."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(API):
            return self.get_response(request)  # type: ignore[return-value]  # as below
        return super().__call__(request)  # type: ignore[return-value]  # the stub allows coroutines


class PagesSessionMiddleware(PagesOnly, SessionMiddleware):
    """The sessions of the admin site."""


class PagesAuthenticationMiddleware(PagesOnly, AuthenticationMiddleware):
    """The users of the admin site. The views of the API set ``request.user`` by the access token."""


class PagesMessageMiddleware(PagesOnly, MessageMiddleware):
    """The messages of the admin site."""


class PagesCommonMiddleware(CommonMiddleware):
    """Django's redirects to the address with a slash, and for every answer the two things below.

    A request for a host that ALLOWED_HOSTS lacks is refused, and the length of the answer is said.
    """

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(API):
            return super().__call__(request)  # type: ignore[return-value]  # the stub allows coroutines
        request.get_host()  # raises DisallowedHost
        response = self.get_response(request)
        if not response.streaming and "Content-Length" not in response.headers:  # type: ignore[union-attr]  # as above
            response.headers["Content-Length"] = str(len(response.content))  # type: ignore[union-attr]  # as above
        return response  # type: ignore[return-value]  # as above


class PagesCsrfMiddleware(CsrfViewMiddleware):
    """Django's protection of forms, for pages alone.

    The API reads no cookie, so it needs no protection against other sites' forms. Django would set a new
    cookie in an API answer when the client's own is damaged.
    """

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith("/api/"):
            return self.get_response(request)  # type: ignore[return-value]  # the stub allows coroutines
        return super().__call__(request)  # type: ignore[return-value]  # as above
