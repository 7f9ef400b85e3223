"""The whole story, told in the terminal against the running service, over HTTP only."""

import re
import secrets
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode, urljoin

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from videos.processing.synthesis import synthesise

PRICE = "19.99"
FINAL = {"READY", "FAILED"}


class Command(BaseCommand):
    help = (
        "Synthesise a video, upload it, wait for it, be refused, buy it, play every segment, and look"
        " at the earnings and the audit log. Exits non-zero if any step fails."
    )

    def add_arguments(self, parser):
        parser.add_argument("--url", default=f"http://{settings.HOST}:{settings.PORT}")
        parser.add_argument("--seconds", type=int, default=20, help="Length of the video.")
        parser.add_argument("--size", default="1920x1080")
        parser.add_argument("--rate", type=int, default=30, help="Frames a second.")
        parser.add_argument("--file", type=Path, help="A video of your own instead.")

    def handle(self, *args, **options):
        self.console = Console()
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            story = Story(self.console, options["url"])
            try:
                clip = options["file"] or self.video(Path(folder), options)
                story.tell(clip)
            except (StoryError, httpx.HTTPError) as error:
                raise CommandError(f"The demo failed: {error}") from None
        self.console.print(f"[green]All of it worked, in {time.monotonic() - started:.0f} s.[/]")

    def video(self, folder: Path, options) -> Path:
        clip = folder / "harbour.mp4"
        with bar(self.console, "Synthesising a video") as show:
            synthesise(
                clip,
                seconds=options["seconds"],
                size=options["size"],
                rate=options["rate"],
                on_progress=show,
            )
        return clip


class StoryError(Exception):
    """A step did not go as promised."""


class Story:
    def __init__(self, console: Console, url: str):
        self.console = console
        self.http = httpx.Client(base_url=url, timeout=60, headers={"User-Agent": "vod-demo"})
        self.run = secrets.token_hex(4)
        self.began = datetime.now(UTC).isoformat()

    def tell(self, clip: Path) -> None:
        admin = self.sign_in(settings.DEFAULT_ADMIN_EMAIL, settings.DEFAULT_ADMIN_PASSWORD)
        creator = self.register("creator")
        viewer = self.register("viewer")
        me = self.call("GET", "/auth/me", creator)
        self.call("PATCH", f"/users/{me['id']}/role", admin, json={"role": "CREATOR"})
        self.done("an administrator makes Cleo a creator")

        video = self.upload(clip, creator)
        video = self.wait_until_ready(video["id"], creator)
        self.refused(video["id"], viewer)
        self.buy(video["id"], viewer)
        playback = self.start(video["id"], viewer)
        self.play_everything(playback)
        self.watch(video["id"], playback, creator)
        self.money(creator, admin)
        self.audit(video["id"], admin)

    # --- steps ----------------------------------------------------------------------------------

    def register(self, role: str) -> str:
        email, password = f"{role}-{self.run}@example.com", secrets.token_urlsafe(16)
        name = {"creator": "Cleo", "viewer": "Vera"}[role]
        body = {"email": email, "password": password, "display_name": name}
        self.call("POST", "/auth/register", None, expect=201, json=body)
        self.done(f"{name} registers as {email}")
        return self.sign_in(email, password)

    def sign_in(self, email: str, password: str) -> str:
        body = {"email": email, "password": password}
        return self.call("POST", "/auth/login", None, json=body)["access_token"]

    def upload(self, clip: Path, creator: str) -> dict:
        form = {
            "title": f"The harbour at night ({self.run})",
            "description": "Fog, lights, and a test tone.",
            "is_paid": "true",
            "price": PRICE,
            "currency": "USD",
            "category": "documentary",
            "tags": ["harbour", "night"],
        }
        with (
            clip.open("rb") as file,
            bar(self.console, "Uploading", size=clip.stat().st_size) as show,
        ):
            watched = _Watched(file, show)
            video = self.call(
                "POST",
                "/videos/",
                creator,
                expect=201,
                data=form,
                files={"file": (clip.name, watched, "video/mp4")},
            )
        self.done(f"Cleo uploads {clip.stat().st_size / 1e6:.1f} MB: {video['status']}")
        return video

    def wait_until_ready(self, video_id: str, creator: str) -> dict:
        with bar(self.console, "Transcoding into HLS and DASH") as show:
            while True:
                video = self.call("GET", f"/videos/{video_id}", creator)
                show(video["processing"]["percent"])
                if video["status"] in FINAL:
                    break
                time.sleep(0.5)
        if video["status"] != "READY":
            raise StoryError(f"processing ended with {video['processing']['error']}")
        table = Table("rendition", "size", "kbit/s", "codecs", box=None)
        for each in video["renditions"]:
            size = f"{each['width']}x{each['height']}"
            table.add_row(each["name"], size, f"{each['video_bitrate'] / 1000:.0f}", each["codecs"])
        self.done(f"the video is READY, {video['duration_seconds']:.1f} s long")
        self.console.print(table)
        return video

    def refused(self, video_id: str, viewer: str) -> None:
        error = self.call("GET", f"/stream/{video_id}", viewer, expect=403)["errors"][0]
        self.expect(error["code"], "purchase_required")
        self.done(f"Vera may not watch it yet: 403 {error['code']}")

    def buy(self, video_id: str, viewer: str) -> None:
        path, key = f"/payments/purchase/{video_id}", secrets.token_hex(8)
        declined = {"payment_method": "pm_card_chargeDeclined", "expected_amount": PRICE}
        error = self.call("POST", path, viewer, expect=402, json=declined)["errors"][0]
        self.done(f"her first card is declined: 402 {error['code']}")
        card = {"payment_method": "pm_card_visa", "expected_amount": PRICE}
        headers = {"Idempotency-Key": key}
        answer = self.call("POST", path, viewer, expect=200, json=card, headers=headers)
        self.expect(answer["order"]["status"], "paid")
        again = self.call("POST", path, viewer, expect=200, json=card, headers=headers)
        self.expect(again["order"]["id"], answer["order"]["id"])
        self.done(
            f"Vera buys it for {answer['order']['amount']} {answer['order']['currency']}, once"
        )

    def start(self, video_id: str, viewer: str) -> dict:
        token = self.call("GET", f"/stream/{video_id}", viewer)
        answer = self.http.get(token["stream_url"], headers={"Accept": "application/json"})
        self.expect(answer.status_code, 200)
        self.done("a one-minute token becomes a playback session")
        return answer.json()

    def play_everything(self, playback: dict) -> None:
        pieces = list(self.pieces(playback["hls_url"]))
        received = 0
        with bar(self.console, "Playing every segment", total=len(pieces)) as show:
            for number, url in enumerate(pieces, start=1):
                answer = self.http.get(url)
                self.expect(answer.status_code, 200)
                received += len(answer.content)
                show(number)
        self.expect(self.http.get(playback["dash_url"]).status_code, 200)
        self.done(f"{len(pieces)} pieces of every rendition arrive, {received / 1e6:.1f} MB")
        broken = playback["hls_url"].replace(playback["grant"], "A" * len(playback["grant"]))
        self.expect(self.http.get(broken).status_code, 401)
        self.done("without the grant nothing does: 401")

    def pieces(self, playlist_url: str):
        """Every segment and initialisation part that a playlist, or those it names, leads to."""
        text = self.http.get(playlist_url)
        self.expect(text.status_code, 200)
        uris = [line for line in text.text.splitlines() if line and not line.startswith("#")]
        uris += re.findall(r'URI="([^"]+)"', text.text)
        for uri in dict.fromkeys(uris):
            url = urljoin(playlist_url, uri)
            if url.endswith(".m3u8"):
                yield from self.pieces(url)
            else:
                yield url

    def watch(self, video_id: str, playback: dict, creator: str) -> None:
        beat = {"position_seconds": 10, "state": "playing", "watched": [[0, 10]]}
        answer = self.http.post(
            playback["heartbeat_url"], json=beat, headers={"Playback-Grant": playback["grant"]}
        )
        self.expect(answer.status_code, 204)
        numbers = self.call("GET", f"/analytics/videos/{video_id}", creator)["totals"]
        self.expect(numbers["views"], 1)
        self.done(f"the view counts: {numbers['views']} view, {numbers['watch_seconds']} s watched")

    def money(self, creator: str, admin: str) -> None:
        earned = self.call("GET", "/payments/creator/earnings", creator)["totals"][0]
        books = self.call("GET", "/payments/admin/ledger/trial-balance", admin)
        self.expect(earned["earnings"], "16.00")
        for total in books["totals"]:
            self.expect(float(total["balance"]), 0.0)
        table = Table("account", "debit", "credit", "balance", box=None)
        for row in books["accounts"]:
            table.add_row(row["code"], row["debit"], row["credit"], row["balance"])
        self.done(f"Cleo has earned {earned['earnings']} of {earned['gross']}; the books balance")
        self.console.print(table)

    def audit(self, video_id: str, admin: str) -> None:
        query = {"from": self.began, "page_size": 100}
        found, path = [], f"/audit/?{urlencode(query)}"
        while path:
            page = self.call("GET", path, admin)
            found += [e for e in page["results"] if e["action"] != "api.request"]
            path = page["next"] and "/audit/?" + page["next"].partition("?")[2]
        happened = {entry["action"] for entry in found}
        missing = {
            "video.created",
            "video.ready",
            "payment.captured",
            "playback.started",
        } - happened
        if missing:
            raise StoryError(f"the audit log lacks {sorted(missing)}")
        table = Table("at", "action", "by", box=None)
        for entry in reversed(found):
            table.add_row(
                entry["at"][11:19], entry["action"], (entry["actor"] or {}).get("email", "-")
            )
        self.done("the audit log shows all of it")
        self.console.print(table)

    # --- plumbing -------------------------------------------------------------------------------

    def call(self, method: str, path: str, token: str | None, *, expect: int = 200, **kwargs):
        headers = kwargs.pop("headers", {})
        if token:
            headers["Authorization"] = f"Bearer {token}"
        answer = self.http.request(method, f"/api/v1{path}", headers=headers, **kwargs)
        if answer.status_code != expect:
            raise StoryError(
                f"{method} {path} answered {answer.status_code} instead of {expect}: {answer.text}"
            )
        return answer.json()

    def expect(self, found, wanted) -> None:
        if found != wanted:
            raise StoryError(f"{wanted!r} was promised, {found!r} came")

    def done(self, text: str) -> None:
        self.console.print(f"[green]✓[/] {text}")


class bar:
    """A progress bar; calling it moves it to a value out of ``total``."""

    def __init__(self, console: Console, title: str, *, total: int = 100, size: int | None = None):
        columns = [TextColumn("{task.description}"), BarColumn()]
        columns += [DownloadColumn()] if size else [TextColumn("{task.percentage:>3.0f} %")]
        self.progress = Progress(*columns, TimeElapsedColumn(), console=console, transient=True)
        self.task = self.progress.add_task(title, total=size or total)

    def __enter__(self):
        self.progress.start()
        return lambda value: self.progress.update(self.task, completed=value)

    def __exit__(self, *exc_info):
        self.progress.stop()


class _Watched:
    """A file that tells how much of it has been read."""

    def __init__(self, file, show):
        self._file, self._show = file, show

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._show(self._file.tell())
        return data

    def __getattr__(self, name):
        return getattr(self._file, name)
