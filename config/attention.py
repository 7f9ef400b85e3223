"""What needs attention: the start page of the admin site. Each app registers its own part.

An app adds a part with `needs_attention`, in its `admin` module::

    @needs_attention("Reports", permission="videos.moderate")
    def reports(request):
        yield Tile("Open reports", number, "look" if number else "good", url, "The oldest is 2 h old.")
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from django.http import HttpRequest

from config import health

State = Literal["good", "look", "urgent"]
WORDS: dict[State, str] = {"good": "Nothing to do", "look": "To be looked at", "urgent": "Urgent"}
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of the start page, with the address of the page where the work is done."""

    title: str
    figure: str | int
    state: State
    url: str
    say: str = ""

    @property
    def words(self) -> str:
        """Return the state in words, because a colour alone tells some readers nothing."""
        return WORDS[self.state]


Part = Callable[[HttpRequest], Iterable[Tile]]
_parts: dict[str, list[tuple[str, Part]]] = {}


def needs_attention(group: str, *, permission: str) -> Callable[[Part], Part]:
    """Add a function's tiles to a group of the start page, for users who have the permission."""

    def add(part: Part) -> Part:
        _parts.setdefault(group, []).append((permission, part))
        return part

    return add


def groups(request: HttpRequest) -> list[tuple[str, list[Tile]]]:
    """Return the groups that the user may see, with their tiles. A part that fails says so."""
    found = []
    for group, parts in _parts.items():
        tiles = [
            tile
            for permission, part in parts
            if request.user.has_perm(permission)
            for tile in _tiles(part, request)
        ]
        if tiles:
            found.append((group, tiles))
    return found


def count(number: int, *, state: State) -> tuple[int, State]:
    """Return a number with its state: good at 0, and else ``state``."""
    return number, state if number else "good"


def _tiles(part: Part, request: HttpRequest) -> list[Tile]:
    try:
        return list(part(request))
    except Exception:
        # The page is opened when something is wrong: it shows the other parts.
        logger.exception("A part of the start page failed", extra={"part": part.__name__})
        title = part.__name__.replace("_", " ").capitalize()
        return [Tile(title, "?", "urgent", "", "It could not be read; the log has the reason.")]


@needs_attention("Service", permission="audit.view_auditentry")
def service(request: HttpRequest) -> Iterable[Tile]:
    """Return the health of each part of the service, as `GET /health/ready` tells it."""
    state = health.result_of(health.readiness.asked())
    bad = {name: words for name, words in state.parts.items() if words != "ok"}
    say = "; ".join(state.reasons.get(name, f"{name}: {words}") for name, words in bad.items())
    level: State = "good" if state.status == "ok" else "look" if state.is_ready else "urgent"
    yield Tile("Health", state.status, level, "/health/ready", say or "All parts are well.")
