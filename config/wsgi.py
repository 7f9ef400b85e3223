"""The WSGI application of Django: the API and the admin site."""

import os
from typing import Any

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


class Request(WSGIRequest):
    """A request whose Content-Type may name any charset."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        """Read the Content-Type, and forget a charset that is no encoding of texts.

        Python knows codecs such as "hex" under the same names, and Django would read the query with
        them. The bodies of the API are UTF-8 whatever the header says.
        """
        self.content_type, self.content_params = "", {}
        try:
            super()._set_content_type_params(meta)  # type: ignore[misc]  # stubs lack it
        except (LookupError, ValueError):
            self._encoding = None


class Handler(WSGIHandler):
    request_class = Request


django.setup(set_prefix=False)
application = Handler()
