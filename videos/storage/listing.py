"""The list of a version's files that never change, with size and SHA-256: an object beside them.

A server of object storage may return other bytes than it was sent. The list makes that visible.
"""

import json
from collections import OrderedDict
from pathlib import Path

from videos.storage.base import VERSIONS, Damaged
from videos.storage.bucket import Bucket
from videos.storage.objects import sha256_of

LISTING = "files.json"  # No file of this kind is ever delivered.
UNCHANGING = (".m4s", ".mp4", ".jpg")
KEPT = 64  # lists in memory: one has 0.1 MB for an hour of video
Facts = dict[str, tuple[int, str]]


def facts_of(folder: Path) -> Facts:
    """Return size and SHA-256 of the files below a folder that never change, by their names in it."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_size, sha256_of(path))
        for path in sorted(folder.rglob("*"))
        if path.suffix in UNCHANGING
    }


class Listings:
    """The lists of versions in a bucket. A version that grows has none."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._known: OrderedDict[str, Facts] = OrderedDict()

    def of(self, version: str) -> Facts | None:
        """Return the list of a version, by the name of its folder; None if it has none."""
        if version not in self._known:
            try:
                content = self._bucket.read(f"{version}/{LISTING}")
            except FileNotFoundError:
                return None
            self._known[version] = {
                name: (each[0], each[1]) for name, each in json.loads(content).items()
            }
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return self._known.get(version)

    def check(self, name: str, copy: Path) -> None:
        """Raise Damaged if the copy of a version's file is not the file that was published."""
        if not name.startswith(f"{VERSIONS}/") or not name.endswith(UNCHANGING):
            return
        version = "/".join(name.split("/")[:3])
        if version.rpartition("/")[2].startswith("g"):
            return
        listed = self.of(version)
        if listed is None:
            return
        expected = listed.get(name.removeprefix(f"{version}/"))
        if expected is None:
            raise Damaged(f"{name} is no file of its version.")
        size = copy.stat().st_size
        if size != expected[0]:
            raise Damaged(f"{name} has {size} of {expected[0]} bytes.")
        if sha256_of(copy) != expected[1]:
            raise Damaged(f"{name} has other bytes than it was published with.")


def encoded(facts: Facts) -> bytes:
    return json.dumps(facts).encode()
