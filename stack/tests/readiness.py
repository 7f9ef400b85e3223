"""What the web processes say about themselves, asked all the time while servers are killed."""

import threading
import time
from dataclasses import dataclass

import httpx

from stack.plan import HOST, Plan

INTERVAL = 0.5


@dataclass(frozen=True)
class Said:
    """One answer of `/health/ready`; status 0 where there was none."""

    asked_at: float
    process: str
    status: int
    parts: dict[str, str]

    @property
    def is_well(self) -> bool:
        return self.status == 200

    @property
    def summary(self) -> str:
        """The status, and the parts that do not work."""
        bad = [f"{name} {state}" for name, state in self.parts.items() if state != "ok"]
        return ", ".join([str(self.status) if self.status else "no answer", *bad])

    def names(self, part: str) -> bool:
        """Return whether it says that this part does not work."""
        return self.parts.get(part, "ok") != "ok"


class Readiness:
    """Asks both web processes, without nginx, from `start` to `stop`."""

    def __init__(self, plan: Plan) -> None:
        self.said: list[Said] = []
        self._plan = plan
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(name,)) for name in ("web-1", "web-2")
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def between(self, begin: float, end: float) -> list[Said]:
        """Return the answers to questions of this time (of the monotonic clock)."""
        return [each for each in list(self.said) if begin <= each.asked_at <= end]

    def _ask(self, process: str) -> None:
        url = f"http://{HOST}:{self._plan.ports[process]}/health/ready"
        with httpx.Client(timeout=30) as http:
            while not self._stop.is_set():
                asked_at = time.monotonic()
                try:
                    answer = http.get(url)
                    said = Said(asked_at, process, answer.status_code, answer.json()["parts"])
                except (httpx.TransportError, ValueError, KeyError):
                    said = Said(asked_at, process, 0, {})
                self.said.append(said)
                self._stop.wait(INTERVAL)
