"""Importing a video's file from an address: from real servers, which cut, redirect and refuse."""

import hashlib
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from audit.models import AuditEntry
from videos import admission, estimates, importing, jobs
from videos.engines.queues import FIRST, STAGES_OF, TRANSCODE
from videos.models import ProcessingJob, Video
from videos.services import catalogue, publishing, sources
from videos.tests.claims import claim_due

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]
URL = "/api/v1/videos/"


class Origin:
    """A server of one file, at ``url``. ``answers`` are taken one by one for the next requests."""

    def __init__(self, content: bytes) -> None:
        self.content, self.etag = content, '"one"'
        self.ranges: list[str | None] = []
        self.answers: list[Callable] = []
        origin = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                origin.ranges.append(self.headers.get("Range"))
                (origin.answers.pop(0) if origin.answers else origin.whole)(self)

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/folder/My%20film.mp4"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def whole(self, handler, *, until: int | None = None) -> None:
        """Send the file from the asked byte on, and only the first ``until`` bytes of that."""
        start = int((handler.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
        rest = self.content[start:]
        handler.send_response(206 if start else 200)
        if start:
            last = len(self.content) - 1
            handler.send_header("Content-Range", f"bytes {start}-{last}/{last + 1}")
        if self.etag:
            handler.send_header("ETag", self.etag)
        handler.send_header("Content-Length", str(len(rest)))
        handler.end_headers()
        handler.wfile.write(rest[:until])

    def cut(self, handler) -> None:
        self.whole(handler, until=5000)

    def endless(self, handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(self.content)

    @staticmethod
    def partly(content_range: str) -> Callable:
        """Send 206 and a few bytes, whatever was asked for."""

        def answer(handler) -> None:
            handler.send_response(206)
            handler.send_header("ETag", '"one"')
            if content_range:
                handler.send_header("Content-Range", content_range)
            handler.send_header("Content-Length", "5")
            handler.end_headers()
            handler.wfile.write(b"other")

        return answer

    @staticmethod
    def status(code: int, **headers: str) -> Callable:
        def answer(handler) -> None:
            handler.send_response(code)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        return answer


@pytest.fixture
def origin(clip, monkeypatch):
    monkeypatch.setattr(importing, "ALLOW_LOOPBACK", True)
    server = Origin(clip.read_bytes())
    yield server
    server.close()


@pytest.fixture
def video(creator) -> Video:
    return catalogue.create_video(creator=creator, title="x")


@pytest.fixture
def ask(client_for):
    def post(video, url: str, user=None):
        path = f"{URL}{video.pk}/import"
        return client_for(user or video.creator).post(path, {"url": url}, format="json")

    return post


@pytest.fixture
def shown(client_for):
    def get(video) -> dict:
        return client_for(video.creator).get(f"{URL}{video.pk}").json()

    return get


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_a_file_is_fetched_and_processed(ask, video, origin, process_next, shown, media):
    answer = ask(video, origin.url)
    assert (answer.status_code, answer.json()["status"]) == (202, "CREATED")
    assert origin.ranges == []

    process_next()
    fetched = shown(video)
    assert (fetched["status"], fetched["source"]["filename"]) == ("UPLOADED", "My film.mp4")
    assert fetched["source"]["size"] == len(origin.content)
    assert fetched["source"]["checksum"] == sha256(origin.content)
    process_next()
    assert shown(video)["status"] == "READY"

    kinds = ProcessingJob.objects.filter(video=video).values_list("kind", "state")
    assert sorted(kinds) == [("import", "done"), ("transcode", "done")]
    assert list((media / "uploads").iterdir()) == []
    entry = AuditEntry.objects.get(action="video.import_requested")
    assert (entry.actor_id, entry.data["url"]) == (video.creator_id, origin.url)


def test_what_is_cut_off_goes_on_where_it_ended(ask, video, origin, process_stage):
    origin.answers = [origin.cut, origin.cut]
    ask(video, origin.url)
    process_stage()
    video.refresh_from_db()
    assert video.source_checksum == sha256(origin.content)
    assert origin.ranges == [None, "bytes=5000-", "bytes=10000-"]


def test_without_a_tag_a_cut_file_is_fetched_from_its_beginning(ask, video, origin, process_stage):
    origin.etag, origin.answers = "", [origin.cut]
    ask(video, origin.url)
    process_stage()
    video.refresh_from_db()
    assert video.source_checksum == sha256(origin.content)
    assert origin.ranges == [None, None]


def test_a_server_that_fails_is_asked_again_later(ask, video, origin, process_stage, shown):
    origin.answers = [origin.status(503)]
    ask(video, origin.url)
    job = process_stage()
    assert (job.state, job.strikes) == ("queued", 1)
    assert shown(video)["processing"]["error"]["code"] == "import_failed"
    ProcessingJob.objects.update(not_before=job.created_at)
    process_stage()
    assert shown(video)["status"] == "UPLOADED"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Origin.status(404), "import_not_found"),
        (Origin.status(200), "import_not_found"),  # an empty file
        (Origin.status(302, Location="file:///etc/passwd"), "import_refused"),
        (Origin.status(302, Location="ftp://example.com/x"), "import_refused"),
        (Origin.status(302, Location="http://10.0.0.1/x"), "import_refused"),
        (Origin.status(302, Location="http://169.254.169.254/latest/meta-data"), "import_refused"),
        (Origin.status(302, Location="http://[::ffff:192.168.0.1]/"), "import_refused"),
        (Origin.status(302, Location="/again"), "import_refused"),
    ],
)
def test_what_would_happen_again_ends_the_import(
    ask, video, origin, process_stage, shown, media, answer, code
):
    origin.answers = [answer] * 20
    ask(video, origin.url)
    job = process_stage()
    after = shown(video)
    assert (job.state, after["status"]) == ("failed", "CREATED")
    assert after["processing"]["error"]["code"] == code
    assert list((media / "uploads").iterdir()) == []
    assert AuditEntry.objects.get(action="video.import_failed").data == {"code": code}
    assert ask(video, origin.url).status_code == 202  # and it may be tried again


def test_the_body_of_a_redirect_is_not_read(ask, video, origin, process_stage):
    """It may have no end, or unpack to more than there is memory."""
    sent = []

    def flood(handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/other")
        handler.end_headers()
        try:
            for _ in range(64):
                handler.wfile.write(b"x" * 1024 * 1024)
                sent.append(1)
        except OSError:
            pass  # the client has gone

    origin.answers = [flood]
    ask(video, origin.url)
    process_stage()
    video.refresh_from_db()
    assert video.source_checksum == sha256(origin.content)
    assert len(sent) < 32


def write_slowly(handler) -> None:
    """Send a byte, and another one, until the reader goes or five seconds are over."""
    for _ in range(100):
        try:
            handler.wfile.write(b"x")
        except OSError:
            return
        time.sleep(0.05)


@pytest.mark.parametrize("part", ["head", "body"])
def test_an_address_that_drips_is_cut_off(
    ask, video, origin, process_stage, media, monkeypatch, part
):
    """Each byte comes in time, and the whole never does."""
    monkeypatch.setattr(importing, "MOST_SECONDS", 1.0)

    def drip(handler) -> None:
        handler.send_response(200)
        if part == "body":
            handler.end_headers()
        handler.wfile.flush()
        write_slowly(handler)

    origin.answers = [drip] * 20
    ask(video, origin.url)
    began = time.monotonic()
    job = process_stage()
    assert time.monotonic() - began < 4
    assert (job.state, job.error_code) == ("failed", "import_too_slow")
    assert list((media / "uploads").iterdir()) == []


def test_an_import_that_is_canceled_ends_while_its_address_drips(origin, tmp_path):
    """The worker hears of it with the next bytes, not when the file is there."""

    def drip(handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        write_slowly(handler)

    def report(percent: int) -> None:
        raise jobs.LeaseLost()

    origin.answers = [drip]
    began = time.monotonic()
    with pytest.raises(jobs.LeaseLost):
        importing.Download(origin.url, tmp_path / "x", report).run()
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("told", ["", "bytes 7-11/100000", "bytes 0-4/100000"])
def test_a_part_is_not_taken_for_the_file(ask, video, origin, process_stage, told):
    """A server that sends another part than it was asked for is asked for the whole."""
    origin.answers = [origin.partly(told), origin.cut, origin.partly(told)]
    ask(video, origin.url)
    process_stage()
    video.refresh_from_db()
    assert video.source_checksum == sha256(origin.content)


def test_a_cut_at_the_very_end_is_no_failure(ask, video, origin, process_stage):
    """The size was not told, and a server has nothing behind the last byte."""
    origin.answers = [origin.cut, origin.status(416)]
    ask(video, origin.url)
    process_stage()
    video.refresh_from_db()
    assert video.source_checksum == sha256(origin.content)
    assert origin.ranges == [None, "bytes=5000-", None]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "[::1]", "2130706433"])  # noqa: S104 - no binding
def test_this_machine_is_no_address(ask, video, origin, process_stage, monkeypatch, host):
    monkeypatch.setattr(importing, "ALLOW_LOOPBACK", False)
    answer = ask(video, origin.url.replace("127.0.0.1", host))
    if answer.status_code == 202:
        assert process_stage().error_code == "import_refused"
    assert origin.ranges == []


def test_a_proxy_of_the_environment_is_not_used(tmp_path, monkeypatch):
    """It would look the name up once more, and connect unchecked."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    download = importing.Download("http://example.com/x", tmp_path / "x", lambda percent: None)
    asked = download._session.merge_environment_settings(
        "http://example.com/x", {}, None, None, None
    )
    assert asked["proxies"] == {}


@pytest.mark.parametrize("way", ["whole", "endless"])
def test_a_file_that_is_too_large_is_left_there(
    ask, video, origin, process_stage, settings, media, way
):
    settings.UPLOAD_MAX_BYTES = len(origin.content) - 1
    origin.answers = [getattr(origin, way)]
    ask(video, origin.url)
    assert process_stage().error_code == "import_too_large"
    assert list((media / "uploads").iterdir()) == []


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://example.com/a", "file:///etc/passwd", "http://", "http://a:b@example.com/",
     "javascript:alert(1)", "http://example.com/" + "x" * 2000, None, 5, ["http://example.com/"],
     "http://example.com:0/", "http://example.com:65536/a"],
)  # fmt: skip
def test_what_is_no_address_is_refused(ask, video, url):
    answer = ask(video, url)
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "url")
    assert not ProcessingJob.objects.exists()


def test_one_at_a_time(ask, video, origin, received, creator):
    assert ask(video, origin.url).status_code == 202
    again = ask(video, origin.url)
    assert (again.status_code, again.json()["errors"][0]["code"]) == (409, "already_queued")
    assert ProcessingJob.objects.count() == 1


def test_a_slow_address_holds_up_no_first_rendition_and_no_mail(
    ask, video, creator, received, monkeypatch
):
    """It may take hours. A worker that fetches makes first renditions beside it."""
    ask(video, "http://example.com/video.mp4")
    other = catalogue.create_video(creator=creator, title="y")
    sources.attach_source(video=other, received=received(), actor=creator)
    light, heavy = STAGES_OF[FIRST], STAGES_OF[TRANSCODE]
    first = jobs.claim_next("host/1/1", stages=light)
    assert first is not None
    assert first.video_id == other.pk
    assert jobs.claim_next("host/1/2", stages=light) is None
    fetched = jobs.claim_next("host/1/3", stages=heavy)
    assert fetched is not None
    assert fetched.kind == "import"
    jobs.report(fetched, "import", 99)
    fetched.refresh_from_db()
    assert estimates.percent_of(fetched, video) < 20  # the work has not begun
    # Nor is it an encode, for which this machine would have no room.
    monkeypatch.setattr(admission, "LEAST_ENCODES", 1)
    monkeypatch.setattr("config.processors.count", lambda: 1)
    assert "encodes run" not in admission.refusal("host/1/4")
    ProcessingJob.objects.filter(pk=fetched.pk).update(kind="transcode")
    assert "encodes run" in admission.refusal("host/1/4")


def test_an_upload_takes_the_place_of_an_import(ask, video, origin, received, shown):
    ask(video, origin.url)
    claimed = claim_due("w")
    sources.attach_source(video=video, received=received(), actor=video.creator)
    with pytest.raises(jobs.LeaseLost):
        publishing.process(claimed)
    video.refresh_from_db()
    assert video.source_checksum == "sha256:test"
    assert list(ProcessingJob.objects.order_by("pk").values_list("kind", "state")) == [
        ("import", "canceled"), ("transcode", "queued"),
    ]  # fmt: skip


def test_the_old_version_plays_until_the_import_is_ready(ask, make_video, origin, process_stage):
    video = make_video()
    before = video.current_version
    origin.answers = [origin.status(404)]
    ask(video, origin.url)
    process_stage()
    video.refresh_from_db()
    assert (video.status, video.current_version) == ("READY", before)


def test_strangers_import_nothing(ask, video, origin, make_user):
    assert ask(video, origin.url, make_user("CREATOR")).status_code in (403, 404)
    assert not ProcessingJob.objects.exists()
