"""The check itself: it asks for each asset as each viewer, and compares the answers with `rules`."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from streaming.delivery import grants
from streaming.leaks import assets, public, rules
from streaming.leaks.asking import Answer, Away, Door
from streaming.leaks.assets import Playback
from streaming.leaks.stage import Stage
from videos.storage.base import VERSIONS

REVOKED_WITHIN = 2.0  # seconds, as the API document promises
DEVICE, OTHER_DEVICE = "leakcheck/1.0", "another-device/1.0"
FOREIGN = "https://thief.example"
PAGES = ("watch", "embed")
MOST_PREVIEWED = 2  # segments
COPIED, LATE = "copied, forged or bent", "after the right has ended"


@dataclass(frozen=True, slots=True)
class Cell:
    """One answer: what was asked for, as whom, whether it was given, and whether it should be."""

    state: str
    asset: str
    viewer: str
    is_open: bool
    should_be: bool
    how: str = ""  # the way in which it was asked for, if it is not the usual one
    status: int = 0

    @property
    def is_leak(self) -> bool:
        return self.is_open and not self.should_be

    @property
    def is_shut(self) -> bool:
        return self.should_be and not self.is_open


@dataclass
class Check:
    """One run of the check against one address of the service."""

    door: Door
    stage: Stage
    tell: Callable[[str], None] = lambda text: None
    cells: list[Cell] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)  # what cannot be checked from here, and why
    played: dict[str, Playback] = field(default_factory=dict)  # with all files, by viewer
    stored: dict[str, str] = field(default_factory=dict)  # names in the store, by class

    @property
    def wrong(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.is_leak or cell.is_shut]

    def run(self) -> None:
        """Bring the video through all states, and ask in each. Raises Away and NotPrepared."""
        before: dict[str, Playback] = {}
        self.stored["source"] = self.stage.video.source_path
        if not self.door.is_here:
            self.unseen.append("another network: the service is not on this machine")
        elif settings.BIND_PLAYBACK == "none":
            self.unseen.append("another device: BIND_PLAYBACK=none lets every device play")
        stolen = assets.begin(self.door, self.stage.other.pk, self.stage.token(rules.OWNER), DEVICE)
        if not isinstance(stolen, Playback):
            raise Away(f"the owner of a free video cannot play it: {stolen}")
        for state in rules.states(anonymous_playback=settings.ANONYMOUS_PLAYBACK):
            self.tell(state.name)
            self.stage.enter(state.name)
            self._revoked(state, before)
            self._api(state)
            before = self._playback(state, stolen) | self._previews(state)
            self._page(state)
            for asset, answer in public.answers(self.stored):
                self._note(state.name, asset, rules.ANONYMOUS, answer, should_be=False)

    def _note(
        self,
        state: str,
        asset: str,
        viewer: str,
        answer: Answer,
        *,
        should_be: bool,
        how: str = "",
    ) -> None:
        cell = Cell(state, asset, viewer, answer.is_open, should_be, how, answer.status)
        self.cells.append(cell)

    def _api(self, state: rules.State) -> None:
        """Ask the API for what it shows of the video."""
        for asset in assets.of_api(self.stage.video):
            for viewer in rules.VIEWERS:
                answer = self.door.ask(asset.path, token=self.stage.token(viewer), agent=DEVICE)
                is_open = answer.is_open
                if asset.needs == "listed" and is_open:
                    found = [each["id"] for each in answer.json().get("results", [])]
                    is_open = str(self.stage.video.pk) in found
                should_be = viewer in getattr(state, asset.needs)
                cell = Cell(
                    state.name, asset.name, viewer, is_open, should_be, status=answer.status
                )
                self.cells.append(cell)

    def _playback(self, state: rules.State, stolen: Playback) -> dict[str, Playback]:
        """Play as everybody who may; return the running sessions by viewer."""
        running = {}
        for viewer in rules.VIEWERS:
            begun = assets.begin(self.door, self.stage.video.pk, self.stage.token(viewer), DEVICE)
            if not isinstance(begun, Playback):
                continue  # the stream token's row says whether that is right
            running[viewer] = self.played[viewer] = begun
            home = f"{VERSIONS}/{begun.video}/{begun.version}"
            self.stored |= {kind: f"{home}/{name}" for kind, name in begun.samples.items()}
            for asset, answer, is_open in public.clear_answers(begun.elsewhere):
                cell = Cell(
                    state.name, asset, rules.ANONYMOUS, is_open, False, status=answer.status
                )
                self.cells.append(cell)
            for kind, names in begun.files.items():
                answers = [self._ask(begun, name) for name in names]
                if kind == "segment" and begun.is_protected:
                    is_leak = any(each.is_open and assets.is_clear(each.body) for each in answers)
                    self.cells.append(Cell(state.name, "clear segment", viewer, is_leak, False))
                worst = min(answers, key=lambda each: each.is_open)
                self._note(state.name, kind, viewer, worst, should_be=viewer in state.watched)
        if running:
            self._copied(state.name, next(iter(running.values())), stolen)
        return running

    def _ask(
        self,
        playback: Playback,
        name: str,
        path: str = "",
        *,
        by_another_method: bool = False,
        **more: Any,
    ) -> Answer:
        """Ask for a file of a session, as a player does, or at another ``path``."""
        body = playback.body_for(name)
        method, other = ("GET", "POST") if body is None else ("POST", "PUT")
        return self.door.ask(
            path or playback.path(name),
            method=other if by_another_method else method,
            body=body,
            **{"agent": DEVICE, **more},
        )

    def _previews(self, state: rules.State) -> dict[str, Playback]:
        """Play the preview as everybody who cannot watch the whole; return the running sessions.

        A preview of three seconds ends with the second segment at the latest, in every track.
        """
        running = {}
        for viewer in rules.VIEWERS:
            if viewer in state.watched:
                continue
            whole = next(iter(self.played.values()), None)
            begun = assets.begin(
                self.door,
                self.stage.video.pk,
                self.stage.token(viewer),
                DEVICE,
                preview=True,
            )
            is_begun = isinstance(begun, Playback)
            status = 200 if isinstance(begun, Playback) else begun
            should_be = viewer in state.previewed
            self.cells.append(
                Cell(state.name, "preview", viewer, is_begun, should_be, status=status)
            )
            if not isinstance(begun, Playback) or whole is None:
                continue
            running[viewer] = begun
            named = begun.files.get("segment", [])
            self.cells.append(
                Cell(
                    state.name,
                    "playlists beyond the preview",
                    viewer,
                    any(assets.number(name) > MOST_PREVIEWED for name in named),
                    should_be=False,
                )
            )
            for name in whole.files["segment"]:
                answer = self.door.ask(begun.path(name), agent=DEVICE)
                number = assets.number(name)
                if number == 1 or number > MOST_PREVIEWED:
                    part = "beginning of the preview" if number == 1 else "beyond the preview"
                    self._note(state.name, part, viewer, answer, should_be=number == 1, how=name)
        return running

    def _copied(self, state: str, playback: Playback, stolen: Playback) -> None:
        """Ask with addresses that were copied, forged or bent: nothing of it may be answered."""
        for kind, name in playback.samples.items():
            paths = assets.tricks(playback, name, stolen)
            paths |= {
                how: playback.path(name, grant=grant)
                for how, grant in assets.forgeries(playback.grant).items()
            }
            paths["expired grant"] = playback.path(name, grant=self._expired(playback))
            paths["another method"] = playback.path(name)
            for how, path in paths.items():
                answer = self._ask(playback, name, path, by_another_method=how == "another method")
                self._note(
                    state, f"{kind}, {COPIED}", rules.ANONYMOUS, answer, should_be=False, how=how
                )
            if self.door.is_here and settings.BIND_PLAYBACK != "none":
                answer = self._ask(playback, name, agent=OTHER_DEVICE, elsewhere=True)
                self._note(
                    state,
                    f"{kind}, {COPIED}",
                    rules.STRANGER,
                    answer,
                    should_be=False,
                    how="another device on another network",
                )

    @staticmethod
    def _expired(playback: Playback) -> str:
        past = int(datetime.now(UTC).timestamp()) - 60
        return grants.mint(playback.session_id, playback.video, past, playback.agent, "127.0.0.1")

    def _revoked(self, state: rules.State, before: dict[str, Playback]) -> None:
        """Ask again with the addresses that were open in the state before, also as a cache is asked."""
        lost = {who: each for who, each in before.items() if who not in state.watched}
        time.sleep(REVOKED_WITHIN if lost else 0)
        for viewer, playback in lost.items():
            for kind, name in playback.samples.items():
                for how, headers in _again():
                    answer = self._ask(playback, name, headers=headers)
                    self._note(
                        state.name, f"{kind}, {LATE}", viewer, answer, should_be=False, how=how
                    )

    def _page(self, state: rules.State) -> None:
        """Look at the player's pages: they exist for all who see the video, and in no foreign frame."""
        is_public = rules.ANONYMOUS in state.seen
        for name in PAGES:
            answer = self.door.ask(f"/{name}/{self.stage.video.pk}", headers={"Referer": FOREIGN})
            self._note(state.name, f"page /{name}/", rules.ANONYMOUS, answer, should_be=is_public)
            if answer.is_open:
                is_framed = _may_be_framed(answer)
                self.cells.append(
                    Cell(
                        state.name,
                        f"/{name}/ in a foreign frame",
                        rules.ANONYMOUS,
                        is_framed,
                        False,
                    )
                )


def _again() -> Iterator[tuple[str, dict[str, str]]]:
    yield "as before", {}
    yield "from a cache", {"Cache-Control": "only-if-cached, max-stale"}
    yield "a part", {"Range": "bytes=0-9"}
    yield "if changed", {"If-None-Match": "*"}


def _may_be_framed(answer: Answer) -> bool:
    """Whether a browser shows the page in a frame of FOREIGN (CSP level 3, frame-ancestors)."""
    policy = answer.headers.get("content-security-policy", "")
    for directive in policy.split(";"):
        name, *sources = directive.split() or [""]
        if name.lower() == "frame-ancestors":
            return any(_lets_in(source.lower()) for source in sources)
    return answer.headers.get("x-frame-options", "").upper() not in ("DENY", "SAMEORIGIN")


def _lets_in(source: str) -> bool:
    """Whether a source of a policy is a pattern of FOREIGN (section 6.7.2.8), whatever its port."""
    scheme, host = FOREIGN.split("://")
    if source in ("*", f"{scheme}:", "http:"):  # the less safe scheme stands for both
        return True
    scheme_given, _, rest = source.rpartition("://")
    if scheme_given not in ("", scheme, "http"):
        return False
    named = rest.partition("/")[0].partition(":")[0]
    return named in ("*", host) or (named.startswith("*.") and host.endswith(named[1:]))
