"""A bucket of an S3-compatible object storage, by boto3: whole files in and out, each one checked.

All errors are OSErrors, as if the bucket were a disk: FileNotFoundError for an object that is not there,
EHOSTDOWN for a server that does not answer or refuses this service as a whole, ESTALE for an object that
was replaced while it was read.
"""

import errno
import itertools
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from videos.storage.base import VERSIONS
from videos.storage.objects import Sent, Stored, digests, part_bytes

CONTENT_TYPES = {
    "m3u8": "application/vnd.apple.mpegurl",
    "mpd": "application/dash+xml",
    "mp4": "video/mp4",
    "m4s": "video/iso.segment",
    "vtt": "text/vtt",
    "jpg": "image/jpeg",
    "json": "application/json",
}
PIECE = 1024 * 1024
CONNECTIONS = 32
# Of a download that breaks: it goes on where it broke, as long as each attempt brings something.
ATTEMPTS, PAUSE_SECONDS = 5, 0.5
_MISSING = {"NoSuchKey", "NoSuchUpload", "404", "NotFound"}


class Bucket:
    """The objects below a prefix of a bucket, by the rest of their keys.

    Safe in threads, but a child process needs its own.
    """

    def __init__(
        self,
        *,
        bucket: str,
        prefix: str = "",
        endpoint: str = "",
        region: str = "us-east-1",
        access_key: str = "",
        secret_key: str = "",
        path_style: bool = True,
        public_endpoint: str = "",
    ) -> None:
        self.bucket, self.prefix = bucket, prefix
        self._public_endpoint = public_endpoint
        self._options: dict[str, Any] = {
            "endpoint_url": endpoint or None,
            "region_name": region,
            "aws_access_key_id": access_key or None,
            "aws_secret_access_key": secret_key or None,
        }
        self._style = {"addressing_style": "path" if path_style else "virtual"}

    def _new_client(
        self, *, timeout: float, attempts: int, endpoint: str = "", **options: Any
    ) -> Any:
        config = Config(
            connect_timeout=min(5.0, timeout),
            read_timeout=timeout,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=CONNECTIONS,
            s3=self._style,
            # Checksums of newer kinds are not known to all servers; each upload has its MD5 instead.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            **options,
        )
        places = {**self._options, "endpoint_url": endpoint or self._options["endpoint_url"]}
        return boto3.session.Session().client("s3", config=config, **places)

    @cached_property
    def client(self) -> Any:
        return self._new_client(timeout=30.0, attempts=5)

    @cached_property
    def hasty(self) -> Any:
        """A client for looks at the server's health, whose answers must not wait."""
        return self._new_client(timeout=2.0, attempts=1)

    @cached_property
    def signing(self) -> Any:
        """A client that signs addresses for people's clients, under the host that they can reach."""
        return self._new_client(
            timeout=2.0, attempts=1, endpoint=self._public_endpoint, signature_version="s3v4"
        )

    # --- looking ----------------------------------------------------------------------------------

    def find(self, name: str, *, hastily: bool = False) -> Stored:
        """Return the facts of an object. Raises FileNotFoundError."""
        client = self.hasty if hastily else self.client
        with as_os_errors(name):
            answer = client.head_object(Bucket=self.bucket, Key=self.prefix + name)
        return _stored(name, answer)

    def entries(self, name: str) -> Iterator[Stored]:
        """Yield all objects whose names begin with ``name``, in their order."""
        for page in self._pages(name):
            for each in page.get("Contents", ()):
                yield Stored(
                    name=each["Key"].removeprefix(self.prefix),
                    size=each["Size"],
                    etag=each["ETag"].strip('"'),
                    changed_at=each["LastModified"].timestamp(),
                )

    def folders(self, name: str) -> Iterator[str]:
        """Yield the names of the folders and objects right below a folder, without a last slash."""
        for page in self._pages(name.rstrip("/") + "/", Delimiter="/"):
            for each in page.get("CommonPrefixes", ()):
                yield each["Prefix"].removeprefix(self.prefix).rstrip("/")
            for each in page.get("Contents", ()):
                yield each["Key"].removeprefix(self.prefix)

    def _pages(self, name: str, **options: str) -> Iterator[dict[str, Any]]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix + name, **options
        )
        with as_os_errors(name):
            yield from pages

    def strangers_may(self) -> list[str]:
        """Return what somebody without a key may do: "list" the objects, "read" or "write" one."""
        client = self._new_client(timeout=5.0, attempts=1, signature_version=UNSIGNED)
        # Encrypted segments may be public (CDN_URL); the playlists beside them never are.
        versions = itertools.islice(self.entries(f"{VERSIONS}/"), 100)
        texts = (each.name for each in versions if each.name.endswith(".m3u8"))
        first = (each.name for each in self.entries(""))
        names = {next(first, None), next(texts, None)} - {None}
        found = []
        with suppress(ClientError):  # refused, as it should be
            if client.list_objects_v2(Bucket=self.bucket, MaxKeys=1):
                found.append("list")
        for name in names:
            with suppress(ClientError):
                if client.head_object(Bucket=self.bucket, Key=f"{self.prefix}{name}"):
                    found.append("read")
        name = f".stranger-{uuid.uuid4().hex}"
        with suppress(ClientError):
            client.put_object(Bucket=self.bucket, Key=self.prefix + name, Body=b"")
            found.append("write")
            self.delete(name)
        return list(dict.fromkeys(found))

    # --- putting ----------------------------------------------------------------------------------

    def put(self, file: Path, name: str) -> Sent:
        """Store a file under a name. ``Sent.check`` tells then whether all of it has arrived."""
        size = file.stat().st_size
        part = part_bytes(size)
        md5, etag = digests(file, part)
        kind = CONTENT_TYPES.get(name.rpartition(".")[2], "application/octet-stream")
        key = self.prefix + name
        with as_os_errors(name):
            if size <= part:
                with file.open("rb") as body:
                    self.client.put_object(
                        Bucket=self.bucket,
                        Key=key,
                        Body=body,
                        ContentLength=size,
                        ContentType=kind,
                        ContentMD5=b64encode(md5).decode(),
                    )
            else:
                self.client.upload_file(
                    str(file),
                    self.bucket,
                    key,
                    ExtraArgs={"ContentType": kind},
                    Config=TransferConfig(
                        multipart_threshold=part, multipart_chunksize=part, max_concurrency=4
                    ),
                )
        return Sent(name, size, etag)

    def write(self, name: str, content: bytes) -> None:
        """Store a short text under a name."""
        with as_os_errors(name):
            self.client.put_object(
                Bucket=self.bucket,
                Key=self.prefix + name,
                Body=content,
                ContentType=CONTENT_TYPES.get(name.rpartition(".")[2], "text/plain"),
            )

    # --- getting ----------------------------------------------------------------------------------

    def read(self, name: str) -> bytes:
        """Return the content of a short object."""
        with as_os_errors(name):
            body = self.client.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"]
            content: bytes = body.read()
        return content

    def download(
        self,
        name: str,
        file: Path,
        *,
        etag: str = "",
        attempts: int = ATTEMPTS,
        on_bytes: Callable[[int, int], None] = lambda done, size: None,
    ) -> Stored:
        """Write an object into a file, and return its facts.

        What the file has already is the beginning of the object with this ``etag``; without one the file
        begins anew. A connection that breaks is taken up where it broke, until ``attempts`` in a row
        have brought nothing. ``on_bytes`` is called with the
        bytes so far and the size of the object; an exception in it leaves the file as it is.
        """
        stored: Stored | None = None
        failures = 0
        with file.open("r+b" if file.exists() else "xb") as target:
            offset = target.seek(0, 2) if etag else 0
            target.truncate(offset)
            while stored is None or offset < stored.size:
                before = offset
                try:
                    with as_os_errors(name):
                        stored, body = self._get(name, offset, etag)
                        etag = stored.etag
                        while piece := body.read(PIECE):
                            target.write(piece)
                            offset += len(piece)
                            on_bytes(offset, stored.size)
                    if offset == before < stored.size:
                        raise OSError(errno.EHOSTDOWN, f"{name} ended at {offset} bytes")
                except OSError as error:
                    if error.errno != errno.EHOSTDOWN:
                        raise
                    failures = 0 if offset > before else failures + 1
                    if failures == attempts:
                        raise
                    time.sleep(PAUSE_SECONDS * failures)
        return stored

    def _get(self, name: str, offset: int, etag: str) -> tuple[Stored, Any]:
        """Return the facts of an object, and its bytes from ``offset`` on.

        Raises OSError (ESTALE) for an object with another ETag.
        """
        options = {"Bucket": self.bucket, "Key": self.prefix + name}
        if offset:
            found = self.find(name)
            if found.etag != etag or offset > found.size:
                raise OSError(errno.ESTALE, f"{name} was replaced while it was read")
            if offset == found.size:
                return found, _Empty()
            options |= {"Range": f"bytes={offset}-", "IfMatch": f'"{etag}"'}
        answer = self.client.get_object(**options)
        stored = _stored(name, answer)
        if offset:
            total = int(answer["ContentRange"].rpartition("/")[2])
            stored = Stored(name, total, stored.etag, stored.changed_at)
        return stored, answer["Body"]

    # --- removing ---------------------------------------------------------------------------------

    def remove(self, name: str) -> int:
        """Remove all objects whose names begin with ``name``, and return their number."""
        count = 0
        for batch in _batches(each.name for each in self.entries(name)):
            with as_os_errors(name):
                answer = self.client.delete_objects(
                    Bucket=self.bucket,
                    Delete={
                        "Objects": [{"Key": self.prefix + each} for each in batch],
                        "Quiet": True,
                    },
                )
            if refused := answer.get("Errors"):
                raise OSError(errno.EACCES, f"{refused[0]['Key']}: {refused[0].get('Message')}")
            count += len(batch)
        return count

    def delete(self, name: str) -> None:
        """Remove one object. Safe to repeat."""
        with as_os_errors(name):
            self.client.delete_object(Bucket=self.bucket, Key=self.prefix + name)

    def abort_uploads(self, older_than: float, keep: Collection[str] = ()) -> int:
        """Give up uploads in parts that began before a time, but those with the ids ``keep``.

        Return their number.
        """
        count = 0
        pages = self.client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self.bucket, Prefix=self.prefix
        )
        with as_os_errors("uploads in parts"):
            for page in pages:
                for each in page.get("Uploads", ()):
                    is_old = each["Initiated"].timestamp() < older_than
                    if is_old and each["UploadId"] not in keep:
                        self.client.abort_multipart_upload(
                            Bucket=self.bucket, Key=each["Key"], UploadId=each["UploadId"]
                        )
                        count += 1
        return count


class _Empty:
    """The rest of an object that is complete."""

    def read(self, amount: int) -> bytes:
        return b""


def _stored(name: str, answer: dict[str, Any]) -> Stored:
    return Stored(
        name=name,
        size=answer["ContentLength"],
        etag=answer["ETag"].strip('"'),
        changed_at=answer["LastModified"].timestamp(),
    )


def _batches(names: Iterator[str]) -> Iterator[list[str]]:
    batch = []
    for name in names:
        batch.append(name)
        if len(batch) == 1000:  # S3's limit
            yield batch
            batch = []
    if batch:
        yield batch


@contextmanager
def as_os_errors(name: str) -> Iterator[None]:
    """Turn errors of boto3 into OSErrors; errors of the disk pass through."""
    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        code = str(told.get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        said = f"{name}: {code or status} {told.get('Message', '')}".strip()
        if code in _MISSING:
            raise FileNotFoundError(errno.ENOENT, said) from error
        if status == 412:
            raise OSError(errno.ESTALE, said) from error
        if code == "EntityTooLarge" or status == 507:
            raise OSError(errno.ENOSPC, said) from error
        # Wrong keys, a bucket that is not there, 5xx: all objects are away, until an operator helps.
        raise OSError(errno.EHOSTDOWN, said) from error
    except (BotoCoreError, Boto3Error) as error:
        raise OSError(errno.EHOSTDOWN, f"{name}: {error}") from error
