"""Files that clients send to the bucket themselves, in parts, to addresses that are signed here."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from types import MappingProxyType

from videos.storage.bucket import Bucket, as_os_errors
from videos.storage.objects import Part, Stored, cors_rule


class Direct:
    """The way of clients into a bucket. Errors are OSErrors, as those of `Bucket`."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def begin(self, name: str) -> str:
        """Begin an upload in parts, and return the bucket's id of it."""
        with as_os_errors(name):
            answer = self._bucket.hasty.create_multipart_upload(
                **self._object(name), ContentType="application/octet-stream"
            )
        upload_id: str = answer["UploadId"]
        return upload_id

    def sign(self, name: str, upload_id: str, number: int, size: int, *, seconds: int) -> str:
        """Return the address to which a client sends one part by PUT, without asking the bucket.

        It is good for a body of this size alone, and for as long as the upload in parts lasts.
        """
        with as_os_errors(name):
            url: str = self._bucket.signing.generate_presigned_url(
                "upload_part",
                Params={
                    **self._object(name),
                    "UploadId": upload_id,
                    "PartNumber": number,
                    "ContentLength": size,
                },
                ExpiresIn=seconds,
            )
        return url

    def parts(
        self,
        name: str,
        upload_id: str,
        *,
        expected: Mapping[int, str] = MappingProxyType({}),
        hastily: bool = False,
    ) -> list[Part]:
        """Return the parts that the bucket has. Raises FileNotFoundError without such an upload.

        SeaweedFS also lists what a part was before it was sent again, so the last one counts; of two of
        the same second, the one with the ETag that is ``expected`` by its number.
        """
        found: dict[int, tuple[tuple[datetime, bool], Part]] = {}
        client = self._bucket.hasty if hastily else self._bucket.client
        pages = client.get_paginator("list_parts").paginate(
            **self._object(name), UploadId=upload_id
        )
        with as_os_errors(name):
            for page in pages:
                for each in page.get("Parts", ()):
                    part = Part(each["PartNumber"], each["Size"], each["ETag"].strip('"'))
                    rank = each["LastModified"], part.etag == expected.get(part.number)
                    if part.number not in found or rank > found[part.number][0]:
                        found[part.number] = rank, part
        return [part for _, (_, part) in sorted(found.items())]

    def assemble(self, name: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Make the object of its parts. Raises FileNotFoundError if that was done, or given up."""
        listed = [{"PartNumber": each.number, "ETag": f'"{each.etag}"'} for each in parts]
        with as_os_errors(name):
            self._bucket.client.complete_multipart_upload(
                **self._object(name), UploadId=upload_id, MultipartUpload={"Parts": listed}
            )

    def find(self, name: str) -> Stored:
        """Return the facts of the object. Raises FileNotFoundError."""
        return self._bucket.find(name)

    def give_up(self, name: str, upload_id: str) -> None:
        """Forget the parts, and let no more be sent. Safe to repeat."""
        with suppress(FileNotFoundError), as_os_errors(name):
            self._bucket.client.abort_multipart_upload(**self._object(name), UploadId=upload_id)

    def allow_origins(self, origins: Sequence[str]) -> None:
        """Let pages of these origins send parts, and read the ETags of the answers (CORS).

        Replaces all CORS rules of the bucket.
        """
        with as_os_errors(self._bucket.bucket):
            self._bucket.client.put_bucket_cors(
                Bucket=self._bucket.bucket, CORSConfiguration={"CORSRules": [cors_rule(origins)]}
            )

    def _object(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket.bucket, "Key": self._bucket.prefix + name}
