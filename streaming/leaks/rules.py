"""Who may have what: the promises of the API document, written down a second time.

The check compares answers with this page, and never with the code that gives them.
"""

from collections.abc import Collection
from dataclasses import dataclass

ANONYMOUS = "anonymous"
STRANGER = "stranger"
BUYER = "buyer"
REFUNDED = "refunded"
CREATOR = "other creator"
MODERATOR = "moderator"
OWNER = "owner"
ADMIN = "admin"
VIEWERS = (ANONYMOUS, STRANGER, BUYER, REFUNDED, CREATOR, MODERATOR, OWNER, ADMIN)
INSIDERS = frozenset({OWNER, ADMIN})
NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class State:
    """A state of the video, and the viewers who list it, see its details, watch it, and its preview."""

    name: str
    listed: Collection[str]
    seen: Collection[str]
    watched: Collection[str]
    previewed: Collection[str] = NOBODY


def states(*, anonymous_playback: bool) -> tuple[State, ...]:
    """Return the states in the order in which the check brings the video to them.

    Buyers lose the video twice, by its owner and by a moderator, while they are watching it.
    """
    everybody = frozenset(VIEWERS) - (NOBODY if anonymous_playback else {ANONYMOUS})
    buyers = INSIDERS | {BUYER}
    return (
        State("free", everybody, everybody, everybody),
        State("paid, with a preview", everybody, everybody, buyers, everybody - buyers),
        State("paid", everybody, everybody, buyers),
        State("private, paid", INSIDERS, INSIDERS, INSIDERS),
        State("unlisted, paid", INSIDERS, everybody, buyers),
        State("taken down", INSIDERS, INSIDERS, INSIDERS),
        State("deleted", NOBODY, NOBODY, NOBODY),
    )
