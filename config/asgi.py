"""The ASGI application: ``/media/`` goes to the delivery, every other request to Django in threads.

Media files are not sent from the thread pool, because a few slow readers would occupy all its threads.
The API does not run under Django's own ASGI handler, where a request costs several times as much.
"""

from urllib.parse import quote

from a2wsgi import WSGIMiddleware
from a2wsgi.asgi_typing import ASGIApp, Receive, Scope, Send
from django.utils.module_loading import import_string

from config.wsgi import application as django

WSGI_THREADS = 16

api = WSGIMiddleware(
    django,  # type: ignore[arg-type]  # a2wsgi types the environ as a TypedDict, Django as a dict
    workers=WSGI_THREADS,
)
media: ASGIApp = import_string("streaming.delivery.asgi.application")


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Pass one connection on. The delivery also gets the start and stop of the process (lifespan)."""
    if scope["type"] == "lifespan" or (
        scope["type"] == "http" and scope["path"].startswith("/media/")
    ):
        await media(scope, receive, send)
        return
    query = scope.get("query_string", b"")
    if scope["type"] == "http" and not query.isascii():
        # PEP 3333 cannot carry these bytes. They are encoded here as a browser would have done it.
        encoded = quote(query, safe="%&=+/?:@!$'()*,;~-._[]")
        scope = {**scope, "query_string": encoded.encode()}
    await api(scope, receive, send)
