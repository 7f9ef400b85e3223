"""The HTTP half of ``Idempotency-Key``: a decorator for the views that move money."""

import functools
import json

from django.http import Http404
from rest_framework.exceptions import APIException, ParseError
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from payments.services import idempotency

KEY_MAX = 255


def idempotent(method):
    """Carry out a keyed request once; answer its repeats from the store, marked as such.

    Final answers are kept, a decline among them: a new try needs a new key. 400 for a key that is
    empty or too long; 409 while the first request runs; 422 for a key used for another request.
    """

    @functools.wraps(method)
    def wrapper(view, request, *args, **kwargs):
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return method(view, request, *args, **kwargs)
        if not key.strip() or len(key) > KEY_MAX or not (key.isascii() and key.isprintable()):
            raise ParseError(f"Idempotency-Key must have 1 to {KEY_MAX} printable characters.")
        claim = idempotency.begin(
            user=request.user,
            key=key,
            request_fingerprint=idempotency.fingerprint(
                request.method, request.get_full_path_info(), request.data
            ),
        )
        if claim.answered:
            status, body = claim.answered
            return Response(
                json.loads(body), status=status, headers={"Idempotent-Replayed": "true"}
            )
        try:
            response = method(view, request, *args, **kwargs)
        except (APIException, Http404) as refusal:
            response = view.handle_exception(refusal)
        except BaseException:
            idempotency.forget(claim)
            raise
        if response.status_code >= 500 or response.has_header("Retry-After"):
            idempotency.forget(claim)
        else:
            body = JSONRenderer().render(response.data).decode()
            idempotency.keep(claim, response.status_code, body)
        return response

    return wrapper
