"""People who upload, buy and watch at a stack while its servers are killed.

Each waits and asks again where the service is away, as a client does, and keeps what it was promised:
the tests compare that with what is stored afterwards. What no client may see is kept in ``wrong``.
"""

import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from stack.tests.running import Stack, addresses

API = "/api/v1"
PRICE = "9.99"
BUYERS = 4  # at the same time
PATIENCE = 400.0  # a purchase whose process died may be repeated after two minutes
IN_WORK = 3  # uploads that one creator lets wait
# What a client may see while a server is away. nginx gives 502 while no web process answers.
AWAY = (502, 503)


@dataclass
class Seen:
    """What the clients saw, by what they did; safe for threads."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, deed: str, outcome: str) -> None:
        with self._lock:
            self.counts[deed, outcome] += 1

    def add_wrong(self, text: str) -> None:
        with self._lock:
            self.wrong.append(text)

    def of(self, deed: str) -> dict[str, int]:
        return {outcome: number for (name, outcome), number in self.counts.items() if name == deed}


@dataclass(frozen=True)
class Bought:
    """A purchase that was answered: who, which video, the key, and the order's id."""

    email: str
    access: str
    video: str
    key: str
    order: str  # "" where the answer said that the buyer has the video


class Load:
    """The people, who act from `start` to `stop`.

    ``accepted`` has the ids of the videos whose upload was answered 201, ``bought`` the purchases that
    were answered. ``unanswered`` counts purchases that were never answered.
    """

    def __init__(
        self, stack: Stack, people: dict[str, Any], clip: bytes, free: str, paid: list[str]
    ) -> None:
        self.seen = Seen()
        self.accepted: list[str] = []
        self.bought: list[Bought] = []
        self.unanswered: list[str] = []
        self.sessions = 0
        self.storage = stack.plan.storage
        self._stack, self._people, self._clip = stack, people, clip
        self._wishes = itertools.product(paid[1:], people["viewers"])
        self._lock = threading.Lock()
        self._stop = threading.Event()
        viewer = people["viewers"][0]
        self.ask(stack.client(), "purchase", "POST", f"{API}/payments/purchase/{paid[0]}",
                 access=viewer["access"], json=card(), expect=(200, 201))  # fmt: skip
        self._threads = [
            threading.Thread(target=self._guarded, args=(act, *arguments))
            for act, *arguments in [
                (self._upload,),
                *[(self._buy,)] * BUYERS,
                (self._watch, free, ""),
                (self._watch, paid[0], viewer["access"]),
            ]
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let each finish what was begun."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def ask(
        self, http: httpx.Client, deed: str, method: str, path: str, *, access: str = "",
        expect: tuple[int, ...] = (200,), **more: Any,
    ) -> httpx.Response | None:  # fmt: skip
        """Ask once. Return an answer with one of the expected statuses; None where the service is away.

        Any other answer is kept as wrong, and None is returned too.
        """
        headers = {**more.pop("headers", {})}
        if access:
            headers["Authorization"] = f"Bearer {access}"
        try:
            answer = http.request(method, path, headers=headers, **more)
        except httpx.TransportError as error:
            self.seen.add(deed, "no answer")
            if isinstance(error, httpx.TimeoutException):
                self.seen.add(deed, "of these, time-outs")
            return None
        if answer.status_code in expect:
            if answer.status_code != 409:  # counted by its code
                self.seen.add(deed, str(answer.status_code))
            return answer
        if answer.status_code in AWAY:
            self.seen.add(deed, str(answer.status_code))
        else:
            self.seen.add(deed, f"{answer.status_code} (wrong)")
            self.seen.add_wrong(f"{deed}: {answer.status_code} {answer.text[:300]}")
        return None

    def _guarded(self, act: Callable[..., None], *arguments: Any) -> None:
        try:
            act(*arguments)
        except Exception as error:  # noqa: BLE001 - a thread that ends early would test nothing
            self.seen.add_wrong(f"{act.__name__} ended: {error!r}")

    def _upload(self) -> None:
        http, creator = self._stack.client(), self._people["creator"]["access"]
        waiting: set[str] = set()
        for number in itertools.count():
            if self._stop.is_set():
                return
            if len(waiting) < IN_WORK:
                form = {"title": f"Under load {number}"}
                answer = self.ask(
                    http, "upload", "POST", f"{API}/videos/", access=creator, data=form,
                    files={"file": ("clip.mp4", self._clip, "video/mp4")}, expect=(201,),
                )  # fmt: skip
                if answer is not None:
                    self.accepted.append(answer.json()["id"])
                    waiting.add(self.accepted[-1])
            for video in list(waiting):
                answer = self.ask(http, "look", "GET", f"{API}/videos/{video}", access=creator)
                if answer is not None and answer.json()["status"] in ("READY", "FAILED"):
                    waiting.remove(video)
            self._stop.wait(1)

    def _buy(self) -> None:
        http = self._stack.client()
        while not self._stop.is_set():
            with self._lock:
                video, viewer = next(self._wishes)  # more than anybody buys in the time
            key, end = str(uuid.uuid4()), time.monotonic() + PATIENCE
            while time.monotonic() < end:
                answer = self.ask(
                    http, "purchase", "POST", f"{API}/payments/purchase/{video}",
                    access=viewer["access"], json=card(), headers={"Idempotency-Key": key},
                    expect=(200, 201, 409),
                )  # fmt: skip
                order = self._order_of(answer)
                if order is not None:
                    self.bought.append(Bought(viewer["email"], viewer["access"], video, key, order))
                    break
                time.sleep(1)
            else:
                self.unanswered.append(f"{viewer['email']}, {video}")
            self._stop.wait(4)

    def _order_of(self, answer: httpx.Response | None) -> str | None:
        """Return the id of the paid order, "" where the buyer has the video already, else None."""
        if answer is None:
            return None
        body = answer.json()
        if answer.status_code == 409:
            code = body["errors"][0]["code"]
            self.seen.add("purchase", f"409 {code}")
            if code not in ("idempotency_in_progress", "already_owned"):
                self.seen.add_wrong(f"purchase: 409 {code}")
            # The process died between the payment and the answer.
            return "" if code == "already_owned" else None
        if body["order"]["status"] != "paid":
            self.seen.add("purchase", f"not paid yet: {body['order']['status']}")
            return None
        return str(body["order"]["id"])

    def _watch(self, video: str, access: str) -> None:
        """Play the video again and again: each segment has the same bytes whenever it comes."""
        http = self._stack.client()
        known: dict[str, bytes] = {}
        while not self._stop.is_set():
            for number, (beat, grant, address) in enumerate(self._played(http, video, access)):
                if self._stop.is_set():
                    break
                answer = self.ask(http, "segment", "GET", address)
                if answer is not None:
                    name = address.rpartition("/")[2]
                    if known.setdefault(name, answer.content) != answer.content:
                        self.seen.add_wrong(f"segment: {name} has other bytes")
                body = {
                    "position_seconds": number,
                    "state": "playing",
                    "watched": [[number, number + 1]],
                }
                headers = {"Playback-Grant": grant}
                self.ask(http, "heartbeat", "POST", beat, json=body, headers=headers, expect=(204,))
                self._stop.wait(0.5)
            self._stop.wait(0.5)

    def _played(
        self, http: httpx.Client, video: str, access: str
    ) -> Iterator[tuple[str, str, str]]:
        """Start a session, and yield its heartbeat address, its grant and each segment, ten times."""
        token = self.ask(http, "start", "GET", f"{API}/stream/{video}", access=access)
        if token is None:
            return
        asked = {"Accept": "application/json"}
        started = self.ask(http, "start", "GET", token.json()["stream_url"], headers=asked)
        if started is None:
            return
        self.sessions += 1
        session = started.json()
        try:
            found = addresses(http, self._stack.plan.url, session["hls_url"])
        except httpx.TransportError:
            self.seen.add("playlist", "no answer")
            return
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            self.seen.add("playlist", str(status))
            if status not in AWAY:
                self.seen.add_wrong(f"playlist: {status} {error.response.text[:300]}")
            return
        self.seen.add("playlist", "200")
        for address in found * 10:
            yield session["heartbeat_url"], session["grant"], address


def card() -> dict[str, str]:
    """Return the body of a purchase with a card that pays."""
    return {"payment_method": "pm_card_visa", "expected_amount": PRICE}
