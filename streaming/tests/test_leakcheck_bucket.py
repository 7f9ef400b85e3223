"""What the leak check says of buckets: a private one, and one that an operator has made public."""

import json

import pytest

from streaming.leaks import public
from streaming.leaks.asking import Answer, Door

pytest.importorskip("boto3", reason="missing: boto3")
from videos.tests import buckets

pytestmark = [pytest.mark.programs, pytest.mark.s3]
NAME = "videos/a/b/1.m4s"


class Public(buckets.SeaweedFS):
    """A server on which somebody without a key may read and list."""

    def __init__(self, folder):
        super().__init__(folder)
        file = self.folder / "s3.json"
        identities = json.loads(file.read_text())["identities"]
        everybody = {"name": "anonymous", "actions": ["Read", "List"]}
        file.write_text(json.dumps({"identities": [*identities, everybody]}))


@pytest.mark.parametrize(("kind", "is_open"), [(buckets.SeaweedFS, False), (Public, True)])
def test_objects_and_the_list_of_a_bucket(settings, tmp_path, kind, is_open):
    with buckets.running(kind, tmp_path) as server:
        buckets.use(settings, server)
        buckets.bucket_of(server).write(NAME, b"a segment")

        answers = dict(public.answers({"segment": NAME, "source": "sources/a/b/source"}))

    assert answers.keys() == {"list of the bucket", "segment in the bucket", "source in the bucket"}
    assert answers["segment in the bucket"].is_open is is_open
    assert answers["list of the bucket"].is_open is is_open
    assert not answers["source in the bucket"].is_open  # there is none


def test_files_in_a_folder_are_not_on_the_network(settings):
    settings.STORAGE = "local"
    assert not dict(public.answers({"segment": NAME}))


class TestSegmentsForEverybody:
    """A bucket that an operator has opened for CDN_URL, as docs/operations.md says."""

    AES, CBCS = "k0123456730abcdefabcdef", "ks01234567abcdefabcdef"
    ENCRYPTED, CLEAR = bytes(range(64)), b"\0\0\0\x18stypmsdh" + bytes(56)

    def leaks(self, settings, monkeypatch, version, body, *, cdn="https://cdn.example/videos"):
        settings.STORAGE, settings.CDN_URL = "s3", cdn
        monkeypatch.setattr(Door, "ask", lambda door, path: Answer(200, {}, body))
        home = f"videos/a/{version}"
        names = {"segment": f"{home}/240p/1.m4s", "initialisation": f"{home}/240p/init.mp4",
                 "media playlist": f"{home}/240p.m3u8"}  # fmt: skip
        found = dict(public.answers(names)).keys() - {"list of the bucket"}
        return {name.removesuffix(" in the bucket") for name in found}

    def test_encrypted_segments_are_no_leak(self, settings, monkeypatch):
        found = self.leaks(settings, monkeypatch, self.AES, self.ENCRYPTED)
        assert found == {"media playlist"}

    @pytest.mark.parametrize(
        ("version", "body", "cdn"),
        [
            (AES, CLEAR, "https://cdn.example/videos"),
            (AES, ENCRYPTED, ""),
            (CBCS, ENCRYPTED, "https://cdn.example/videos"),
            ("0123456789ab", ENCRYPTED, "https://cdn.example/videos"),
        ],
        ids=["clear", "no CDN", "one key for all", "a clear version"],
    )
    def test_any_other_segment_is(self, settings, monkeypatch, version, body, cdn):
        found = self.leaks(settings, monkeypatch, version, body, cdn=cdn)
        assert {"segment", "media playlist"} <= found
