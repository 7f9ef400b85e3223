"""The bucket, its cache and the copies of sources, against real servers of object storage."""

import errno
import hashlib
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("boto3", reason="missing: boto3")

from videos.storage import Damaged, objects
from videos.storage import bucket as bucket_module
from videos.storage.cache import Cache
from videos.storage.copies import Copies
from videos.storage.listing import LISTING, encoded, facts_of
from videos.tests.buckets import BUCKET, Rclone, SeaweedFS, bucket_of, emptied, running

pytestmark = pytest.mark.s3
VERSION = "videos/0190a0b0-0000-7000-8000-000000000001/0123456789ab"


@pytest.fixture(scope="module", params=[SeaweedFS, Rclone], ids=lambda kind: kind.__name__)
def server(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def bucket(server):
    return emptied(server)


@pytest.fixture
def version(bucket, tmp_path):
    """A published version with two segments, a poster and two texts."""
    folder = tmp_path / "version"
    (folder / "360p").mkdir(parents=True)
    for name, size in {"360p/init.mp4": 900, "360p/1.m4s": 300_000, "360p/2.m4s": 200_000}.items():
        (folder / name).write_bytes(os.urandom(size))
    (folder / "poster.jpg").write_bytes(b"\xff\xd8picture")
    (folder / "master.m3u8").write_text("#EXTM3U\n")
    for file in folder.rglob("*.*"):
        bucket.put(file, f"{VERSION}/{file.relative_to(folder).as_posix()}")
    bucket.write(f"{VERSION}/{LISTING}", encoded(facts_of(folder)))
    return folder


def test_a_file_goes_in_and_comes_out(bucket, tmp_path):
    (tmp_path / "a.m4s").write_bytes(content := os.urandom(700_000))

    sent = bucket.put(tmp_path / "a.m4s", "videos/x/a.m4s")

    sent.check(bucket.find("videos/x/a.m4s"))
    bucket.download("videos/x/a.m4s", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == content
    kind = bucket.client.head_object(Bucket=BUCKET, Key="vod/videos/x/a.m4s")["ContentType"]
    assert kind in ("video/iso.segment", "application/octet-stream")


def test_a_large_file_goes_in_parts_and_its_etag_is_checked(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(objects, "PART_BYTES", 5 * 1024**2)
    (tmp_path / "source").write_bytes(content := os.urandom(12 * 1024**2))

    sent = bucket.put(tmp_path / "source", "sources/a/b/source")

    assert sent.etag.endswith("-3")
    stored = bucket.find("sources/a/b/source")
    assert stored.size == len(content)
    sent.check(stored)
    bucket.download("sources/a/b/source", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content


def test_other_content_is_noticed(bucket, tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 1000)
    sent = bucket.put(tmp_path / "a", "a")
    bucket.write("a", b"x" * 999)
    with pytest.raises(OSError, match="999 of 1000 bytes"):
        sent.check(bucket.find("a"))
    bucket.write("a", b"y" * 1000)
    with pytest.raises(OSError, match="ETag"):
        sent.check(bucket.find("a"))


def test_what_is_not_there_is_a_missing_file(bucket, tmp_path):
    for call in (
        lambda: bucket.find("no/such"),
        lambda: bucket.read("no/such"),
        lambda: bucket.download("no/such", tmp_path / "x"),
    ):
        with pytest.raises(FileNotFoundError):
            call()
    assert list(bucket.entries("no/such")) == []
    assert bucket.remove("no/such/") == 0
    bucket.delete("no/such")


def test_names_are_listed_by_folder_and_removed_together(bucket):
    for name in ("list/1/a/x.m4s", "list/1/b/x.m4s", "list/12/c/x.m4s", "posters/1/p.jpg"):
        bucket.write(name, b"x")

    assert sorted(bucket.folders("list")) == ["list/1", "list/12"]
    assert sorted(bucket.folders("list/1")) == ["list/1/a", "list/1/b"]
    assert list(bucket.folders("posters/1")) == ["posters/1/p.jpg"]
    assert bucket.remove("list/1/") == 2
    assert [each.name for each in bucket.entries("list/")] == ["list/12/c/x.m4s"]


def test_nobody_without_a_key_may_list_or_read(server, bucket):
    bucket.write("videos/1/a/x.m4s", b"secret")

    for path in ("", "?list-type=2", "/vod/videos/1/a/x.m4s"):
        assert 400 <= server.anonymous_status(path) < 500


@pytest.mark.parametrize(
    ("action", "deed"), [("Write", "write"), ("List", "list"), ("Read", "read")]
)
def test_what_strangers_may_is_found_out(tmp_path, action, deed):
    """Also a bucket in which they may only put objects: they would replace videos."""

    class Open(SeaweedFS):
        def __init__(self, folder):
            super().__init__(folder)
            facts = json.loads((folder / "s3.json").read_text())
            facts["identities"].append({"name": "anonymous", "actions": [f"{action}:{BUCKET}"]})
            (folder / "s3.json").write_text(json.dumps(facts))

    with running(Open, tmp_path / "server") as server:
        bucket = bucket_of(server)
        bucket.write("videos/1/a/x.m4s", b"secret")
        assert deed in bucket.strangers_may()
        assert [each.name for each in bucket.entries("")] == ["videos/1/a/x.m4s"]


def test_strangers_may_nothing(server, bucket):
    bucket.write("videos/1/a/x.m4s", b"secret")
    assert bucket.strangers_may() == []


def test_wrong_keys_are_an_outage_not_a_missing_file(server):
    stranger = bucket_of(server)
    stranger._options["aws_secret_access_key"] = "wrong"

    with pytest.raises(OSError, match="403") as error:
        stranger.find("a")
    assert error.value.errno == errno.EHOSTDOWN


def test_a_download_goes_on_where_it_broke(bucket, tmp_path):
    content = os.urandom(3 * 1024**2)
    (tmp_path / "file").write_bytes(content)
    bucket.put(tmp_path / "file", "sources/a/b/source")
    etag = bucket.find("sources/a/b/source").etag
    (tmp_path / "part").write_bytes(content[:1_500_000])
    seen: list[int] = []

    bucket.download(
        "sources/a/b/source",
        tmp_path / "part",
        etag=etag,
        on_bytes=lambda done, _: seen.append(done),
    )

    assert (tmp_path / "part").read_bytes() == content
    assert min(seen) > 1_500_000


class TestCopies:
    def put(self, bucket, tmp_path, size=3 * 1024**2):
        content = os.urandom(size)
        (tmp_path / "file").write_bytes(content)
        bucket.put(tmp_path / "file", "sources/v/u/source")
        return content, f"sha256:{hashlib.sha256(content).hexdigest()}"

    def get(self, bucket, tmp_path, content, checksum, on_percent=lambda _: None):
        copies = Copies(bucket, tmp_path / "scratch")
        return copies.get(
            "sources/v/u/source", size=len(content), checksum=checksum, on_percent=on_percent
        )

    def test_a_copy_that_was_cut_off_is_completed(self, bucket, tmp_path):
        content, checksum = self.put(bucket, tmp_path)

        def cut(percent):
            if percent > 50:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.get(bucket, tmp_path, content, checksum, cut)
        (part,) = (tmp_path / "scratch").rglob("part")
        there, seen = part.stat().st_size, list[int]()
        path = self.get(bucket, tmp_path, content, checksum, seen.append)

        assert 0 < there < len(content)
        assert seen[0] > 50
        assert path.read_bytes() == content

    def test_a_part_of_another_file_is_thrown_away(self, bucket, tmp_path):
        content, checksum = self.put(bucket, tmp_path)
        folder = tmp_path / "scratch/sources/v/u"
        folder.mkdir(parents=True)
        (folder / "part").write_bytes(b"x" * 1000)
        (folder / "etag").write_text("another")

        assert self.get(bucket, tmp_path, content, checksum).read_bytes() == content

    def test_a_part_that_is_wrong_is_fetched_again(self, bucket, tmp_path):
        content, checksum = self.put(bucket, tmp_path)
        folder = tmp_path / "scratch/sources/v/u"
        folder.mkdir(parents=True)
        (folder / "part").write_bytes(b"x" * 1000)
        (folder / "etag").write_text(bucket.find("sources/v/u/source").etag)

        assert self.get(bucket, tmp_path, content, checksum).read_bytes() == content

    def test_a_truncated_or_changed_source_is_refused(self, bucket, tmp_path):
        content, checksum = self.put(bucket, tmp_path)
        for damaged in (content[:-1], b"x" + content[1:]):
            bucket.write("sources/v/u/source", damaged)
            with pytest.raises(Damaged):
                self.get(bucket, tmp_path, content, checksum)


class TestCache:
    @pytest.fixture
    def cache(self, bucket, tmp_path):
        return Cache(bucket, tmp_path / "cache", 10_000_000)

    def test_an_object_is_fetched_once_however_many_ask(self, cache, version, monkeypatch):
        fetched = []
        download = bucket_module.Bucket.download

        def slowly(self, name, *args, **options):
            fetched.append(name)
            time.sleep(0.3)
            return download(self, name, *args, **options)

        monkeypatch.setattr(bucket_module.Bucket, "download", slowly)
        caches = [cache, Cache(cache._bucket, cache.root, 10_000_000)]  # as in two processes
        with ThreadPoolExecutor(20) as threads:
            paths = list(
                threads.map(lambda n: caches[n % 2].get(f"{VERSION}/360p/1.m4s"), range(20))
            )

        assert fetched == [f"{VERSION}/360p/1.m4s"]
        assert {path.read_bytes() for path in paths} == {(version / "360p/1.m4s").read_bytes()}

    def test_two_machines_give_a_file_the_same_time(self, bucket, cache, version, tmp_path):
        other = Cache(bucket, tmp_path / "other", 10_000_000)
        name = f"{VERSION}/360p/1.m4s"
        assert cache.get(name).stat().st_mtime_ns == other.get(name).stat().st_mtime_ns
        second = other.get(f"{VERSION}/360p/2.m4s")
        assert cache.get(name).stat().st_mtime_ns != second.stat().st_mtime_ns

    def test_what_was_used_last_stays(self, bucket, version, tmp_path):
        cache = Cache(bucket, tmp_path / "cache", 600_000)
        first = cache.get(f"{VERSION}/360p/1.m4s")
        cache.get(f"{VERSION}/360p/2.m4s")
        os.utime(first, ns=(0, first.stat().st_mtime_ns))
        for number in range(3, 5):
            (tmp_path / "new").write_bytes(os.urandom(200_000))
            bucket.put(tmp_path / "new", f"videos/v/{number}/360p/1.m4s")
            cache.get(f"videos/v/{number}/360p/1.m4s")

        assert not first.exists()
        assert (cache.root / VERSION / "360p/2.m4s").exists()
        total = sum(path.stat().st_size for path in cache.root.rglob("*.m4s"))
        assert total <= 600_000

    def test_a_disk_that_others_have_filled_loses_copies_not_viewers(
        self, cache, version, monkeypatch
    ):
        """As if the disk had room for no more than what one more copy needs."""
        first = cache.get(f"{VERSION}/360p/1.m4s")
        os.utime(first, ns=(0, first.stat().st_mtime_ns))
        cache.get(f"{VERSION}/360p/init.mp4")
        download = bucket_module.Bucket.download

        def on_a_full_disk(self, *args, **options):
            if first.exists():
                raise OSError(errno.ENOSPC, "No space left on device")
            return download(self, *args, **options)

        monkeypatch.setattr(bucket_module.Bucket, "download", on_a_full_disk)
        name = f"{VERSION}/360p/2.m4s"
        assert cache.get(name).read_bytes() == (version / "360p/2.m4s").read_bytes()
        assert not first.exists()
        assert (cache.root / VERSION / "360p/init.mp4").exists()

    def test_a_text_that_changes_is_seen(self, bucket, cache, version, monkeypatch):
        name = f"{VERSION}/master.m3u8"
        assert cache.get(name).read_text() == "#EXTM3U\n"
        bucket.write(name, b"#EXTM3V\n")
        assert cache.get(name).read_text() == "#EXTM3U\n"  # for two seconds
        cache._looked_at.clear()
        assert cache.get(name).read_text() == "#EXTM3V\n"

    def test_a_version_that_was_removed_leaves(self, bucket, cache, version):
        path = cache.get(f"{VERSION}/360p/1.m4s")
        bucket.remove(f"{VERSION}/")
        cache._looked_at.clear()
        with pytest.raises(FileNotFoundError):
            cache.get(f"{VERSION}/360p/1.m4s")
        assert not path.exists()

    @pytest.mark.parametrize(
        "change", [lambda b: b[:-5], lambda b: b[:-5] + b"12345", lambda b: b""]
    )
    def test_a_damaged_object_is_never_served(self, bucket, cache, version, change):
        name = f"{VERSION}/360p/1.m4s"
        bucket.write(name, change((version / "360p/1.m4s").read_bytes()))

        with pytest.raises(OSError, match="damaged") as error:
            cache.get(name)

        assert not isinstance(error.value, FileNotFoundError)
        assert not (cache.root / name).exists()

    def test_an_object_that_is_missing_is_a_missing_file(self, bucket, cache, version):
        bucket.delete(f"{VERSION}/360p/1.m4s")
        with pytest.raises(FileNotFoundError):
            cache.get(f"{VERSION}/360p/1.m4s")

    def test_without_the_server_the_copies_stand(self, cache, version, server, monkeypatch):
        monkeypatch.setattr(bucket_module, "PAUSE_SECONDS", 0.05)
        names = [f"{VERSION}/360p/1.m4s", f"{VERSION}/master.m3u8"]
        before = [cache.get(name).read_bytes() for name in names]
        server.kill()
        try:
            cache._looked_at.clear()
            assert [cache.get(name).read_bytes() for name in names] == before
            with pytest.raises(OSError, match="Could not connect") as error:
                cache.get(f"{VERSION}/360p/2.m4s")
            assert error.value.errno == errno.EHOSTDOWN
        finally:
            server.start()
        assert (
            cache.get(f"{VERSION}/360p/2.m4s").read_bytes() == (version / "360p/2.m4s").read_bytes()
        )

    def test_a_server_that_comes_back_completes_a_download(
        self, bucket, server, tmp_path, monkeypatch
    ):
        content = os.urandom(8 * 1024**2)
        (tmp_path / "file").write_bytes(content)
        bucket.put(tmp_path / "file", "sources/a/b/source")
        killed = threading.Event()

        def on_bytes(done, size):
            if done > size // 3 and not killed.is_set():
                killed.set()
                server.kill()
                server.start()

        bucket.download("sources/a/b/source", tmp_path / "copy", on_bytes=on_bytes)

        assert killed.is_set()
        assert (tmp_path / "copy").read_bytes() == content
