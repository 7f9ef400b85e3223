"""Facts about objects of a bucket: those of a stored object, and those that a file must have there."""

import errno
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PART_BYTES = 16 * 1024**2  # larger files are sent in parts, several at a time
MOST_PARTS = 9_000  # S3 allows 10,000
SHA256, _PARTS = "sha256:", "md5-parts:"
_PIECE = 1024 * 1024
_PART_MD5 = re.compile(r"[0-9a-f]{32}")
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
    """A file that was sent to the bucket. ``etag`` is what S3 calls its content; "" if it is unknown."""

    name: str
    size: int
    etag: str

    def check(self, stored: Stored, *, strictly: bool = False) -> None:
        """Raise OSError if the server has other content: by its size, and by the MD5 in its ETag.

        ``strictly``: also if its ETag is no MD5.
        """
        # Servers that encrypt have other ETags than MD5, and then only the size can be compared.
        is_known = self.etag and stored.etag.count("-") == self.etag.count("-")
        is_md5 = is_known and _PLAIN_MD5.fullmatch(stored.etag)
        if stored.size != self.size or ((is_md5 or strictly) and stored.etag != self.etag):
            raise OSError(
                errno.EIO,
                f"{self.name} arrived as {stored.size} of {self.size} bytes, ETag {stored.etag}",
            )


@dataclass(frozen=True)
class Part:
    """A part of an upload, as the bucket has it."""

    number: int
    size: int
    etag: str


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
    return whole.digest(), joint_etag(parts)


def parts_checksum(part: int, etag: str) -> str:
    """Return the checksum of a file whose object was made of parts of this size, by its ETag."""
    return f"{_PARTS}{part}:{etag}"


def has_checksum(path: Path, checksum: str) -> bool:
    """Return whether a file has this checksum: "sha256:<hex>", or one of `parts_checksum`.

    True for one of another kind: there is nothing to compare.
    """
    if checksum.startswith(SHA256):
        return SHA256 + sha256_of(path) == checksum
    if checksum.startswith(_PARTS):
        part, _, etag = checksum.removeprefix(_PARTS).partition(":")
        return etag_of_parts(path, int(part)) == etag
    return True


def etag_of_parts(path: Path, part: int) -> str:
    """Return the ETag that S3 gives an object of parts of this size, also if it is one part."""
    md5s = []
    with path.open("rb") as content:
        for begin in range(0, path.stat().st_size, part):
            of_part = hashlib.md5(usedforsecurity=False)
            while piece := content.read(min(_PIECE, begin + part - content.tell())):
                of_part.update(piece)
            md5s.append(of_part.digest())
    return joint_etag(md5s)


def joint_etag(md5s: list[bytes]) -> str:
    """Return the ETag of an object by the MD5s of its parts."""
    joint = hashlib.md5(b"".join(md5s), usedforsecurity=False).hexdigest()
    return f"{joint}-{len(md5s)}"


def joint_etag_of(parts: Sequence[Part]) -> str:
    """Return the ETag that the object of these parts has; "" where ETags are no MD5."""
    if not all(_PART_MD5.fullmatch(each.etag) for each in parts):  # a server that encrypts
        return ""
    return joint_etag([bytes.fromhex(each.etag) for each in parts])


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cors_rule(origins: Sequence[str]) -> dict[str, object]:
    """Return the one rule that direct uploads from pages need."""
    return {
        "AllowedOrigins": [*origins],
        "AllowedMethods": ["PUT"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 3600,
    }
