"""A disk that is full in the middle of an upload: an error in time, no remains, and it comes back."""

import http.client
import resource

import pytest

from accounts import tokens
from videos.models import ProcessingJob, Video
from videos.tests import processes
from videos.tests.test_uploads_served import MEGABYTE, MULTIPART_CONTENT, URL, form

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_disk_that_is_full_in_the_middle_of_an_upload_keeps_nothing(creator, media):
    """The kernel refuses the server's file beyond 8 MB, by the limit of the size of files."""
    token = tokens.issue(creator).access

    def upload(port: int, size: int) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": MULTIPART_CONTENT}
        connection.request("POST", URL, form(bytes(size)), headers)
        with connection.getresponse() as response:
            return response.status, response.read()

    with processes.web() as (server, port):
        usual = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (8 * MEGABYTE, usual[1]))
        status, body = upload(port, 12 * MEGABYTE)
        assert (status, b"storage_full" in body) == (503, True), body
        assert media.files() == []
        assert not Video.objects.exists()
        assert not ProcessingJob.objects.exists()
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, usual)
        assert upload(port, 12 * MEGABYTE)[0] == 201
    assert Video.objects.get().source_size == 12 * MEGABYTE
