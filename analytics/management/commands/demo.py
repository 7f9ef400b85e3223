"""A demonstration of the running service: one video from upload to earnings, over HTTP only."""

import re
import secrets
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from analytics.counting import view_threshold
from config import listening, supervisor
from videos.processing.errors import ToolFailed
from videos.processing.synthesis import synthesise

# The body of an answer. Each step checks the part that it reads, so no schema is repeated here.
Json = dict[str, Any]

PRICE = "19.99"
FINAL = {"READY", "FAILED"}


class Command(BaseCommand):
    help = (
        "Demonstrate the running service: upload a synthetic video as a creator, buy it as a viewer,"
        " play every segment, show the earnings, the ledger and the audit log, and make the video free."
        " Prints the address of its player page. Needs a running worker and a gateway without real"
        " money. Exits with an error if a step fails."
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "--url",
            default=listening.url(),
            help="Address of the running service. Default: HOST and PORT of the settings.",
        )
        parser.add_argument(
            "--seconds", type=int, default=20, help="Length of the synthetic video. Default: 20."
        )
        parser.add_argument(
            "--size", default="1920x1080", help="Its picture size in pixels. Default: 1920x1080."
        )
        parser.add_argument(
            "--rate", type=int, default=30, help="Its frames a second. Default: 30."
        )
        parser.add_argument(
            "--file", type=Path, help="A video file to upload instead of a synthetic video."
        )

    def handle(self, *args, **options):
        if options["seconds"] < 1 or options["rate"] < 1:
            raise CommandError("--seconds and --rate must be at least 1.")
        if not re.fullmatch(r"[1-9]\d{1,3}x[1-9]\d{1,3}", options["size"]):
            raise CommandError(
                f"--size must be width x height, like 1920x1080, not {options['size']}."
            )
        if options["file"] and not options["file"].is_file():
            raise CommandError(f"There is no file {options['file']}.")
        self.console = Console()
        started = time.monotonic()
        check_that_it_runs(options["url"])
        with tempfile.TemporaryDirectory() as folder:
            demo = Demonstration(self.console, options["url"])
            try:
                clip = options["file"] or self.synthesise_clip(Path(folder), options)
                player_page = demo.run(clip)
            except (StepFailed, ToolFailed, httpx.HTTPError, httpx.InvalidURL) as error:
                raise CommandError(f"The demo failed: {error}") from None
        self.console.print(f"[green]All steps succeeded, in {time.monotonic() - started:.0f} s.[/]")
        self.console.print(f"Watch the video in a browser: {player_page}", soft_wrap=True)

    def synthesise_clip(self, folder: Path, options) -> Path:
        """Return a new video file in ``folder`` with the length, size and rate of the options."""
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


def check_that_it_runs(url: str) -> None:
    """Raise CommandError, with the command that helps, if no service answers at the address."""
    try:
        httpx.get(f"{url}/health/live", timeout=10)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        ports = [port for _, port in supervisor.running(settings.DATA_DIR)]
        advice = f"start the service in another terminal: {listening.make('run')}"
        if ports and settings.PORT not in ports:
            advice = f"the service runs on port {ports[0]}: make demo PORT={ports[0]}"
        raise CommandError(f"Nothing answers at {url} ({error}); {advice}") from None


class StepFailed(Exception):
    """A step got another answer than it must get; the text names both."""


class Demonstration:
    """The steps of the demo, as HTTP calls of an administrator, a creator and a viewer."""

    def __init__(self, console: Console, url: str):
        self.console = console
        self.http = httpx.Client(base_url=url, timeout=60, headers={"User-Agent": "vod-demo"})
        self.label = secrets.token_hex(4)  # Names of users and videos differ from run to run.
        self.began = datetime.now(UTC).isoformat()

    def run(self, clip: Path) -> str:
        """Do all steps with the video file ``clip``, and return the address of the video's page.

        Raises StepFailed at the first wrong answer, httpx.HTTPError when the service is away.
        """
        admin = self.sign_in(settings.DEFAULT_ADMIN_EMAIL, settings.DEFAULT_ADMIN_PASSWORD)
        creator = self.register("creator")
        viewer = self.register("viewer")
        me = self.call("GET", "/auth/me", creator)
        self.call("PATCH", f"/users/{me['id']}/role", admin, json={"role": "CREATOR"})
        self.done("An administrator gives Cleo the role CREATOR")

        video = self.upload(clip, creator)
        video = self.wait_until_ready(video["id"], creator)
        self.check_refusal(video["id"], viewer)
        self.buy(video["id"], viewer)
        playback = self.start(video["id"], viewer)
        self.play_everything(playback)
        self.count_view(video, playback, creator)
        self.show_earnings(creator, admin)
        self.show_audit_log(admin)
        return self.make_free(video["id"], creator)

    # --- steps ----------------------------------------------------------------------------------

    def register(self, role: str) -> str:
        """Register a new user for ``role`` ("creator" or "viewer"); return their access token."""
        email, password = f"{role}-{self.label}@example.com", secrets.token_urlsafe(16)
        name = {"creator": "Cleo", "viewer": "Vera"}[role]
        body = {"email": email, "password": password, "display_name": name}
        self.call("POST", "/auth/register", None, expect=201, json=body)
        self.done(f"{name} registers as {email}")
        return self.sign_in(email, password)

    def sign_in(self, email: str, password: str) -> str:
        """Return an access token."""
        body = {"email": email, "password": password}
        return self.call("POST", "/auth/login", None, json=body)["access_token"]

    def upload(self, clip: Path, creator: str) -> Json:
        """Upload ``clip`` as a video for sale; return the video as the API shows it."""
        form = {
            "title": f"The harbour at night ({self.label})",
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
            files = {"file": (clip.name, _ObservedFile(file, show), "video/mp4")}
            video = self.call("POST", "/videos/", creator, expect=201, data=form, files=files)
        self.done(f"Cleo uploads {clip.stat().st_size / 1e6:.1f} MB; status {video['status']}")
        return video

    def wait_until_ready(self, video_id: str, creator: str) -> Json:
        """Wait until the worker has processed the video; return the video and print its renditions."""
        with bar(self.console, "Transcoding into HLS and DASH") as show:
            while True:
                video = self.call("GET", f"/videos/{video_id}", creator)
                show(video["processing"]["percent"])
                if video["status"] in FINAL:
                    break
                time.sleep(0.5)
        if video["status"] != "READY":
            raise StepFailed(f"processing ended with {video['processing']['error']}")
        table = Table("rendition", "size", "kbit/s", "codecs", box=None)
        for rendition in video["renditions"]:
            table.add_row(
                rendition["name"],
                f"{rendition['width']}x{rendition['height']}",
                f"{rendition['video_bitrate'] / 1000:.0f}",
                rendition["codecs"],
            )
        self.done(f"The video is READY and {video['duration_seconds']:.1f} s long")
        self.console.print(table)
        return video

    def check_refusal(self, video_id: str, viewer: str) -> None:
        """Check that the viewer gets no stream token before buying the video."""
        error = self.call("GET", f"/stream/{video_id}", viewer, expect=403)["errors"][0]
        self.expect(error["code"], "purchase_required")
        self.done(f"Vera asks to watch it before buying it: 403 {error['code']}")

    def buy(self, video_id: str, viewer: str) -> None:
        """Buy the video: first with a card that is declined, then twice under one idempotency key.

        The second call with the same key must return the same order.
        """
        path, key = f"/payments/purchase/{video_id}", secrets.token_hex(8)
        declined = {"payment_method": "pm_card_chargeDeclined", "expected_amount": PRICE}
        error = self.call("POST", path, viewer, expect=402, json=declined)["errors"][0]
        self.done(f"Vera's first card is declined: 402 {error['code']}")
        card = {"payment_method": "pm_card_visa", "expected_amount": PRICE}
        headers = {"Idempotency-Key": key}
        answer = self.call("POST", path, viewer, expect=200, json=card, headers=headers)
        self.expect(answer["order"]["status"], "paid")
        again = self.call("POST", path, viewer, expect=200, json=card, headers=headers)
        self.expect(again["order"]["id"], answer["order"]["id"])
        price = f"{answer['order']['amount']} {answer['order']['currency']}"
        self.done(f"Vera buys the video for {price}; a repeated request pays nothing more")

    def start(self, video_id: str, viewer: str) -> Json:
        """Start a playback session; return its addresses and grant."""
        token = self.call("GET", f"/stream/{video_id}", viewer)
        answer = self.http.get(token["stream_url"], headers={"Accept": "application/json"})
        self.expect(answer.status_code, 200)
        self.done("Vera redeems a one-minute stream token: her playback session starts")
        return answer.json()

    def play_everything(self, playback: Json) -> None:
        """Fetch every segment of every rendition, and check that a wrong grant gets none."""
        segments = list(self.segments(playback["hls_url"]))
        received = 0
        with bar(self.console, "Playing every segment", total=len(segments)) as show:
            for number, url in enumerate(segments, start=1):
                answer = self.http.get(url)
                self.expect(answer.status_code, 200)
                received += len(answer.content)
                show(number)
        self.expect(self.http.get(playback["dash_url"]).status_code, 200)
        self.done(f"All {len(segments)} segments of all renditions arrive: {received / 1e6:.1f} MB")
        broken = playback["hls_url"].replace(playback["grant"], "A" * len(playback["grant"]))
        self.expect(self.http.get(broken).status_code, 401)
        self.done("The same request with a wrong grant is refused: 401")

    def segments(self, playlist_url: str) -> Iterator[str]:
        """Yield the addresses of all segments and initialisation segments of a playlist.

        Follows the playlists that a multivariant playlist names.
        """
        answer = self.http.get(playlist_url)
        self.expect(answer.status_code, 200)
        uris = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
        uris += re.findall(r'URI="([^"]+)"', answer.text)
        for uri in dict.fromkeys(uris):
            url = urljoin(playlist_url, uri)
            if url.endswith(".m3u8"):
                yield from self.segments(url)
            else:
                yield url

    def count_view(self, video: Json, playback: Json, creator: str) -> None:
        """Report ten watched seconds when they have passed; check that this makes one view."""
        seconds = view_threshold(video["duration_seconds"])
        with self.console.status(f"Vera watches for {seconds:g} seconds"):
            time.sleep(seconds)
        beat = {"position_seconds": 10, "state": "playing", "watched": [[0, 10]]}
        grant = {"Playback-Grant": playback["grant"]}
        # With DELIVERY=nginx, the sent segments may be known only at the next report.
        for _ in range(5):
            answer = self.http.post(playback["heartbeat_url"], json=beat, headers=grant)
            self.expect(answer.status_code, 204)
            totals = self.call("GET", f"/analytics/videos/{video['id']}", creator)["totals"]
            if totals["views"]:
                break
            time.sleep(2)
        self.expect(totals["views"], 1)
        self.done(f"Cleo's report shows 1 view, {totals['watch_seconds']} s watched")

    def show_earnings(self, creator: str, admin: str) -> None:
        """Check the creator's earnings, and that the ledger balances; print its accounts."""
        earned = self.call("GET", "/payments/creator/earnings", creator)["totals"][0]
        books = self.call("GET", "/payments/admin/ledger/trial-balance", admin)
        self.expect(earned["earnings"], "16.00")
        for total in books["totals"]:
            self.expect(float(total["balance"]), 0.0)
        table = Table("account", "debit", "credit", "balance", box=None)
        for row in books["accounts"]:
            table.add_row(row["code"], row["debit"], row["credit"], row["balance"])
        share = f"{earned['earnings']} of {earned['gross']} {earned['currency']}"
        self.done(f"Cleo has earned {share}; the books balance")
        self.console.print(table)

    def make_free(self, video_id: str, creator: str) -> str:
        """Make the video free, and return the address of the page on which anyone can watch it."""
        video = self.call("PATCH", f"/videos/{video_id}", creator, json={"is_paid": False})
        self.expect(video["price"], "0.00")
        path = f"/watch/{video_id}"
        if settings.ANONYMOUS_PLAYBACK:
            self.expect(self.http.get(path).status_code, 200)
        self.done("Cleo makes the video free")
        return str(self.http.base_url.join(path))

    def show_audit_log(self, admin: str) -> None:
        """Check that the audit log has an entry for each important step; print its entries."""
        query = {"from": self.began, "page_size": 100}
        entries: list[Json] = []
        path = f"/audit/?{urlencode(query)}"
        while path:
            page = self.call("GET", path, admin)
            entries += [entry for entry in page["results"] if entry["action"] != "api.request"]
            path = page["next"] and "/audit/?" + page["next"].partition("?")[2]
        happened = {entry["action"] for entry in entries}
        missing = {
            "video.created",
            "video.ready",
            "payment.captured",
            "playback.started",
        } - happened
        if missing:
            raise StepFailed(f"the audit log has no entry for {sorted(missing)}")
        table = Table("at", "action", "by", box=None)
        for entry in reversed(entries):
            by = (entry["actor"] or {}).get("email", "-")
            table.add_row(entry["at"][11:19], entry["action"], by)
        self.done("The audit log has an entry for every step")
        self.console.print(table)

    # --- calls and checks -----------------------------------------------------------------------

    def call(
        self, method: str, path: str, token: str | None, *, expect: int = 200, **kwargs
    ) -> Json:
        """Call the API with an access token and return its JSON.

        Raises StepFailed when the status is not ``expect``. ``kwargs`` go to httpx.
        """
        headers = kwargs.pop("headers", {})
        if token:
            headers["Authorization"] = f"Bearer {token}"
        answer = self.http.request(method, f"/api/v1{path}", headers=headers, **kwargs)
        if answer.status_code != expect:
            raise StepFailed(
                f"{method} {path} answered {answer.status_code} instead of {expect}: {answer.text}"
            )
        return answer.json()

    def expect(self, actual: object, expected: object) -> None:
        """Raise StepFailed unless the two values are equal."""
        if actual != expected:
            raise StepFailed(f"the answer was {actual!r} instead of {expected!r}")

    def done(self, text: str) -> None:
        """Print one finished step."""
        self.console.print(f"[green]✓[/] {text}")


class bar:
    """A progress bar as a context manager; its value is a function that sets the progress.

    The progress runs from 0 to ``size`` bytes, or else to ``total``.
    """

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


class _ObservedFile:
    """A file that reports, after each read, the number of bytes read so far to ``show``."""

    def __init__(self, file, show):
        self._file, self._show = file, show

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._show(self._file.tell())
        return data

    def __getattr__(self, name):
        return getattr(self._file, name)
