"""Reading a version as if it were clear, for what is made from it: posters and automatic captions."""

import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from django.conf import settings

from videos import storage
from videos.encryption import common, keys, versions
from videos.encryption.playlists import CLEAR
from videos.models import Video
from videos.processing.manifests import PACKAGED
from videos.processing.packager import MASTER
from videos.storage.base import Reading

INIT = "init.mp4"


@contextmanager
def clear(video: Video) -> Iterator[Reading]:
    """Give the folder of the video's current version, as ``storage.store().reading`` does.

    Of an encrypted version it is a folder of copies, which ``bring`` decrypts. After a kill, ``garbage``
    removes it with the uploads. Raises KeyUnknown and NotEncrypted as OSErrors do: in ``bring``.
    Segments of common encryption are opened with one run for each call and track, so bring all at once.
    """
    version = video.current_version
    with storage.store().reading(storage.version_name(video)) as (folder, bring):
        if not keys.is_encrypted(version):
            yield Reading(folder, bring)
            return
        home = settings.MEDIA_ROOT / "uploads" / f"clear-{uuid.uuid4().hex}"
        storage.make_folder(home)

        is_common = keys.is_common(version)

        def decrypted(paths: Iterable[Path]) -> None:
            wanted = [path for path in paths if not path.exists()]
            segments = [path for path in wanted if is_common and path.suffix == versions.SEGMENT]
            for path in wanted:
                name = path.relative_to(home).as_posix()
                if path in segments:
                    continue
                if not is_common and name == PACKAGED[MASTER]:  # that is the clear master here
                    continue
                is_kept = path.suffix == ".m3u8" and not is_common
                origin = folder / CLEAR / name if is_kept else folder / name
                bring([origin])
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.suffix == versions.SEGMENT:
                    versions.decrypt(origin, path, video=video.pk, version=version, name=name)
                else:
                    shutil.copyfile(origin, path)
            for track, of_track in groupby(segments, key=lambda path: path.parent):
                open_track(track, list(of_track))

        def open_track(track: Path, paths: list[Path]) -> None:
            at = folder / track.relative_to(home)
            origins = [at / path.name for path in paths]
            bring([at / INIT, *origins])
            made = common.open_segments(
                at / INIT,
                origins,
                home / f".{track.name}",
                video=video.pk,
                version=version,
                segment_seconds=video.segment_seconds,
            )
            track.mkdir(exist_ok=True)
            for source, path in zip(made, [track / INIT, *paths], strict=True):
                source.replace(path)
            shutil.rmtree(home / f".{track.name}")

        try:
            yield Reading(home, decrypted)
        finally:
            shutil.rmtree(home, ignore_errors=True)
