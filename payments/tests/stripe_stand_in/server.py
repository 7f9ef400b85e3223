"""The HTTP server: keys, versions and idempotency of requests, and trouble on demand."""

import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Iterable
from copy import deepcopy
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import parse_qsl, urlsplit

from payments.tests.stripe_stand_in.objects import API_VERSION, Refused
from payments.tests.stripe_stand_in.routes import ROUTES, Account

KEY, SECRET = "sk_test_of_the_stand_in", "whsec_of_the_stand_in"
# The answers that Stripe wants to have repeated.
BUSY = {
    "lock_timeout": Refused(429, "Another request holds this object.", code="lock_timeout"),
    "key in use": Refused(409, "A request with this key runs.", code="idempotency_key_in_use"),
}


class StripeStandIn(Account):
    """An HTTP server that answers as Stripe does while its ``with`` block runs, at ``url``.

    ``trouble`` disturbs the next requests, one entry for each: None leaves the request alone, a
    status is answered before any work is done, ``"silence"`` does the work and closes the connection
    without an answer, and ``"500 after"`` does the work and answers 500. ``"lock_timeout"`` and
    ``"key in use"`` are Stripe's answers to a request that meets another one at the same object, or
    with the same key: nothing is done, and the SDK asks again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, tuple[str, int, dict]] = {}
        self.trouble: list[int | str | None] = []
        self.requests: list[tuple[str, str, dict]] = []
        self.versions: set[str] = set()
        self._delivered = 0

    def __enter__(self) -> "StripeStandIn":
        handler = type("Handler", (_Handler,), {"stripe": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, method: str, url: str, params: dict, headers) -> tuple[int, dict]:
        """Return status and body of an answer; raise ConnectionAbortedError to give no answer."""
        with self._lock:
            path = urlsplit(url).path.removeprefix("/v1/")
            self.requests.append((method, path, params))
            self.versions.add(headers.get("Stripe-Version", ""))
            trouble = self.trouble.pop(0) if self.trouble else None
            if isinstance(trouble, int):
                return trouble, Refused(trouble, "on demand").body
            if trouble in BUSY:
                return BUSY[trouble].status, BUSY[trouble].body
            if headers.get("Authorization") != f"Bearer {KEY}":
                return 401, Refused(401, f"Invalid API Key provided: {KEY[:8]}****").body
            status, body = self._once(method, path, params, headers.get("Idempotency-Key", ""))
            if trouble == "silence":
                raise ConnectionAbortedError
            return (500, Refused(500, "on demand").body) if trouble else (status, body)

    def _once(self, method: str, path: str, params: dict, key: str) -> tuple[int, dict]:
        """Do the work of a POST once for each idempotency key and repeat its stored answer afterwards.

        As at Stripe, refusals are stored too, except for a request with unknown parameters.
        """
        print_ = json.dumps([method, path, params], sort_keys=True, default=repr)
        if method == "POST" and not key:
            raise AssertionError(f"{path} without an idempotency key")
        if method == "POST" and key in self.keys:
            known, status, body = self.keys[key]
            if known == print_:
                return status, body
            error = Refused(400, "Keys can only be used with the same parameters.")
            error.body["error"]["type"] = "idempotency_error"
            return 400, error.body
        before = deepcopy(self.objects)
        try:
            status, body = 200, self._route(method, path, params)
        except Refused as refused:
            if refused.status != 402:
                self.objects = before
            status, body = refused.status, refused.body
        if method == "POST" and "unknown parameter" not in str(body):
            self.keys[key] = (print_, status, deepcopy(body))
        return status, body

    def _route(self, method: str, path: str, params: dict) -> dict:
        expand = params.pop("expand", [])
        for verb, pattern, allowed, action in ROUTES:
            matched = re.fullmatch(pattern, path)
            if verb != method or matched is None:
                continue
            if unknown := set(params) - set(allowed):
                raise Refused(400, f"Received unknown parameter: {sorted(unknown)}")
            answer = self.export(action(self, *matched.groups(), **params), expand)
            return answer | {"url": f"/v1/{path}"} if answer["object"] == "list" else answer
        raise Refused(404, f"Unrecognized request URL ({method}: /v1/{path}).")

    def undelivered(self) -> list[tuple[bytes, dict[str, str]]]:
        """Return the signed messages of all events that were not returned before, oldest first."""
        with self._lock:
            events = [row for row in self.objects.values() if row["object"] == "event"]
            new = events[self._delivered :]
            self._delivered = len(events)
            return [sign(json.dumps(event).encode()) for event in new]

    def signed(self, event_type: str, object_id: str, **over) -> tuple[bytes, dict[str, str]]:
        """Return body and headers of a signed message about an object in its current state."""
        event = self.tell(event_type, self.objects[object_id])
        return sign(json.dumps(event | over).encode())


def sign(body: bytes, *, secret: str = SECRET, at: float | None = None) -> tuple[bytes, dict]:
    """Return the body and its Stripe-Signature header, signed at a moment (default: now)."""
    moment = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), b"%d." % moment + body, hashlib.sha256).hexdigest()
    return body, {"Stripe-Signature": f"t={moment},v1={digest}"}


def nested(pairs: Iterable[tuple[str, str]]) -> dict:
    """Return form fields as a nested object: ``a[b][0]=c`` becomes ``{"a": {"b": ["c"]}}``."""
    whole: dict = {}
    for name, value in pairs:
        *path, last = re.findall(r"[^\[\]]+", name)
        inner = whole
        for step in path:
            inner = inner.setdefault(step, {})
        inner[last] = value
    return _with_lists(whole)


def _with_lists(value):
    if not isinstance(value, dict):
        return value
    if value and all(name.isdigit() for name in value):
        return [_with_lists(value[name]) for name in sorted(value, key=int)]
    return {name: _with_lists(inner) for name, inner in value.items()}


def parts(content_type: str, body: bytes) -> dict:
    """Return the fields of a form with files: a file as its ``name`` and ``content``."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    fields: dict = {}
    for part in cast(list[Message], message_from_bytes(head + body).get_payload()):
        name = part.get_param("name", header="content-disposition")
        content = cast(bytes, part.get_payload(decode=True))
        file_name = part.get_filename()
        is_file = file_name is not None
        fields[name] = {"name": file_name, "content": content} if is_file else content.decode()
    return fields


class _Handler(BaseHTTPRequestHandler):
    stripe: StripeStandIn
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: apart, each answer waits 40 ms for the other's ACK

    def _answer(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "multipart" in self.headers.get("Content-Type", ""):
            params = parts(self.headers["Content-Type"], sent)
        else:
            query = sent.decode() or urlsplit(self.path).query
            params = nested(parse_qsl(query, keep_blank_values=True))
        try:
            status, body = self.stripe.answer(self.command, self.path, params, self.headers)
        except ConnectionAbortedError:
            self.close_connection = True
            return
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.send_header("Request-Id", "req_of_the_stand_in")
        self.send_header("Stripe-Version", API_VERSION)
        if body in [busy.body for busy in BUSY.values()]:
            self.send_header("Stripe-Should-Retry", "true")
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, *_) -> None:
        """Write no log."""
