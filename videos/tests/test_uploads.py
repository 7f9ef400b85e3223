"""Uploading a file in one request: stored files, refused files, and that a refusal leaves no trace."""

import hashlib
import io
import shutil
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from videos.models import ProcessingJob, Video

pytestmark = pytest.mark.django_db
URL = "/api/v1/videos/"
_LEASE = timedelta(seconds=30)


def errors(response) -> list[tuple]:
    return [(error["attr"], error["code"]) for error in response.json()["errors"]]


def file_named(name="video.mp4", content=b"0123456789"):
    return SimpleUploadedFile(name, content, "video/mp4")


def multipart(**fields) -> bytes:
    return encode_multipart(BOUNDARY, fields)


def part(disposition: str, content: bytes, *headers: str) -> bytes:
    head = "\r\n".join([f"--{BOUNDARY}", f"Content-Disposition: {disposition}", *headers, "", ""])
    return head.encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


@pytest.fixture
def draft(make_video, creator, media):
    return make_video(creator=creator, ready=False)


@pytest.fixture
def put(client_for, draft):
    """PUT raw bytes as the draft's file."""

    def send(body: bytes, *, content_type=MULTIPART_CONTENT, user=draft.creator, **extra):
        client = client_for(user)
        client.raise_request_exception = False  # a 503 is an answer
        return client.generic(
            "PUT", f"{URL}{draft.pk}/file", body, content_type=content_type, **extra
        )

    return send


@pytest.fixture
def nothing_stored(draft, media, trail):
    """Assert that a refusal left the video and the disk as they were."""

    def check():
        draft.refresh_from_db()
        assert (draft.status, draft.source_path, draft.source_size) == ("CREATED", "", None)
        assert Video.objects.count() == 1
        assert not ProcessingJob.objects.exists()
        assert trail(draft.pk) == []
        assert media.files() == []

    return check


class TestStored:
    def test_a_real_video_with_its_size_and_checksum(self, client_for, creator, media, clip, trail):
        content = clip.read_bytes()
        with clip.open("rb") as file:
            form = {"title": "The harbour", "file": file, "tags": ["fog", "night"]}
            response = client_for(creator).post(URL, form, format="multipart")

        shown = response.json()
        assert (response.status_code, shown["status"]) == (201, "UPLOADED")
        assert shown["source"] == {
            "filename": "clip.mp4",
            "size": len(content),
            "checksum": f"sha256:{hashlib.sha256(content).hexdigest()}",
            "container": "", "video_codec": "", "audio_codec": "", "notes": [],
        }  # fmt: skip
        assert shown["tags"] == ["fog", "night"]
        assert shown["processing"]["queue_position"] == 1
        video = Video.objects.get()
        assert media.files() == [video.source_path]
        assert video.source.read_bytes() == content
        assert ProcessingJob.objects.values_list("source_path", "state").get() == (
            video.source_path,
            "queued",
        )
        assert trail(video.pk) == ["video.created", "video.uploaded"]

    def test_a_file_for_a_video_that_has_none(self, put, draft, media):
        response = put(multipart(file=file_named()))

        assert (response.status_code, response.json()["status"]) == (200, "UPLOADED")
        draft.refresh_from_db()
        assert media.files() == [draft.source_path]
        assert (draft.source_size, draft.source.read_bytes()) == (10, b"0123456789")

    def test_an_administrator_uploads_for_another(self, put, admin, draft):
        assert put(multipart(file=file_named()), user=admin).status_code == 200
        draft.refresh_from_db()
        assert (draft.status, draft.creator_id == admin.pk) == ("UPLOADED", False)

    def test_the_response_tells_the_place_in_the_queue(self, put, client_for, creator, media):
        for _ in range(2):
            client_for(creator).post(URL, {"title": "x", "file": file_named()}, format="multipart")

        assert put(multipart(file=file_named())).json()["processing"]["queue_position"] == 3

    @pytest.mark.parametrize(
        ("sent", "shown"),
        [
            ("../../etc/passwd", "passwd"),
            ("C:\\\\videos\\\\night.mp4", "night.mp4"),
            ("a\x00b.mp4", "ab.mp4"),
            ("con.mp4", "con.mp4"),
            ("-i.mp4", "-i.mp4"),
            ("\u202e4pm.exe", "4pm.exe"),
            ("x" * 600 + ".mp4", "x" * 255),
            ("%2e%2e%2fpasswd", "%2e%2e%2fpasswd"),
            ("<script>.mp4", "<script>.mp4"),
            ("video.m3u8", "video.m3u8"),
            ("🎬.mp4", "🎬.mp4"),
        ],
    )
    def test_a_file_name_is_text_and_never_a_path(self, sent, shown, put, draft, media):
        body = part(f'form-data; name="file"; filename="{sent}"', b"video") + END
        response = put(body)

        assert response.status_code == 200
        assert response.json()["source"]["filename"] == shown
        draft.refresh_from_db()
        assert media.files() == [draft.source_path]
        assert draft.source.name == "source"

    @pytest.mark.parametrize(
        ("sent", "shown"),
        [
            ("filename*=UTF-8''na%C3%AFve%20%F0%9F%8E%AC.mp4", "naïve 🎬.mp4"),
            ("filename=\"x.mp4\"; filename*=utf-8'de'%c3%a4.mp4", "ä.mp4"),
            ("FILENAME* = iso-8859-1''%E4.mp4", "ä.mp4"),
            ("filename*=UTF-8''" + "%C3%A4" * 600 + ".mp4", "ä" * 255),
            ("filename*=UTF-8''" + "%F0%9F%8E%AC" * 300, "🎬" * 255),
            ("filename*=UTF-8''..%2F..%5Cpasswd", "passwd"),
            ("filename=\"a; filename*=UTF-8''b.mp4\"", "a; filename*=UTF-8''b.mp4"),
            ('filename="say %22hi%22.mp4"', 'say "hi".mp4'),  # as browsers send it
        ],
    )
    def test_an_extended_file_name_is_read(self, sent, shown, put, media):
        response = put(part(f'form-data; name="file"; {sent}', b"video") + END)

        assert response.status_code == 200, response.content
        assert response.json()["source"]["filename"] == shown


class TestRefused:
    @pytest.mark.parametrize("value", ["x", "UTF-8''%ff", "x''y", "''y", "utf-8'x", "UTF-8''%C3"])
    def test_an_extended_file_name_that_cannot_be_read(self, value, put, nothing_stored):
        response = put(part(f'form-data; name="file"; filename*={value}', b"video") + END)

        assert (response.status_code, errors(response)) == (400, [(None, "parse_error")])
        nothing_stored()

    @pytest.mark.parametrize("fields", [("file", "file"), ("other", "file"), ("file", "other")])
    def test_a_file_that_would_be_dropped(self, fields, put, nothing_stored):
        parts = [part(f'form-data; name="{name}"; filename="f.mp4"', b"video") for name in fields]
        response = put(b"".join(parts) + END)

        assert (response.status_code, errors(response)) == (400, [(None, "parse_error")])
        assert "file" in response.json()["errors"][0]["detail"]
        nothing_stored()

    def test_an_empty_file(self, put, nothing_stored):
        response = put(multipart(file=file_named(content=b"")))

        assert (response.status_code, errors(response)) == (400, [("file", "empty")])
        nothing_stored()

    def test_an_empty_file_creates_no_video(self, client_for, creator, media):
        form = {"title": "A video", "file": file_named(content=b"")}
        response = client_for(creator).post(URL, form, format="multipart")

        assert (response.status_code, errors(response)) == (400, [("file", "empty")])
        assert not Video.objects.exists()
        assert media.files() == []

    def test_a_form_whose_other_fields_are_wrong(self, client_for, creator, media):
        form = {"title": "A video", "is_paid": "true", "file": file_named()}
        response = client_for(creator).post(URL, form, format="multipart")

        assert (response.status_code, errors(response)) == (400, [("price", "required")])
        assert not Video.objects.exists()
        assert media.files() == []

    @pytest.mark.parametrize("name", ["", ".", ".."])
    def test_a_file_without_a_name(self, name, put, nothing_stored):
        response = put(part(f'form-data; name="file"; filename="{name}"', b"video") + END)

        assert (response.status_code, errors(response)[0][0]) == (400, "file")
        nothing_stored()

    def test_a_form_without_a_file(self, put, nothing_stored):
        response = put(multipart(title="x"))

        assert (response.status_code, errors(response)) == (400, [("file", "required")])
        nothing_stored()

    def test_a_file_that_is_too_large_before_it_is_read(self, put, settings, nothing_stored):
        settings.UPLOAD_MAX_BYTES = 1000
        unread = io.BytesIO(b"")

        response = put(b"", CONTENT_LENGTH=str(3 * 1024**2), **{"wsgi.input": unread})

        assert (response.status_code, errors(response)) == (413, [(None, "too_large")])
        nothing_stored()

    def test_a_file_that_grows_too_large_on_the_way(self, put, settings, nothing_stored):
        settings.UPLOAD_MAX_BYTES = 500_000

        response = put(multipart(file=file_named(content=bytes(500_001))))

        assert (response.status_code, errors(response)) == (413, [(None, "too_large")])
        nothing_stored()
        assert put(multipart(file=file_named(content=bytes(500_000)))).status_code == 200

    def test_more_than_the_disk_can_hold(self, put, settings, media, nothing_stored):
        settings.STORAGE_RESERVE_BYTES = shutil.disk_usage(media).free + 1024**3

        response = put(multipart(file=file_named()))

        assert (response.status_code, errors(response)) == (503, [(None, "storage_full")])
        assert response["Retry-After"] == "300"
        nothing_stored()

    def test_a_body_that_ends_too_early(self, put, nothing_stored):
        body = multipart(file=file_named(content=bytes(100_000)))

        for end in (len(body) // 2, len(body) - 1):
            response = put(
                b"", CONTENT_LENGTH=str(len(body)), **{"wsgi.input": io.BytesIO(body[:end])}
            )
            assert (response.status_code, errors(response)) == (
                400,
                [("file", "upload_interrupted")],
            )
            nothing_stored()

    def test_a_body_that_breaks_off(self, put, nothing_stored):
        class Broken(io.BytesIO):
            def read(self, size=-1):
                data = super().read(size)
                if not data:
                    raise ConnectionResetError
                return data

        body = multipart(file=file_named(content=bytes(3_000_000)))[:2_500_000]

        response = put(b"", CONTENT_LENGTH="3000000", **{"wsgi.input": Broken(body)})

        assert (response.status_code, errors(response)) == (400, [("file", "upload_interrupted")])
        nothing_stored()

    def test_a_part_whose_encoding_breaks(self, put, nothing_stored):
        head = 'form-data; name="file"; filename="f.mp4"'
        good = b"QUJD" * 500_000
        body = part(head, good + b"!" * 99_999, "Content-Transfer-Encoding: base64") + END

        assert put(body).status_code == 400
        nothing_stored()

    def test_a_file_name_of_ten_kilobytes(self, put, nothing_stored):
        head = f'form-data; name="file"; filename="{"x" * 10_000}"'

        assert put(part(head, b"video") + END).status_code == 400
        nothing_stored()

    def test_too_many_files(self, put, nothing_stored):
        one = part('form-data; name="file"; filename="f.mp4"', b"video")

        assert put(one * 6 + END).status_code == 400
        nothing_stored()

    def test_a_null_character_in_a_field(self, client_for, creator, media):
        form = {"title": "A\x00video", "file": file_named()}
        response = client_for(creator).post(URL, form, format="multipart")

        assert response.status_code == 400
        assert not Video.objects.exists()
        assert media.files() == []

    def test_a_field_that_is_not_utf8(self, client_for, creator, media):
        """A title in another character set is refused: it would be stored with signs in its place."""
        form = part('form-data; name="title"', "Grüße".encode("latin-1"))
        form += part('form-data; name="file"; filename="f.mp4"', b"video") + END
        response = client_for(creator).generic("POST", URL, form, content_type=MULTIPART_CONTENT)

        assert (response.status_code, errors(response)) == (400, [(None, "parse_error")])
        assert not Video.objects.exists()
        assert media.files() == []

    @pytest.mark.parametrize("length", ["", None])
    def test_a_body_of_unknown_length(self, length, put, nothing_stored):
        response = put(multipart(file=file_named()), CONTENT_LENGTH=length or "")

        assert (response.status_code, errors(response)) == (411, [(None, "length_required")])
        nothing_stored()

    @pytest.mark.parametrize("length", ["many", "-1", "1e3", "٣"])
    def test_a_length_that_is_no_number(self, length, put, nothing_stored):
        assert put(multipart(file=file_named()), CONTENT_LENGTH=length).status_code == 400
        nothing_stored()

    @pytest.mark.parametrize(
        "content_type", ["application/json", "video/mp4", "text/plain", "application/octet-stream"]
    )
    def test_another_kind_of_body(self, content_type, put, nothing_stored):
        response = put(b'{"file": "x"}', content_type=content_type)

        assert (response.status_code, errors(response)) == (415, [(None, "unsupported_media_type")])
        nothing_stored()

    @pytest.mark.parametrize(
        "content_type", ["multipart/form-data", "multipart/form-data; boundary="]
    )
    def test_a_form_without_a_boundary(self, content_type, put, nothing_stored):
        assert put(multipart(file=file_named()), content_type=content_type).status_code == 400
        nothing_stored()

    @pytest.mark.parametrize(("who", "status"), [("anonymous", 401), ("viewer", 404)])
    def test_strangers_before_their_body_is_read(self, who, status, put, viewer, nothing_stored):
        class Unread(io.BytesIO):
            def read(self, *args):
                raise AssertionError("the body was read")

        user = viewer if who == "viewer" else None
        extra = {"CONTENT_LENGTH": "1000", "wsgi.input": Unread()}

        assert put(b"", user=user, **extra).status_code == status
        nothing_stored()

    @pytest.mark.parametrize(("role", "status"), [(None, 401), ("VIEWER", 403)])
    def test_users_who_may_not_add_videos_before_their_body_is_read(
        self, role, status, client_for, make_user, media
    ):
        class Unread(io.BytesIO):
            def read(self, *args):
                raise AssertionError("the body was read")

        client = client_for(make_user(role) if role else None)
        extra = {"CONTENT_LENGTH": "1000", "wsgi.input": Unread()}
        response = client.generic("POST", URL, b"", content_type=MULTIPART_CONTENT, **extra)

        assert response.status_code == status
        assert media.files() == []


class TestReplacing:
    def test_a_new_file_cancels_the_work_on_the_old_one(self, put, draft, trail):
        put(multipart(file=file_named()))
        first = ProcessingJob.objects.get()
        ProcessingJob.objects.claim(first.pk, worker="w", lease=_LEASE)

        put(multipart(file=file_named(content=b"a better cut")))

        first.refresh_from_db()
        second = ProcessingJob.objects.open().get()
        draft.refresh_from_db()
        assert first.state == "canceled"
        assert (draft.job, draft.status) == (second, "UPLOADED")
        assert second.source_path == draft.source_path != first.source_path
        assert draft.source.read_bytes() == b"a better cut"
        assert trail(draft.pk) == ["video.uploaded", "video.uploaded"]

    def test_the_old_version_plays_until_the_new_one_is_ready(
        self, media, uploaded_video, process_next, client_for, clip
    ):
        process_next()
        uploaded_video.refresh_from_db()
        old = uploaded_video.current_version
        address = f"{URL}{uploaded_video.pk}"
        with clip.open("rb") as file:
            response = client_for(uploaded_video.creator).put(
                f"{address}/file", {"file": file}, format="multipart"
            )
        assert (response.json()["status"], response.json()["playable"]) == ("UPLOADED", True)
        stranger = client_for().get(address).json()
        assert (stranger["playable"], stranger["renditions"][0]["height"]) == (True, 180)
        assert (uploaded_video.versions_folder / old / "master.m3u8").is_file()

        process_next()

        uploaded_video.refresh_from_db()
        assert uploaded_video.status == "READY"
        assert uploaded_video.current_version != old
        assert (uploaded_video.version_folder / "master.m3u8").is_file()
        # Viewers of the old version can watch it to its end.
        assert (uploaded_video.versions_folder / old / "master.m3u8").is_file()
