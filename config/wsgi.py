"""The WSGI application of Django: the API and the admin site."""

import os

import django
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest
from django.urls import ResolverMatch

from config.http import Request

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


class Handler(WSGIHandler):
    request_class = Request

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        """Take the route that `config.api.slashes` has found, or look it up."""
        found: ResolverMatch | None = getattr(request, "found_route", None)
        if found is None:
            return super().resolve_request(request)
        request.resolver_match = found
        return found


django.setup(set_prefix=False)
application = Handler()
