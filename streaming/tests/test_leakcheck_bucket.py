"""What the leak check says of buckets: a private one, and one that an operator has made public."""

import json

import pytest

from streaming.leaks import public

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
