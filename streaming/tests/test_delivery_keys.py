"""Keys of encrypted segments, with all engines: given after the check of any file, and no other way."""

import time
from uuid import uuid4

import pytest
from django.test import override_settings

from streaming.delivery import previews
from streaming.delivery.asgi import Delivery
from streaming.delivery.grants import Part
from streaming.tests.delivery_kit import Stage, request, wait_until
from streaming.tests.engines_kit import ENGINES, HERE, assert_refused, started
from videos.encryption import keys

VERSION = "k" + keys.secret_id(b"s" * 32) + "30" + "0123456789ab"


@pytest.fixture(scope="module", params=ENGINES)
def engine(request, tmp_path_factory):
    secrets = {"HLS_KEYS": [b"s" * 32]}
    folder = tmp_path_factory.mktemp(request.param)
    with started(request.param, folder, settings=secrets, binding="network") as made:
        made.stage.publish("master.m3u8", b"#EXTM3U\n", version=VERSION)
        yield made


def key_of(engine, number=0, **options):
    return engine.get(f"keys/{number}", version=VERSION, **options)


def expected(stage, number):
    period = keys.period(stage.video, VERSION, number)
    assert period is not None
    return period.key


def test_a_key_is_sent_to_a_session_of_the_video(engine):
    status, headers, body = key_of(engine, 3)

    assert (status, body) == (200, expected(engine.stage, 3))
    assert len(body) == 16
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-length"] == "16"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert "etag" not in headers
    assert key_of(engine, 4)[2] != body
    assert key_of(engine, 3, method="HEAD")[::2] == (200, b"")
    assert key_of(engine, 3, headers={"Range": "bytes=0-3"})[::2] == (200, body)


def test_a_key_is_refused_like_any_file(engine):
    assert_refused(key_of(engine, grant="x" * 64), 401, "grant_invalid")
    assert_refused(key_of(engine, grant="x"), 401, "grant_invalid")
    assert_refused(key_of(engine, seconds=-1), 401, "grant_expired")
    assert_refused(key_of(engine, video=uuid4()), 403, "wrong_video")
    assert_refused(key_of(engine, agent="Another/1.0"), 403, "wrong_device")
    assert_refused(key_of(engine, address="198.51.100.1"), 403, "wrong_device")
    assert_refused(key_of(engine, method="POST"), 405, "method_not_allowed")


@pytest.mark.promise("refund-stops-playback")
def test_a_session_that_has_ended_gets_no_further_key(engine):
    session = uuid4()
    assert key_of(engine, session=session)[0] == 200

    engine.stage.sessions.end(session)
    began = time.monotonic()
    wait_until(lambda: key_of(engine, 1, session=session)[0] == 410)
    assert time.monotonic() - began < 3  # half a second, and what a busy machine adds

    assert_refused(key_of(engine, 1, session=session), 410, "session_ended")


def test_only_published_encrypted_versions_have_keys(engine):
    for version in (
        VERSION[:-1] + "c",  # there is none
        "v1",  # it is clear
        "k" + keys.secret_id(b"t" * 32) + VERSION[9:],  # of a secret that is not known
    ):
        assert_refused(engine.get("keys/0", version=version), 404, "not_found")
    engine.stage.publish("master.m3u8", b"#EXTM3U\n", version="k00000000" + VERSION[9:])
    assert_refused(engine.get("keys/0", version="k00000000" + VERSION[9:]), 404, "not_found")
    for name in ("keys/0000", "keys/-1", "keys/x", "keys/", "keys/0/0", "keys/0.m4s"):
        assert_refused(engine.get(name, version=VERSION), 404, "not_found")


def test_a_key_of_segments_that_are_sent_from_here_delivers_nothing(tmp_path):
    with _stage(tmp_path, sends_segments=True) as stage:
        assert _ask(stage).status == 200
        assert not stage.snapshot._served


def test_a_key_of_segments_on_another_host_delivers_its_period(tmp_path):
    """That host does not tell what it sends: whoever has the key can have all of the period."""
    with _stage(tmp_path, sends_segments=False) as stage:
        assert _ask(stage, method="HEAD").status == 200
        assert not stage.snapshot._served
        assert _ask(stage, session=uuid4(), video=uuid4()).status == 403
        assert not stage.snapshot._served

        assert _ask(stage).body == expected(stage, 2)

        assert [number for _, number in stage.snapshot._served] == list(range(61, 91))
        assert {session for session, _ in stage.snapshot._served} == {stage.session.bytes}


def test_a_preview_gets_the_keys_of_its_segments_alone(engine):
    """The segments after its end are refused, here, whatever key opens them."""
    grant = engine.stage.preview(31, 124, version=VERSION, address=HERE)

    for number in (0, 1):
        status, _, body = key_of(engine, number, grant=grant)
        assert (status, body) == (200, expected(engine.stage, number))
    assert_refused(key_of(engine, 2, grant=grant), 403, "preview_ended")
    other = engine.stage.preview(31, 124, version=VERSION[:-1] + "c", address=HERE)
    assert_refused(key_of(engine, 0, grant=other), 403, "wrong_video")


def test_a_preview_gets_no_key_that_opens_public_segments_after_its_end(tmp_path):
    with _stage(tmp_path, sends_segments=False) as stage:
        grant = stage.preview(31, 124, version=VERSION)
        answers = [
            request(stage.app, "GET", stage.path(f"keys/{number}", grant=grant, version=VERSION))
            for number in (0, 1)
        ]
    assert [answer.status for answer in answers] == [200, 403]
    assert answers[1].code == "preview_ended"


def test_a_preview_ends_in_the_playlist_of_another_host():
    names = [f"https://cdn.example:8443/videos/{VERSION}/240p/{n}.m4s" for n in (1, 2, 3)]
    text = "\n".join(["#EXTM3U", *(f"#EXTINF:4,\n{name}" for name in names), "#EXT-X-ENDLIST", ""])

    found = previews.cut("m3u8", text.encode(), Part(2, 8)).decode()

    assert names[1] in found
    assert names[2] not in found
    assert "#EXT-X-ENDLIST" in found


class _stage:
    """A delivery without a server, whose segments lie here or elsewhere."""

    def __init__(self, root, *, sends_segments):
        self.stage = Stage(root)
        self.stage.app = Delivery(
            checker=self.stage.grants, snapshot=self.stage.snapshot, root=root, origins=["*"],
            sends_segments=sends_segments,
        )  # fmt: skip
        self.settings = override_settings(HLS_KEYS=[b"s" * 32])

    def __enter__(self):
        self.settings.enable()
        self.stage.publish("master.m3u8", b"#EXTM3U\n", version=VERSION)
        # What is served stays where the test can see it.
        self.stage.snapshot._record_served = lambda: None  # type: ignore[method-assign]
        return self.stage

    def __exit__(self, *error):
        self.stage.close()
        self.settings.disable()


def _ask(stage, *, method="GET", **grant):
    path = stage.path("keys/2", grant=stage.grant(**grant), version=VERSION)
    return request(stage.app, method, path)
