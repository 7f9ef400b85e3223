"""What the leak check says of a CDN: one that sends encrypted segments, and ones that send more."""

import uuid

import pytest

from streaming.leaks import assets, checking, public
from streaming.leaks.asking import Answer, Door
from streaming.tests.test_encryption_in_browser import elsewhere

VIDEO, VERSION = "0190a0b0-0000-7000-8000-000000000001", "k0123456730abcdefabcdef"
CLEAR = b"\0\0\0\x18stypmsdh" + bytes(20)


@pytest.fixture
def cdn(tmp_path):
    folder = tmp_path / VIDEO / VERSION
    (folder / "240p").mkdir(parents=True)
    (folder / "240p.m3u8").write_text("#EXTM3U\n")
    (folder / "240p" / "1.m4s").write_bytes(bytes(range(64)))
    (folder / "240p" / "2.m4s").write_bytes(bytes(range(64, 128)))
    with elsewhere(tmp_path) as (address, asked):
        place = f"{address}/{VIDEO}/{VERSION}/240p"
        yield folder, [f"{place}/{number}.m4s" for number in (1, 2)], asked


def leaks(segments):
    return [asset for asset, _, is_open in public.clear_answers(segments) if is_open]


def test_encrypted_segments_are_no_leak_and_a_clear_one_is(cdn):
    folder, segments, asked = cdn
    assert leaks(segments) == []
    assert sum(path.endswith(".m4s") for path in asked) == 2

    (folder / "240p" / "2.m4s").write_bytes(CLEAR)
    assert leaks(segments) == ["clear segment of the CDN"]


def test_a_playlist_on_the_cdn_is_a_leak(cdn, monkeypatch):
    _, segments, _ = cdn
    monkeypatch.setattr(Door, "ask", lambda door, path: Answer(200, {}, b"#EXTM3U\n"))
    assert "playlist of the CDN" in leaks(segments)


def test_segments_of_another_host_are_found_in_playlists(cdn, monkeypatch):
    _, segments, _ = cdn
    assert leaks([]) == []
    text = "\n".join(["#EXTM3U", '#EXT-X-MAP:URI="https://x/240p/init.mp4"', *segments])
    monkeypatch.setattr(Door, "ask", lambda door, path, **more: Answer(200, {}, text.encode()))
    playback = assets.Playback(uuid.uuid4(), "", uuid.UUID(VIDEO), VERSION, "a")

    found = list(assets._named(Door("http://127.0.0.1"), playback, "240p.m3u8"))

    assert found == []
    assert playback.elsewhere == segments


@pytest.mark.parametrize(
    ("sources", "is_framed"),
    [
        ("'self'", False), ("'none'", False), ("", False), ("blog.example:*", False),
        ("https://blog.example", False), ("*.blog.example:*", False), ("thief.example.org", False),
        ("*", True), ("https:", True), ("HTTP:", True), ("thief.example:*", True), ("*:*", True),
        ("https://*", True), ("https://thief.example/x", True), ("*.example:*", True),
        ("'self' blog.example http://thief.example:8000", True),
    ],
)  # fmt: skip
def test_every_form_of_a_source_that_lets_a_foreign_frame_in(sources, is_framed):
    policy = f"default-src 'none'; frame-ancestors {sources}; base-uri 'none'"
    answer = Answer(200, {"content-security-policy": policy}, b"")
    assert checking._may_be_framed(answer) is is_framed
