"""Paths that reach a file, and the ways of reading files."""

import asyncio
import gc
import os
from pathlib import Path

import pytest

from streaming.delivery import files as module
from streaming.delivery.files import Files
from streaming.tests.delivery_kit import ADDRESS, Stage, random_bytes, request

NAME = "1.m4s"


@pytest.fixture
def stage(tmp_path):
    (tmp_path / "secret.m4s").write_bytes(b"not published")
    made = Stage(tmp_path / "videos")
    made.publish(NAME, b"published")
    made.publish(".hidden.m4s", b"hidden")
    made.publish(".git/config.m4s", b"hidden")
    made.publish("notes.txt", b"notes")
    made.publish("noextension", b"x")
    made.publish("source", b"the upload")
    made.publish("folder.m4s/inside.m4s", b"inside")
    yield made
    made.close()


@pytest.mark.parametrize(
    "tail",
    [
        "{video}/v1/../v1/1.m4s",
        "{video}/v1/../../{video}/v1/1.m4s",
        "{video}/../{video}/v1/1.m4s",
        "{video}/v1/../../../secret.m4s",
        "../secret.m4s",
        "{video}/v1//1.m4s",
        "{video}//v1/1.m4s",
        "/{video}/v1/1.m4s",
        "{video}/v1/./1.m4s",
        "{video}/v1/1.m4s/",
        "{video}/v1/",
        "{video}/v1",
        "{video}/1.m4s",
        "{video}",
        "",
        "{video}/v1/..\\1.m4s",
        "{video}\\v1\\1.m4s",
        "{video}/v1/1.m4s\0",
        "{video}/v1/1.m4s\0.m4s",
        "{video}/v1/1.m4s\n",
        "{video}/v1/ 1.m4s",
        "{video}/v1/.hidden.m4s",
        "{video}/v1/.git/config.m4s",
        "{video}/.v1/1.m4s",
        "{video}/v1/notes.txt",
        "{video}/v1/noextension",
        "{video}/v1/source",
        "{video}/v1/1.M4S",
        "{video}/v1/folder.m4s",
        "{video}/v1/no-such.m4s",
        "{video}/v2/1.m4s",
        "{hex}/v1/1.m4s",
        "{video}/v1/%2e%2e/v1/1.m4s",
        "{video}/v1/é.m4s",
        "{video}/v1/a/b/c/d/e/f/g/h/i/1.m4s",
        "{video}/v1/" + "a" * 5000 + ".m4s",
        "~root/v1/1.m4s",
        "C:/v1/1.m4s",
    ],
)
def test_paths_that_reach_nothing(stage, tail):
    filled = tail.format(video=stage.video, hex=stage.video.hex)

    answer = request(stage.app, "GET", f"/media/{stage.grant()}/{filled}")

    assert (answer.status, answer.code) == (404, "not_found")
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    "raw",
    [
        "{video}/v1%2f1.m4s",
        "{video}/v1%2F1.m4s",
        "{video}%5cv1/1.m4s",
        "{video}/%76%31/1.m4s",
        "{video}/v1/%2e%2e/v1/1.m4s",
        "{video}/v1/x%2f..%2f1.m4s",
    ],
)
def test_no_published_name_needs_an_escape(stage, raw):
    """A server decodes such a path to a good one, so the raw path is checked."""
    from urllib.parse import unquote

    raw_path = f"/media/{stage.grant()}/{raw.format(video=stage.video)}"

    answer = request(stage.app, "GET", unquote(raw_path), raw_path=raw_path)

    assert answer.status == 404


@pytest.mark.parametrize("path", ["/media", "/media/", "/", "/other/x", "/MEDIA/x", "//media/x"])
def test_paths_outside(stage, path):
    assert request(stage.app, "GET", path).status == 404


def test_a_deep_name_is_fine(stage):
    stage.publish("audio/en/stereo/00001.m4s", b"deep")
    assert stage.get("audio/en/stereo/00001.m4s").body == b"deep"


def link_file_out(stage, folder):
    (folder / "link.m4s").symlink_to(stage.root.parent / "secret.m4s")
    return "link.m4s"


def link_folder_out(stage, folder):
    (folder / "away").symlink_to(stage.root.parent)
    return "away/secret.m4s"


def link_to_another_version(stage, folder):
    stage.publish("other.m4s", b"other version", version="v0")
    (folder / "old.m4s").symlink_to("../v0/other.m4s")
    return "old.m4s"


def dangling_link(stage, folder):
    (folder / "dangling.m4s").symlink_to("nowhere.m4s")
    return "dangling.m4s"


def link_loop(stage, folder):
    (folder / "loop.m4s").symlink_to("loop.m4s")
    return "loop.m4s"


def named_pipe(stage, folder):
    os.mkfifo(folder / "pipe.m4s")
    return "pipe.m4s"


@pytest.mark.parametrize(
    "plant",
    [
        link_file_out, link_folder_out, link_to_another_version, dangling_link, link_loop,
        named_pipe,
    ],
)  # fmt: skip
def test_only_plain_files_of_the_version_itself(stage, plant):
    name = plant(stage, stage.root / str(stage.video) / "v1")

    assert stage.get(name).status == 404


def test_a_version_that_is_a_link_is_refused(stage):
    (stage.root / str(stage.video) / "v9").symlink_to("v1")

    answer = request(stage.app, "GET", stage.path(NAME, version="v9"))

    assert answer.status == 404


def test_the_media_folder_itself_may_be_a_link(tmp_path):
    real = tmp_path / "disk"
    real.mkdir()
    (tmp_path / "videos").symlink_to(real)
    stage = Stage(tmp_path / "videos")
    stage.publish(NAME, b"x")

    assert stage.get(NAME).status == 200
    stage.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_not_there(stage):
    stage.publish("locked.m4s", b"x").chmod(0)
    assert stage.get("locked.m4s").status == 404


def make_all_stale(stage):
    for file in stage.app._files._open.values():
        file.checked_at -= 3


def replace(path: Path, content: bytes):
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.replace(path)


@pytest.mark.parametrize("size", [100, 100_000])
def test_a_replaced_file_is_noticed_and_never_mixed(stage, size):
    path = stage.publish("seg.m4s", b"a" * size)
    before = stage.get("seg.m4s")
    replace(path, b"b" * (size // 2))

    again = stage.get("seg.m4s")
    assert (again.body, again.headers["etag"]) == (before.body, before.headers["etag"])

    make_all_stale(stage)
    after = stage.get("seg.m4s")
    assert after.body == b"b" * (size // 2)
    assert after.headers["etag"] != before.headers["etag"]
    assert after.headers["content-length"] == str(size // 2)


def test_an_unchanged_file_stays_open(stage):
    stage.get(NAME)
    (before,) = stage.app._files._open.values()
    make_all_stale(stage)
    stage.get(NAME)

    (after,) = stage.app._files._open.values()
    assert after is before


def test_a_removed_file_is_gone_soon(stage):
    path = stage.publish("seg.m4s", b"x" * 100_000)
    assert stage.get("seg.m4s").status == 200
    path.unlink()
    make_all_stale(stage)

    assert stage.get("seg.m4s").status == 404
    assert stage.get("seg.m4s").status == 404
    assert not any("seg.m4s" in name for name in stage.app._files._open)


def test_a_file_that_is_cut_short_leaves_a_short_body(stage):
    path = stage.publish("seg.m4s", random_bytes(100_000))
    stage.get("seg.m4s")
    os.truncate(path, 0)

    answer = stage.get("seg.m4s")

    assert (answer.status, answer.complete) == (200, False)
    assert answer.body == b""  # the server closes the connection: the client sees a short body


def open_descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_the_cache_is_bounded_and_closes_the_files_that_it_drops(stage):
    for number in range(20):
        stage.publish(f"{number}.m4s", bytes([number]) * 40_000)
    files = Files(stage.root, capacity=4)

    async def open_all():
        return [await files.open(f"{stage.video}/v1/{n}.m4s", "m4s") for n in range(20)]

    asyncio.run(asyncio.sleep(0))
    before = open_descriptors()
    held = asyncio.run(open_all())
    assert len(files._open) == 4

    # Dropped by the cache, but in use: still readable, each with its own content.
    for number, file in enumerate(held):
        assert os.pread(file.fd, 10, 0) == bytes([number]) * 10
    del held, file
    kept = open_descriptors() - before
    files.close()
    assert kept <= 4 * 2
    assert open_descriptors() <= before


def test_the_last_used_stay(stage):
    for number in range(5):
        stage.publish(f"{number}.m4s", b"x")
    files = Files(stage.root, capacity=2)

    def name(number):
        return f"{stage.video}/v1/{number}.m4s"

    async def use():
        await files.open(name(0), "m4s")
        await files.open(name(1), "m4s")
        assert files.cached(name(0))
        await files.open(name(2), "m4s")

    asyncio.run(use())
    assert list(files._open) == [name(0), name(2)]
    files.close()


CONTENT = random_bytes(module.CHUNK * 2 + 12_345)


def mapped(files, monkeypatch):
    pass


def never_resident(files, monkeypatch):
    monkeypatch.setattr("streaming.delivery.residency.Mapping.resident", lambda *_: False)


def no_mapping(files, monkeypatch):
    monkeypatch.setattr(module, "map_file", lambda *_: None)


def no_mapping_would_block(files, monkeypatch):
    no_mapping(files, monkeypatch)
    monkeypatch.setattr(os, "preadv", _would_block)


def no_mapping_no_nowait(files, monkeypatch):
    no_mapping(files, monkeypatch)
    monkeypatch.setattr(module, "_NOWAIT", None)


def _would_block(*_):
    raise BlockingIOError(11, "not in the page cache")


WAYS = [mapped, never_resident, no_mapping, no_mapping_would_block, no_mapping_no_nowait]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_reading_sends_the_same(stage, monkeypatch, way):
    way(stage.app._files, monkeypatch)
    stage.publish("big.mp4", CONTENT)

    assert stage.get("big.mp4").body == CONTENT
    part = stage.get("big.mp4", headers={"Range": "bytes=4095-600001"})
    assert part.status == 206
    assert part.body == CONTENT[4095:600_002]


@pytest.mark.parametrize("way", WAYS)
def test_the_event_loop_reads_only_what_is_in_memory(stage, monkeypatch, way):
    """Bytes that are not in memory are read in a thread, all others are not."""
    way(stage.app._files, monkeypatch)
    stage.publish("big.mp4", CONTENT)
    cold = []
    read_cold = Files.read_cold

    async def spy(self, file, offset, length):
        cold.append(offset)
        return await read_cold(self, file, offset, length)

    monkeypatch.setattr(Files, "read_cold", spy)
    stage.get("big.mp4")

    expected = [] if way in (mapped, no_mapping) else [0, module.CHUNK, module.CHUNK * 2]
    assert cold == expected


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="cannot drop pages here")
def test_pages_that_are_not_in_memory_are_recognised(stage):
    """The kernel says that dropped pages are not in memory, and that read ones are."""
    path = stage.publish("big.mp4", CONTENT)
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    file = module.OpenFile(fd, "mp4")
    if file.mapping is None:
        pytest.skip("this kernel does not say what is in memory")
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    if file.mapping.resident(0, len(CONTENT)):
        pytest.skip("this file system keeps its pages")

    assert stage.app._files.read(file, 0, 1000) is None
    os.pread(fd, len(CONTENT), 0)
    assert file.mapping.resident(0, len(CONTENT))
    assert file.mapping.resident(len(CONTENT) - 1, 1)
    assert stage.app._files.read(file, 5000, 1000) == CONTENT[5000:6000]


@pytest.mark.parametrize("way", [mapped, no_mapping])
def test_a_chunk_keeps_its_bytes_while_later_chunks_are_read(stage, monkeypatch, way):
    """A server may hold many chunks of a slow client; reading on must not change them."""
    way(stage.app._files, monkeypatch)
    content = random_bytes(1000 * 60)
    file = module.OpenFile(os.open(stage.publish("big.mp4", content), os.O_RDONLY), "mp4")

    held = [stage.app._files.read(file, start, 1000) for start in range(0, len(content), 1000)]

    assert b"".join(held) == content


def test_for_a_client_that_has_gone_little_more_is_read(stage):
    """A server reports no error for a client that is gone, so the application must notice itself."""
    stage.publish("long.mp4", bytes(40 * 1024 * 1024))
    path = stage.path("long.mp4")
    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(len(message.get("body", b"")))

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "client": (ADDRESS, 1)}
    asyncio.run(stage.app(scope, receive, send))

    assert sum(sent) <= 2 * 1024 * 1024
