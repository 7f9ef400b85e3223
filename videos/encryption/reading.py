"""Reading a version as if it were clear, for what is made from it: posters and automatic captions."""

import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from videos import storage
from videos.encryption import keys, versions
from videos.encryption.playlists import CLEAR
from videos.models import Video
from videos.processing.manifests import PACKAGED
from videos.processing.packager import MASTER
from videos.storage.base import Reading


@contextmanager
def clear(video: Video) -> Iterator[Reading]:
    """Give the folder of the video's current version, as ``storage.store().reading`` does.

    Of an encrypted version it is a folder of copies, which ``bring`` decrypts. After a kill, ``garbage``
    removes it with the uploads. Raises KeyUnknown and NotEncrypted as OSErrors do: in ``bring``.
    """
    version = video.current_version
    with storage.store().reading(storage.version_name(video)) as (folder, bring):
        if not keys.is_encrypted(version):
            yield Reading(folder, bring)
            return
        home = settings.MEDIA_ROOT / "uploads" / f"clear-{uuid.uuid4().hex}"
        storage.make_folder(home)

        def decrypted(paths: Iterable[Path]) -> None:
            for path in paths:
                name = path.relative_to(home).as_posix()
                if path.exists() or name == PACKAGED[MASTER]:  # that is the clear master here
                    continue
                is_playlist = path.suffix == ".m3u8"
                origin = folder / CLEAR / name if is_playlist else folder / name
                bring([origin])
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.suffix == versions.SEGMENT:
                    versions.decrypt(origin, path, video=video.pk, version=version, name=name)
                else:
                    shutil.copyfile(origin, path)

        try:
            yield Reading(home, decrypted)
        finally:
            shutil.rmtree(home, ignore_errors=True)
