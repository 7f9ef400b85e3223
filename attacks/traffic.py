"""Traffic as a service has it: people who look around, play, buy, react and sign in, all at once."""

import asyncio
import json
import random
import secrets
import time
from typing import Any
from urllib.parse import urljoin

from attacks.client import Answer, Caller, Figures
from attacks.service import PASSWORD, Service

API = "/api/v1"
READS = ("catalogue", "video", "me", "search", "playlist", "segment")
WRITES = ("buy", "react", "beat", "play")


class Viewer:
    """A signed-in person who does one thing after another."""

    # How often of a hundred.
    HABITS = {
        "catalogue": 20, "video": 20, "me": 8, "search": 5, "segment": 25, "beat": 8, "play": 5,
        "react": 4, "buy": 3, "sign_in": 2,
    }  # fmt: skip

    def __init__(self, service: Service, person: dict[str, str], figures: Figures) -> None:
        self._caller = Caller(service.port, person["access"], agent=f"viewer {person['email']}")
        self._email, self._videos, self._figures = person["email"], service.videos, figures
        self._playback: dict[str, Any] = {}
        self._segments: list[str] = []

    async def act(self, pause: float = 0.0) -> None:
        """Do one thing, chosen by habit."""
        await asyncio.sleep(random.expovariate(1 / pause) if pause else 0)
        [choice] = random.choices(list(self.HABITS), list(self.HABITS.values()))
        if choice in ("beat", "segment") and not self._segments:
            choice = "play"
        await getattr(self, choice)()

    def close(self) -> None:
        self._caller.close()

    async def _call(
        self, kind: str, method: str, path: str, body: Any = None, **headers: str
    ) -> Answer:
        answer = await self._caller.call(method, path, body, **headers)
        self._figures.add(kind, answer)
        return answer

    async def catalogue(self) -> None:
        await self._call("catalogue", "GET", f"{API}/videos/?page_size=20")

    async def video(self) -> None:
        await self._call("video", "GET", f"{API}/videos/{self._videos['paid']}")

    async def search(self) -> None:
        await self._call("search", "GET", f"{API}/videos/?search=harbour")

    async def me(self) -> None:
        await self._call("me", "GET", f"{API}/auth/me")

    async def sign_in(self) -> None:
        body = {"email": self._email, "password": PASSWORD}
        await self._call("sign_in", "POST", f"{API}/auth/login", body)

    async def react(self) -> None:
        path = f"{API}/videos/{self._videos['free']}/reaction"
        await self._call("react", "PUT", path, {"value": random.choice(["like", "dislike"])})

    async def buy(self) -> None:
        card = {"payment_method": "pm_card_visa"}
        path = f"{API}/payments/purchase/{self._videos['paid']}"
        await self._call("buy", "POST", path, card, Idempotency_Key=secrets.token_hex(8))

    async def play(self) -> None:
        """Start a playback session of the free video, and learn its segments."""
        token = await self._call("play", "GET", f"{API}/stream/{self._videos['free']}")
        if token.status != 200:
            return
        path = token.json["stream_url"]
        started = await self._call("play", "GET", path, Accept="application/json")
        if started.status != 200:
            return
        self._playback = started.json
        playlist = await self._call("playlist", "GET", self._playback["hls_url"])
        names = [line for line in playlist.body.decode().splitlines() if line[:1] not in ("", "#")]
        if not names:
            return
        base = urljoin(self._playback["hls_url"], names[0])
        media = await self._call("playlist", "GET", base)
        lines = media.body.decode().splitlines()
        self._segments = [urljoin(base, line) for line in lines if line[:1] not in ("", "#")]

    async def segment(self) -> None:
        answer = await self._call("segment", "GET", random.choice(self._segments))
        if answer.status != 200:
            self._segments = []

    async def beat(self) -> None:
        beat = {"position_seconds": 5, "state": "playing", "watched": [[0, 5]]}
        grant = {"Playback-Grant": self._playback["grant"]}
        await self._call("beat", "POST", self._playback["heartbeat_url"], beat, **grant)


async def crowd(service: Service, people: int, seconds: float, pause: float = 0.0) -> Figures:
    """Let so many people act for so long, and return what they saw."""
    figures, end = Figures(), time.monotonic() + seconds

    async def one(person: dict[str, str]) -> None:
        viewer = Viewer(service, person, figures)
        try:
            while time.monotonic() < end:
                await viewer.act(pause)
        finally:
            viewer.close()

    await asyncio.gather(*map(one, service.people["viewers"][:people]))
    return figures


def summary(figures: Figures, seconds: float) -> str:
    """Return the figures of a crowd on one line."""
    median, slow = (figures.percentile(share, *READS) for share in (0.5, 0.99))
    return (
        f"{figures.count() / seconds:.0f} requests/s; reads p50 {median:.2f} s, p99 {slow:.2f} s;"
        f" writes p99 {figures.percentile(0.99, *WRITES):.2f} s;"
        f" {figures.count(503)} x 503, {len(figures.odd)} other failures"
    )


def dump(figures: Figures) -> str:
    """Return the statuses by kind of call, as JSON."""
    return json.dumps({kind: dict(seen) for kind, seen in figures.statuses.items()})
