"""The walks of ``docs/life-of-a-request.md``, run: calls and signals happen in the page's order."""

import ast
import http.client
import importlib
import sys
import threading
from contextlib import contextmanager

import pytest
from django.dispatch import Signal

from config.tests import walks
from config.tests.walks import Place
from streaming.delivery.asgi import LazyDelivery
from streaming.delivery.protocol import DeliveryProtocol
from streaming.tests.delivery_kit import serving, wait_until
from videos.signals import worker_tick

HOUSES_OF_SIGNALS = (
    "config.signals", "accounts.signals", "videos.signals", "payments.signals", "streaming.signals",
    "payments.gateways.sandbox.events",
)  # fmt: skip
AGENT = "Player/1.0"
ASKING = {"videos_kept"}  # sent by every query of visible videos; no step of a walk


class Walk:
    """One walk of the page, and the record of the calls that a test makes while it runs the walk."""

    def __init__(self, number: int):
        page = (walks.ROOT / walks.PAGE).read_text(encoding="utf-8")
        section = list(walks.walks(page).values())[number - 1]
        self.steps = [place for place in walks.steps(section) if _is_function(place)]
        self.signals = [signal.name for signal, _ in walks.listeners(section)]
        self.made: list[tuple[Place, int]] = []  # the calls, each with its thread
        self.sent: list[str] = []
        self._files = {str(walks.ROOT / step.path): step.path for step in self.steps}
        self._on = False

    @contextmanager
    def recorded(self):
        """Record the calls of this thread while the block runs, and those of threads that watch."""
        self._on = True
        sys.setprofile(self.watch)
        try:
            yield
        finally:
            sys.setprofile(None)
            self._on = False

    def watch(self, frame, event, arg) -> None:
        """Record a call of a function of the walk's files; for ``sys.setprofile``."""
        path = self._files.get(frame.f_code.co_filename)
        if self._on and event == "call" and path:
            name = frame.f_code.co_qualname.replace(".<locals>", "")
            self.made.append((Place(path, name), threading.get_ident()))

    @property
    def calls(self) -> list[Place]:
        return [place for place, _ in list(self.made)]

    def assert_true(self, *, but: str = "") -> None:
        """Fail if a step was not called after the step before it; the file ``but`` is left out."""
        calls, done = self.calls, 0  # done: the number of calls up to the latest step
        for step in self.steps:
            if step.path == but:
                continue
            if step in calls[done:]:
                done = calls.index(step, done) + 1
                continue
            # A thread of the server may have begun this step while the step before it still ran: the
            # snapshot's thread, for example, just before the refund is committed.
            threads = {thread for place, thread in self.made[:done] if place == step}
            assert threads - {self.made[done - 1][1]}, f"{step} was not called here"
        assert list(dict.fromkeys(self.sent)) == self.signals


def _is_function(place: Place) -> bool:
    node = walks.definitions(walks.ROOT / place.path)[place.name]
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


@pytest.fixture
def walk(request, monkeypatch):
    """The walk of the page that the test names by its number, with the signals recorded."""
    made = Walk(request.param)
    names = {
        id(value): name
        for house in HOUSES_OF_SIGNALS
        for name, value in vars(importlib.import_module(house)).items()
        if isinstance(value, Signal) and name not in ASKING
    }
    for method in ("send", "send_robust"):
        monkeypatch.setattr(Signal, method, _recorded(getattr(Signal, method), made, names))
    return made


def _recorded(original, walk: Walk, names: dict[int, str]):
    def send(signal, *args, **kwargs):
        if walk._on and id(signal) in names:
            walk.sent.append(names[id(signal)])
        return original(signal, *args, **kwargs)

    return send


def one_second_of_the_worker() -> None:
    for receiver, outcome in worker_tick.send_robust(sender=None, every="second"):
        assert not isinstance(outcome, Exception), (receiver, outcome)


@pytest.mark.django_db
@pytest.mark.parametrize("walk", [1], indirect=True)
def test_a_video_from_upload_to_ready(walk, client_for, creator, clip, process_next):
    with clip.open("rb") as file, walk.recorded():
        form = {"title": "The harbour", "file": file}
        created = client_for(creator).post("/api/v1/videos/", form, format="multipart")
        process_next()

    ready = client_for(creator).get(f"/api/v1/videos/{created.data['id']}").data
    assert ready["status"] == "READY"
    walk.assert_true(but="videos/worker.py")  # the worker's own process


@pytest.mark.django_db
@pytest.mark.parametrize("walk", [2], indirect=True)
def test_a_purchase_from_http_to_the_ledger(walk, client_for, viewer, make_video):
    video = make_video(price=1999)
    with walk.recorded():
        bought = client_for(viewer).post(
            f"/api/v1/payments/purchase/{video.pk}",
            {"payment_method": "pm_card_visa"},
            HTTP_IDEMPOTENCY_KEY="order-1",
        )
        one_second_of_the_worker()

    assert (bought.status_code, bought.data["order"]["status"]) == (201, "paid")
    walk.assert_true()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("walk", [3], indirect=True)
def test_a_refund_to_the_black_screen(
    walk, client_for, viewer, admin, make_video, media, buy, player
):
    video = make_video(price=1999)
    segment = media / "videos" / str(video.pk) / video.current_version / "360p/1.m4s"
    segment.parent.mkdir(parents=True)
    segment.write_bytes(bytes(100_000))
    order = buy(viewer, video)
    one_second_of_the_worker()
    token = client_for(viewer).get(f"/api/v1/stream/{video.pk}").data
    play = client_for().get(
        token["stream_url"], HTTP_ACCEPT="application/json", HTTP_USER_AGENT=AGENT
    )
    path = f"/media/{play.data['grant']}/{video.pk}/{video.current_version}/360p/1.m4s"

    with player(walk) as get:
        assert get(path) == 200
        with walk.recorded():
            refunded = client_for(admin).post(
                f"/api/v1/payments/admin/orders/{order.pk}/refund",
                {"reason": "It does not play."},
                HTTP_IDEMPOTENCY_KEY="refund-1",
            )
            stop = Place("streaming/delivery/asgi.py", "Delivery._stop_ended")
            wait_until(lambda: stop in walk.calls)
            assert get(path) == 410
            one_second_of_the_worker()

    assert (refunded.status_code, refunded.data["status"]) == (200, "refunded")
    walk.assert_true()


@pytest.fixture
def player():
    """Runs a web server with the delivery, and gives a function that asks it for a file."""

    @contextmanager
    def run(walk):
        delivery = LazyDelivery()

        class Protocol(DeliveryProtocol):
            application = delivery

        threading.setprofile(walk.watch)  # for the server's threads
        try:
            with serving(delivery, http=Protocol, lifespan="on") as port:

                def get(path: str) -> int:
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                    connection.request("GET", path, headers={"User-Agent": AGENT})
                    response = connection.getresponse()
                    response.read()
                    connection.close()
                    return response.status

                yield get
        finally:
            threading.setprofile(None)

    return run
