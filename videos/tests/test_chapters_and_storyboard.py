"""Chapters and storyboards over HTTP, and the fields of a video that name what it is presented with."""

import pytest

from audit.models import AuditEntry
from videos.models import Video
from videos.presentation import cues
from videos.presentation.models import Caption
from videos.processing import storyboards
from videos.services import catalogue, sources
from videos.tests.media import ffmpeg, ffprobe, h264

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("encoded_once")]
CHAPTERS = [{"start_seconds": 0, "title": "Start"}, {"start_seconds": 12.5, "title": "<b> & end"}]


@pytest.fixture
def path(make_video, creator):
    """The address of the chapters of a READY video of 60 seconds."""
    return f"/api/v1/videos/{make_video(creator=creator).pk}/chapters"


def test_chapters_are_set_listed_and_removed(path, client_for, creator):
    assert client_for().get(path).json() == []
    for _ in range(2):
        answer = client_for(creator).put(path, CHAPTERS, format="json")
        assert (answer.status_code, answer.json()) == (200, CHAPTERS)
    assert client_for().get(path).json() == CHAPTERS
    video = path.removesuffix("/chapters")
    assert client_for().get(video).json()["chapters"] == CHAPTERS
    assert client_for(creator).put(path, [], format="json").json() == []
    assert client_for().get(path).json() == []


@pytest.mark.parametrize(
    "body",
    [
        {}, "x", None, 1, [1], [{}], [{"title": "x"}], [{"start_seconds": 1}],
        [{"start_seconds": -1, "title": "x"}], [{"start_seconds": 60, "title": "x"}],
        [{"start_seconds": "nan", "title": "x"}], [{"start_seconds": 1, "title": ""}],
        [{"start_seconds": 1, "title": "x" * 201}], [{"start_seconds": 1, "title": "a\u202eb"}],
        [{"start_seconds": 2, "title": "x"}, {"start_seconds": 1, "title": "y"}],
        [{"start_seconds": 1, "title": "x"}, {"start_seconds": 1, "title": "y"}],
        [{"start_seconds": n / 100, "title": "x"} for n in range(501)],
    ],
)  # fmt: skip
def test_wrong_chapters_are_refused_and_nothing_changes(path, client_for, creator, body):
    client_for(creator).put(path, CHAPTERS, format="json")
    answer = client_for(creator).put(path, body, format="json")
    assert answer.status_code == 400, answer.content
    assert client_for().get(path).json() == CHAPTERS
    assert AuditEntry.objects.filter(action="video.changed").count() == 1


@pytest.mark.parametrize(
    ("body", "attr"),
    [
        ([None], "0"),
        ([{"start_seconds": 1, "title": ""}], "0.title"),
        ([*CHAPTERS, {"start_seconds": 20, "title": ""}], "2.title"),
    ],
)
def test_the_error_names_the_chapter_and_its_field(path, client_for, creator, body, attr):
    answer = client_for(creator).put(path, body, format="json")
    assert [error["attr"] for error in answer.json()["errors"]] == [attr]


def test_only_the_owner_sets_chapters(path, client_for, make_user, admin):
    for user, status in ((None, 401), (make_user(), 403), (make_user("CREATOR"), 403)):
        assert client_for(user).put(path, CHAPTERS, format="json").status_code == status
    assert client_for().get(path).json() == []
    assert client_for(admin).put(path, CHAPTERS, format="json").status_code == 200


@pytest.fixture
def process(tmp_path, media, received, process_next, creator):
    """A function that makes a READY video: red for two seconds, then blue."""

    def make(seconds=6, size="320x180", **fields) -> Video:
        clip = tmp_path / "clip.mp4"
        ffmpeg(
            "-f", "lavfi", "-i", f"color=red:size={size}:rate=25:duration=2",
            "-f", "lavfi", "-i", f"color=blue:size={size}:rate=25:duration={seconds - 2}",
            "-filter_complex", "[0][1]concat,scale=out_color_matrix=bt709:out_range=tv",
            *h264("-color_range", "tv", "-colorspace", "bt709"), clip,
        )  # fmt: skip
        video = catalogue.create_video(creator=creator, title="A video", **fields)
        sources.attach_source(video=video, received=received(clip), actor=creator)
        process_next()
        video.refresh_from_db()
        assert video.status == Video.Status.READY
        return video

    return make


def test_set_chapters_stay_and_lie_beside_the_version(process, client_for, creator):
    video = process()
    chapters = [{"start_seconds": 0.0, "title": "One"}, {"start_seconds": 2.0, "title": "<Two>"}]
    client_for(creator).put(f"/api/v1/videos/{video.pk}/chapters", chapters, format="json")
    file = video.version_folder / "chapters.vtt"
    assert file.read_text() == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nOne\n\n00:00:02.000 --> 00:00:06.000\n&lt;Two>\n"
    )
    client_for(creator).put(f"/api/v1/videos/{video.pk}/chapters", [], format="json")
    assert not file.exists()


def pixel(path, x: int, y: int, tmp_path) -> tuple[int, ...]:
    stream = ffprobe(path, "-show_entries", "stream=width,height")["streams"][0]
    ffmpeg("-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", tmp_path / "pixels")
    place = 3 * (y * stream["width"] + x)
    return tuple((tmp_path / "pixels").read_bytes()[place : place + 3])


def test_a_storyboard_shows_each_two_seconds(process, client_for, tmp_path):
    video = process()
    address = client_for().get(f"/api/v1/videos/{video.pk}").json()["storyboard_url"]
    answer = client_for().get(address)
    assert answer["Content-Type"] == "text/vtt; charset=utf-8"
    found = cues.parse(answer.getvalue().decode())
    assert [(cue.start, cue.end, cue.text) for cue in found] == [
        (0, 2000, "sprite-1.jpg#xywh=0,0,160,90"),
        (2000, 4000, "sprite-1.jpg#xywh=160,0,160,90"),
        (4000, 6000, "sprite-1.jpg#xywh=320,0,160,90"),
    ]
    sprite = client_for().get(address.replace("index.vtt", "sprite-1.jpg"))
    assert sprite["Content-Type"] == "image/jpeg"
    (tmp_path / "sprite.jpg").write_bytes(sprite.getvalue())
    red, blue = (pixel(tmp_path / "sprite.jpg", x, 45, tmp_path) for x in (80, 240))
    assert red[0] > 245
    assert max(red[1:]) < 10
    assert blue[2] > 245
    assert max(blue[:2]) < 10
    assert client_for().get(address.replace("index.vtt", "sprite-2.jpg")).status_code == 404


def test_a_long_video_has_a_bounded_number_of_pictures(process, monkeypatch):
    monkeypatch.setattr(storyboards, "MOST_PICTURES", 2)
    video = process(seconds=7, size="90x160")
    folder = video.version_folder / "storyboard"
    found = cues.parse((folder / "index.vtt").read_text())
    assert [(cue.start, cue.end) for cue in found] == [(0, 4000), (4000, 7000)]
    assert found[1].text == "sprite-1.jpg#xywh=90,0,90,160"


def test_storyboard_and_captions_of_a_paid_video_are_for_those_who_may_watch(
    process, client_for, creator, viewer, buy
):
    video = process(price=500, is_paid=True)
    text = "WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n"
    body = {"language": "en", "text": text}
    client_for(creator).post(f"/api/v1/videos/{video.pk}/captions/", body, format="json")
    shown = client_for().get(f"/api/v1/videos/{video.pk}").json()
    (caption,) = shown["captions"]
    for address in (shown["storyboard_url"], caption["url"]):
        assert client_for().get(address).status_code == 401
        refused = client_for(viewer).get(address)
        assert refused.status_code == 403
        assert refused.json()["errors"][0]["code"] == "purchase_required"
        assert client_for(creator).get(address).status_code == 200
    buy(viewer, video)
    for address in (shown["storyboard_url"], caption["url"]):
        assert client_for(viewer).get(address).status_code == 200


def test_a_video_and_its_session_name_what_there_is(process, client_for, creator):
    video = process()
    path = f"/api/v1/videos/{video.pk}"
    body = {"language": "en", "text": "WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n", "is_sdh": True}
    client_for(creator).post(f"{path}/captions/", body, format="json")
    chapters = [{"start_seconds": 0.0, "title": "One"}]
    client_for(creator).put(f"{path}/chapters", chapters, format="json")
    caption = Caption.objects.get()
    shown = client_for().get(path).json()
    assert shown["captions"] == [
        {
            "id": str(caption.pk), "language": "en", "label": "English", "kind": "subtitles",
            "is_automatic": False, "is_forced": False, "is_sdh": True, "is_default": False,
            "url": f"http://testserver{path}/captions/{caption.pk}/text",
        }
    ]  # fmt: skip
    assert shown["chapters"] == chapters
    assert shown["audio_tracks"] == []
    (listed,) = client_for().get("/api/v1/videos/").json()["results"]
    assert listed == shown
    assert client_for(creator).get(path).json()["source"]["notes"] == []
    assert "source" not in shown

    token = client_for().get(f"/api/v1/stream/{video.pk}").json()
    session = client_for().get(token["stream_url"], HTTP_ACCEPT="application/json").json()
    folder = session["hls_url"].removesuffix("/master.m3u8")
    assert session["captions"][0]["url"] == f"{folder}/text/{caption.pk}.vtt"
    assert session["chapters_url"] == f"{folder}/chapters.vtt"
    assert session["storyboard_url"] == f"{folder}/storyboard/index.vtt"
    for name in (f"text/{caption.pk}.vtt", "chapters.vtt", "storyboard/index.vtt"):
        assert (video.version_folder / name).is_file()
