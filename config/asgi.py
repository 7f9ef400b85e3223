"""One port: ``/media/`` goes to the delivery application, the rest to Django in threads.

Files are never sent from a thread pool, where a few slow readers would stop the service; the API is
never run under Django's ASGI handler, where a request costs several times as much.
"""

from urllib.parse import quote

from a2wsgi import WSGIMiddleware
from django.utils.module_loading import import_string

from config.wsgi import application as django

WSGI_THREADS = 16

api = WSGIMiddleware(django, workers=WSGI_THREADS)
media = import_string("streaming.delivery.asgi.application")


async def application(scope, receive, send):
    if scope["type"] == "lifespan" or (
        scope["type"] == "http" and scope["path"].startswith("/media/")
    ):
        await media(scope, receive, send)
    else:
        if not scope.get("query_string", b"").isascii():
            # PEP 3333 has no way to pass them; a browser would have encoded them like this.
            encoded = quote(scope["query_string"], safe="%&=+/?:@!$'()*,;~-._[]")
            scope = {**scope, "query_string": encoded.encode()}
        await api(scope, receive, send)
