"""`manage.py move_storage`, there and back, killed on the way, while every video is played."""

import hashlib
import os
import shutil
import threading
import time
from datetime import timedelta
from functools import partial

import httpx
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

pytest.importorskip("boto3", reason="missing: boto3")

from accounts import tokens
from videos import doctor, storage
from videos.models import ProcessingJob, Video
from videos.services import catalogue, moving
from videos.tests import processes
from videos.tests.buckets import SeaweedFS, emptied, running, use
from videos.tests.fixtures import drop_early
from videos.tests.processes import wait_for

pytestmark = [pytest.mark.s3, pytest.mark.django_db(transaction=True)]
API = "/api/v1"
VIDEOS = int(os.environ.get("MOVE_VIDEOS", "12"))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(SeaweedFS, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def bucket(server):
    return emptied(server)


@pytest.fixture
def videos(media, uploaded_video, clip, process_stage, creator) -> list[Video]:
    """Published videos in MEDIA_DIR, with sources, the first also with a poster of its own."""
    while process_stage() is not None:
        pass
    first = Video.objects.get()
    drop_early(first)
    checksum = f"sha256:{hashlib.sha256(clip.read_bytes()).hexdigest()}"
    Video.objects.update(source_checksum=checksum)
    for number in range(VIDEOS - 1):
        other = catalogue.create_video(creator=creator, title=f"Copy {number}")
        path = f"sources/{other.pk}/{number:032x}/source"
        (media / path).parent.mkdir(parents=True)
        shutil.copyfile(first.source, media / path)
        shutil.copytree(first.version_folder, media / storage.version_name(other, "0123456789ab"))
        fields = ("renditions", "duration_seconds", "width", "height", "audio_tracks")
        Video.objects.filter(pk=other.pk).update(
            source_path=path,
            source_size=first.source_size,
            source_checksum=checksum,
            status="READY",
            current_version="0123456789ab",
            published_at=timezone.now(),
            **{name: getattr(first, name) for name in fields},
        )
    poster = media / storage.poster_name(first, "abcdefabcdef")
    poster.parent.mkdir(parents=True)
    shutil.copyfile(first.version_folder / "poster.jpg", poster)
    Video.objects.filter(pk=first.pk).update(poster_tag="abcdefabcdef")
    ProcessingJob.objects.update(finished_at=timezone.now() - timedelta(days=9))
    return list(Video.objects.order_by("created_at"))


class Audience:
    """Plays all videos, again and again, and keeps what went wrong."""

    def __init__(self, port: int, user, videos) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {tokens.issue(user).access}"},
            follow_redirects=True,
            timeout=60,
        )
        self.wrong: list[tuple[str, int]] = []
        self.rounds = 0
        self._stop = threading.Event()
        self._roots = {video.pk: self._start(video.pk) for video in videos}
        self._known = {pk: self.play(pk) for pk in self._roots}
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _start(self, pk) -> str:
        token = self._http.get(f"{self._base}{API}/stream/{pk}").json()["stream_url"]
        return str(self._http.get(f"{self._base}{API}{token.partition(API)[2]}").url).rpartition(
            "/"
        )[0]

    def play(self, pk) -> dict[str, bytes]:
        root, found = self._roots[pk], {}
        names = [
            "master.m3u8",
            "manifest.mpd",
            "180p.m3u8",
            "180p/init.mp4",
            "180p/1.m4s",
            "poster.jpg",
        ]
        for name in names:
            answer = self._http.get(f"{root}/{name}")
            if answer.status_code != 200:
                self.wrong.append((name, answer.status_code))
            found[name] = answer.content
        picture = self._http.get(f"{self._base}{API}/videos/{pk}/poster")
        if picture.status_code != 200:
            self.wrong.append((f"poster of {pk}", picture.status_code))
        return {**found, "chosen": picture.content}

    def _run(self) -> None:
        while not self._stop.is_set():
            for pk in self._roots:
                if self.play(pk) != self._known[pk]:
                    self.wrong.append((str(pk), 0))
            self.rounds += 1

    def end(self) -> None:
        self._stop.set()
        self._thread.join()


def digests(folder) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for kind in ("videos", "sources", "posters")
        for path in (folder / kind).rglob("[!.]*")
        if path.is_file()
    }


def stored(bucket) -> dict[str, str]:
    return {
        each.name: hashlib.sha256(bucket.read(each.name)).hexdigest()
        for kind in ("videos/", "sources/", "posters/")
        for each in bucket.entries(kind)
        if not each.name.endswith("/files.json")
    }


def move(environment, left, *, kills: int) -> None:
    """Run the command to its end. Kill it ``kills`` times before, when it has moved something."""
    for _ in range(kills):
        before = left()
        process = processes.start("move_storage", **environment)
        wait_for(partial(_is_less, left, before))
        time.sleep(0.15)
        assert process.poll() is None, processes.log()[-3000:]
        processes.end(process)
    process = processes.start("move_storage", **environment)
    assert process.wait(300) == 0, processes.log()[-3000:]


def _is_less(left, before: int) -> bool:
    return left() < before


def test_there_and_back(server, bucket, settings, videos, media, creator):
    before = digests(media)
    settings_of = server.settings()
    use(settings, server, is_new=False)

    with processes.web(**settings_of) as (_, port):
        audience = Audience(port, creator, videos)
        try:
            move(settings_of, lambda: len(list(media.glob("videos/*/*"))), kills=2)
        finally:
            audience.end()
    assert (audience.wrong, audience.rounds > 1) == ([], True)
    assert stored(bucket) == before
    assert digests(media) == {}

    home = {**settings_of, "STORAGE": "local"}
    settings.STORAGE = "local"
    with processes.web(**home) as (_, port):
        audience = Audience(port, creator, videos)
        try:
            move(home, lambda: len(list(bucket.entries("videos/"))), kills=2)
        finally:
            audience.end()
    assert (audience.wrong, audience.rounds > 1) == ([], True)
    assert digests(media) == before
    assert stored(bucket) == {}


def test_what_is_in_work_or_damaged_stays(server, bucket, settings, videos, media, capsys):
    busy, damaged = videos[1], videos[2]
    use(settings, server, is_new=False)
    assert [finding.level.name for finding in doctor.bucket()] == ["WARNING", "OK"]
    ProcessingJob.objects.create(
        key="again",
        video=busy,
        creator=busy.creator,
        source_path=busy.source_path,
        stage=ProcessingJob.Stage.AGAIN,
    )
    (media / damaged.source_path).write_bytes(b"not what was uploaded")

    with pytest.raises(CommandError, match="3 left"):
        call_command("move_storage")

    left = {path.parent.name for path in media.glob("videos/*/*")}
    assert left == {str(busy.pk)}
    assert (media / damaged.source_path).is_file()
    said = capsys.readouterr().err
    assert "is being processed" in said
    assert "the source has 21 of" in said
    ProcessingJob.objects.filter(key="again").delete()
    shutil.copyfile(media / busy.source_path, media / damaged.source_path)
    call_command("move_storage")
    assert list(moving.waiting()) == []


def test_texts_that_change_while_they_move_arrive(server, bucket, settings, videos, monkeypatch):
    from videos.presentation import captioning, cues
    from videos.storage.s3 import S3Store

    video = videos[0]
    use(settings, server, is_new=False)
    take = S3Store.take

    def change_meanwhile(self, folder, name):
        take(self, folder, name)
        if name == storage.version_name(video):
            read = cues.read(b"1\n00:00:00,000 --> 00:00:01,500\nHello\n")
            captioning.add_caption(video=video, actor=video.creator, language="en", cues=read)

    monkeypatch.setattr(S3Store, "take", change_meanwhile)
    call_command("move_storage")

    assert 'LANGUAGE="en"' in bucket.read(f"{storage.version_name(video)}/master.m3u8").decode()


def test_with_one_store_there_is_nothing_to_move(db, media, capsys):
    call_command("move_storage")
    assert "Nothing to move" in capsys.readouterr().out


@pytest.mark.parametrize("to", ["s3", "local"])
def test_a_file_that_moves_while_it_is_asked_for_is_found(
    server, bucket, settings, videos, media, monkeypatch, to
):
    video = videos[0]
    name, before = f"{video.pk}/{video.current_version}/180p/1.m4s", digests(media)
    use(settings, server, is_new=False)
    if to == "local":
        call_command("move_storage")
    settings.STORAGE = to
    store = moving.stores()
    root, bring = store.delivered()
    looks: list[bool] = []
    is_local = type(store).is_local

    def move_after_the_look(self, looked_up):
        found = is_local(self, looked_up)
        if not looks:
            looks.append(found)
            call_command("move_storage")
        return found

    monkeypatch.setattr(type(store), "is_local", move_after_the_look)
    assert bring is not None
    bring(name)

    digest = hashlib.sha256((root / name).read_bytes()).hexdigest()
    assert (looks, digest) == ([to == "s3"], before[f"videos/{name}"])
