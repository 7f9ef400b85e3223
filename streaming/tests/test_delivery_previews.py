"""What a preview's grant opens, in all engines: the first segments, and texts cut to them."""

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise
from uuid import uuid4
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streaming.delivery.grants import Part
from streaming.delivery.previews import cut, is_open, part_of
from streaming.tests.delivery_kit import random_bytes, wait_until
from streaming.tests.engines_kit import (
    ENGINES,
    HERE,
    SEGMENT,
    assert_on_every_answer,
    assert_refused,
    started,
)

MPD = "{urn:mpeg:dash:schema:mpd:2011}"
HEAD = (
    "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:5\n#EXT-X-PLAYLIST-TYPE:VOD\n"
    '#EXT-X-MAP:URI="{name}/init.mp4"\n'
)


def playlist(name: str, lengths: Sequence[float], *, end: str = "#EXT-X-ENDLIST\n") -> str:
    parts = [f"#EXTINF:{s:.3f},\n{name}/{n}.m4s\n" for n, s in enumerate(lengths, 1)]
    return HEAD.format(name=name) + "".join(parts) + end


PICTURES = HEAD.format(name="1080") + "".join(
    f"#EXTINF:2.000,\n#EXT-X-BYTERANGE:{n}@{at}\n1080/{n}.m4s\n"
    for n in range(1, 5)
    for at in (0, 9)
)
MANIFEST = """<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT18S">
<Period id="0">
<AdaptationSet><Representation id="1"><SegmentTemplate timescale="1000" media="1080/$Number$.m4s"
 startNumber="1"><SegmentTimeline><S t="0" d="4000" r="3"/><S d="2000"/></SegmentTimeline>
</SegmentTemplate></Representation></AdaptationSet>
<AdaptationSet><Representation id="2"><SegmentTemplate timescale="48000" media="audio/$Number$.m4s"
 startNumber="1"><SegmentTimeline><S t="0" d="192512"/><S d="191488"/><S d="191488" r="2"/>
</SegmentTimeline></SegmentTemplate></Representation></AdaptationSet></Period></MPD>
"""
VTT = (
    "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nearly\n\n00:00:06.000 --> 00:00:09.000\nacross\n\n"
    "00:00:08.500 --> 00:00:10.000\nsecret\n"
)
MORE = {
    "1080/3.m4s": SEGMENT[:5000],
    "1080/4.m4s": SEGMENT[:5001],
    "1080/02.m4s": b"secret-02",
    "audio-1-en/2.m4s": SEGMENT[:4000],
    "audio-1-en/3.m4s": b"secret-audio",
    "720-av1/3.m4s": b"secret-av1",
    "deep/er/2.m4s": SEGMENT[:300],
    "2.m4s": SEGMENT[:301],
    "key/name.m4s": b"secret-name",
    "download.mp4": b"secret-file",
    "1080.m3u8": playlist("1080", [4, 4, 4, 4, 2]).encode(),
    "1080-iframe.m3u8": PICTURES.encode(),
    "cut.mpd": MANIFEST.encode(),
    "chapters.vtt": VTT.encode(),
    "text/a.vtt": VTT.encode(),
    "text/a.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:18\n#EXTINF:18.000,\na.vtt\n#EXT-X-ENDLIST\n",
    "storyboard/index.vtt": b"WEBVTT\n\nsecret",
    "storyboard/sprite-1.jpg": b"secret-pictures",
}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request, tmp_path_factory):
    with started(request.param, tmp_path_factory.mktemp(request.param)) as made:
        for name, content in MORE.items():
            made.publish(name, content)
        other = made.stage.publish("1080/1.m4s", b"secret-version", version="v2")
        if made.bucket is not None:
            made.bucket.write(f"videos/{other.relative_to(made.stage.root)}", b"secret-version")
        yield made


def of(engine, name, method="GET", headers=None, *, version="v1", **options):
    grant = engine.stage.preview(address=HERE, **options)
    return engine.get(name, method, headers, grant=grant, version=version)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "name",
    [
        "1080/1.m4s", "1080/2.m4s", "audio-1-en/2.m4s", "deep/er/2.m4s", "2.m4s", "1080/init.mp4",
        "poster.jpg",
    ],
)  # fmt: skip
def test_it_opens_the_beginning(engine, name, method):
    whole = engine.get(name, method)
    for _ in range(2):  # the second time from what is kept
        status, headers, body = of(engine, name, method)
        assert (status, body) == (200, whole[2])
        assert_on_every_answer(headers)
        assert headers["etag"] == whole[1]["etag"]
        assert headers["cache-control"] == "private, max-age=31536000, immutable"


@pytest.mark.parametrize(
    "name",
    [
        "1080/3.m4s", "1080/4.m4s", "1080/02.m4s", "audio-1-en/3.m4s", "720-av1/3.m4s", "1080/99999.m4s",
        "1080/0.m4s", "key/name.m4s", "download.mp4", "storyboard/sprite-1.jpg", "other/poster.jpg",
        "storyboard/index.vtt", "1080/1.m4s/3.m4s",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("method", "more"),
    [("GET", {}), ("HEAD", {}), ("GET", {"Range": "bytes=0-3"}), ("GET", {"If-None-Match": "*"})],
)
def test_it_opens_nothing_after_its_end(engine, name, method, more):
    status, headers, body = of(engine, name, method, more)

    assert status == 403
    assert_on_every_answer(headers)
    assert headers["cache-control"] == "no-store"
    assert "etag" not in headers
    assert b"secret" not in body
    if method == "GET":
        assert_refused((status, headers, body), 403, "preview_ended")


def test_ranges_within_it(engine):
    status, headers, body = of(engine, "1080/2.m4s", headers={"Range": "bytes=5-9"})
    assert (status, body) == (206, SEGMENT[::-1][5:10])
    assert headers["content-range"] == f"bytes 5-9/{len(SEGMENT)}"
    assert of(engine, "1080/2.m4s", headers={"Range": f"bytes={len(SEGMENT)}-"})[0] == 416
    assert of(engine, "1080/9.m4s", last=9)[0] == 404  # within the preview, but not there


def test_the_end_is_that_of_the_grant(engine):
    assert of(engine, "1080/3.m4s", last=3)[0] == 200
    assert of(engine, "1080/4.m4s", last=3)[0] == 403
    assert of(engine, "1080/1.m4s", last=1)[0] == 200
    assert of(engine, "1080/2.m4s", last=1)[0] == 403
    assert of(engine, "1080/4.m4s", last=70_000)[0] == 200


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"version": "v2"}, 403, "wrong_video"),
        ({"video": uuid4()}, 403, "wrong_video"),
        ({"seconds": -5}, 401, "grant_expired"),
        ({"agent": "curl", "address": "198.51.100.1"}, 403, "wrong_device"),
    ],
)
@pytest.mark.parametrize("name", ["1080/1.m4s", "1080.m3u8", "1080/4.m4s"])
def test_it_opens_one_version_for_one_client_for_its_time(engine, options, status, code, name):
    given = {"address": HERE} | options
    grant = engine.stage.preview(**given)
    for _ in range(2):
        assert_refused(engine.get(name, grant=grant), status, code)


def test_another_version_is_not_opened_by_a_kept_grant(engine):
    grant = engine.stage.preview(address=HERE)
    assert engine.get("1080/1.m4s", grant=grant)[0] == 200
    assert_refused(engine.get("1080/1.m4s", grant=grant, version="v2"), 403, "wrong_video")
    assert_refused(engine.get("1080/1.m4s", grant=grant, version="V1"), 403, "wrong_video")


@pytest.mark.parametrize("place", [0, 27, 34, 43, 44, 47, 50, 60, 71])
@pytest.mark.parametrize("name", ["1080/1.m4s", "1080.m3u8"])
def test_a_forged_part_is_no_grant(engine, place, name):
    grant = engine.stage.preview(address=HERE)
    forged = grant[:place] + ("A" if grant[place] != "A" else "B") + grant[place + 1 :]
    assert_refused(engine.get(name, grant=forged), 401, "grant_invalid")


def test_neither_grant_can_be_made_of_the_other(engine):
    whole = engine.stage.grant(address=HERE)
    preview = engine.stage.preview(address=HERE)
    for made in (preview[:64], whole + "A" * 8, whole + preview[64:], preview[:43] + preview[51:]):
        assert_refused(engine.get("1080/4.m4s", grant=made), 401, "grant_invalid")
        assert_refused(engine.get("1080/1.m4s", grant=made), 401, "grant_invalid")
    for length in (68, 71, 73, 76):
        assert_refused(engine.get("1080/1.m4s", grant=(preview * 2)[:length]), 401, "grant_invalid")


@pytest.mark.parametrize(
    "trick",
    [
        "{video}/v1/1080/x%2f..%2f3.m4s", "{video}/v1/1080%2f3.m4s", "{video}/v1/1080/../1080/3.m4s",
        "{video}/v1/1080/1.m4s/../3.m4s", "{video}/v1/1080/%33.m4s", "{video}/v1/1080//3.m4s",
        "{video}/v1/x/../../v2/1080/1.m4s", "{video}/v1/1080/3.m4s%00", "{video}/v1/1080/1.m4s;/3.m4s",
        "{video}/v1/x/../1080.m3u8", "{video}/v1/%31080.m3u8", "{video}/v1/storyboard%2findex.vtt",
        "{video}/v1/./storyboard/index.vtt", "{video}/v1//storyboard/index.vtt",
    ],
)  # fmt: skip
@pytest.mark.parametrize("more", [{}, {"Range": "bytes=0-3"}])
def test_tricks_with_paths(engine, trick, more):
    grant = engine.stage.preview(address=HERE)
    path = f"/media/{grant}/{trick.format(video=engine.stage.video)}"

    status, _, body = engine.fetch(path, headers=more)

    assert status in {404, 403} or (engine.is_nginx and status == 400)
    assert b"secret" not in body
    assert body[:3] != SEGMENT[:3]


def test_playlists_end_with_it(engine):
    status, headers, body = of(engine, "1080.m3u8")

    assert (status, body.decode()) == (200, playlist("1080", [4, 4]))
    assert_on_every_answer(headers)
    assert headers["content-type"] == "application/vnd.apple.mpegurl"
    assert headers["cache-control"] == "private, max-age=2"
    assert headers["content-length"] == str(len(body))
    assert of(engine, "1080.m3u8", headers={"If-None-Match": headers["etag"]})[0] == 304
    status, part, piece = of(engine, "1080.m3u8", headers={"Range": "bytes=0-6"})
    assert (status, piece, part["etag"]) == (206, b"#EXTM3U", headers["etag"])
    assert of(engine, "1080.m3u8", "HEAD")[1]["content-length"] == str(len(body))
    assert_refused(
        of(engine, "1080.m3u8", "POST", {"Content-Length": "0"}), 405, "method_not_allowed"
    )
    assert engine.get("1080.m3u8")[2] == MORE["1080.m3u8"]  # whoever may watch has the whole


def test_the_other_texts_end_with_it(engine):
    pictures = of(engine, "1080-iframe.m3u8")[2].decode()
    assert re.findall(r"^1080/(\d)\.m4s$", pictures, re.MULTILINE) == ["1", "1", "2", "2"]
    assert pictures.endswith("#EXT-X-ENDLIST\n")
    assert b"#EXTINF:8.000,\na.vtt" in of(engine, "text/a.m3u8")[2]
    for name in ("text/a.vtt", "chapters.vtt"):
        text = of(engine, name)[2]
        assert b"early" in text
        assert b"00:00:06.000 --> 00:00:08.000" in text
        assert b"secret" not in text
    assert of(engine, "master.m3u8")[2] == b"#EXTM3U\n#x\n"


def test_the_dash_manifest_ends_with_it(engine):
    status, headers, body = of(engine, "cut.mpd")

    root = ET.fromstring(body)  # noqa: S314 - of our own making
    assert (status, headers["content-type"]) == (200, "application/dash+xml")
    assert root.get("mediaPresentationDuration") == "PT8S"
    picture, sound = root.iter(f"{MPD}SegmentTimeline")
    assert [each.attrib for each in picture] == [{"t": "0", "d": "4000", "r": "1"}]
    assert [each.attrib for each in sound] == [{"t": "0", "d": "192512"}, {"d": "191488"}]


def test_it_ends_with_its_session(engine):
    session = uuid4()
    grant = engine.stage.preview(address=HERE, session=session)
    assert engine.get("1080/1.m4s", grant=grant)[0] == 200
    engine.stage.sessions.end(session)
    for name in ("1080/1.m4s", "1080.m3u8", "1080/4.m4s"):
        wait_until(lambda name=name: engine.get(name, grant=grant)[0] == 410)
        assert_refused(engine.get(name, grant=grant), 410, "session_ended")


# --- the cut itself -----------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [4.0, 8.333, 4.004])
@pytest.mark.parametrize("preview", [1, 3, 4, 5, 8, 9, 30, 31, 100])
def test_it_reaches_to_its_end_and_at_most_one_segment_beyond(length, preview):
    part = part_of(preview, length)
    ends_at_least = part.last_segment * length  # the next segment begins after this
    begins_before = part.last_segment * length
    assert ends_at_least >= preview
    assert (part.last_segment - 1) * length < preview  # the one before does not reach to the end
    assert begins_before < preview + length
    assert is_open(f"v1/1080/{part.last_segment}.m4s", "m4s", part)
    assert not is_open(f"v1/1080/{part.last_segment + 1}.m4s", "m4s", part)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    length=st.floats(4, 12),
    gaps=st.lists(st.floats(0.04, 1), min_size=5, max_size=80),
    preview=st.integers(1, 200),
)
def test_no_segment_is_open_that_begins_more_than_one_after_the_end(length, gaps, preview):
    """Keyframes anywhere, no further apart than a segment is long: a segment ends at the first one after
    a multiple of the length (`videos.processing.packager`)."""
    keyframes = list(accumulate((gap * length for gap in gaps), initial=0.0))
    begins = [b for a, b in pairwise([-length, *keyframes]) if a // length != b // length]
    part = part_of(preview, length)
    opened = [start for n, start in enumerate(begins, 1) if is_open(f"v/1080/{n}.m4s", "m4s", part)]
    assert max(opened) < preview + length
    assert len(opened) == len(begins) or begins[len(opened)] >= preview - 1e-6


def test_a_growing_playlist_ends_when_it_has_the_last_segment():
    part = Part(3, 10)
    growing = playlist("360", [4, 4], end="")
    assert cut("m3u8", growing.encode(), part).decode() == growing
    for lengths in ([4, 4, 4], [4, 4, 4, 4]):
        text = cut("m3u8", playlist("360", lengths, end="").encode(), part).decode()
        assert text == playlist("360", [4, 4, 4])


def test_a_short_playlist_stays_as_it_is():
    short = playlist("360", [4, 1])
    assert cut("m3u8", short.encode(), Part(3, 10)).decode() == short


def test_a_text_that_cannot_be_cut_is_not_sent(tmp_path):
    with started("embedded", tmp_path) as engine:
        engine.publish("broken.mpd", b"<MPD secret")
        engine.publish("broken.m3u8", b"\xff" + random_bytes(100) + b"secret")
        for name in ("broken.mpd", "broken.m3u8"):
            assert_refused(of(engine, name), 503, "unavailable")
