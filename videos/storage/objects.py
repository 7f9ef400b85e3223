"""Facts about objects of a bucket: those of a stored object, and those that a file must have there."""

import errno
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

PART_BYTES = 16 * 1024**2  # larger files are sent in parts, several at a time
MOST_PARTS = 9_000  # S3 allows 10,000
_PLAIN_MD5 = re.compile(r"[0-9a-f]{32}(-\d+)?")


@dataclass(frozen=True)
class Stored:
    """The facts of a stored object. ``changed_at`` is in seconds since 1970."""

    name: str
    size: int
    etag: str
    changed_at: float

    @property
    def time_ns(self) -> int:
        """The time of change of each copy of this object, on every machine: its time and ETag."""
        content = int.from_bytes(hashlib.sha256(self.etag.encode()).digest()[:8], "big")
        return int(self.changed_at) * 1_000_000_000 + content % 1_000_000_000


@dataclass(frozen=True)
class Sent:
    """A file that was sent to the bucket. ``etag`` is what S3 calls its content."""

    name: str
    size: int
    etag: str

    def check(self, stored: Stored, *, strictly: bool = False) -> None:
        """Raise OSError if the server has other content: by its size, and by the MD5 in its ETag.

        ``strictly``: also if its ETag is no MD5.
        """
        # Servers that encrypt have other ETags than MD5, and then only the size can be compared.
        is_md5 = _PLAIN_MD5.fullmatch(stored.etag) and stored.etag.count("-") == self.etag.count(
            "-"
        )
        if stored.size != self.size or ((is_md5 or strictly) and stored.etag != self.etag):
            raise OSError(
                errno.EIO,
                f"{self.name} arrived as {stored.size} of {self.size} bytes, ETag {stored.etag}",
            )


def part_bytes(size: int) -> int:
    """Return the size of the parts in which a file is sent; one that fits into one is sent whole."""
    return max(PART_BYTES, -(-size // MOST_PARTS))


def sent_as(file: Path, name: str) -> Sent:
    """Return what a file would be in the bucket."""
    size = file.stat().st_size
    return Sent(name, size, digests(file, part_bytes(size))[1])


def digests(file: Path, part: int) -> tuple[bytes, str]:
    """Return the MD5 of a file, and the ETag that S3 gives it when it is sent in parts of this size."""
    whole, parts = hashlib.md5(usedforsecurity=False), []
    with file.open("rb") as content:
        while piece := content.read(part):
            whole.update(piece)
            parts.append(hashlib.md5(piece, usedforsecurity=False).digest())
    if len(parts) <= 1:
        return whole.digest(), whole.hexdigest()
    joined = hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest()
    return whole.digest(), f"{joined}-{len(parts)}"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
