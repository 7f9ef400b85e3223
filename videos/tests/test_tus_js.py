"""tus-js-client, with which browsers and Uppy upload, against a live service that dies meanwhile."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from accounts import tokens
from config.tests import npm
from videos.models import ProcessingJob, Upload, Video
from videos.tests import processes
from videos.tests.tus_client import free_port, serving

pytestmark = [
    pytest.mark.journeys,
    pytest.mark.xdist_group("clients"),
    pytest.mark.django_db(transaction=True),
]
HERE = Path(__file__).parent / "tus_js"
MEGABYTE = 1024**2


@pytest.fixture(scope="module")
def node_modules() -> Path:
    return npm.installed(HERE)


@pytest.mark.parametrize("parallel", [1, 3])
def test_it_uploads_although_all_processes_are_killed(
    node_modules, creator, media, tmp_path, parallel
):
    content = os.urandom(30 * MEGABYTE)
    (tmp_path / "film.mp4").write_bytes(content)
    (tmp_path / "upload.mjs").write_bytes((HERE / "upload.mjs").read_bytes())
    (tmp_path / "node_modules").symlink_to(node_modules)
    port = free_port()
    with serving(port) as server:
        command = [
            "node", "upload.mjs", f"http://127.0.0.1:{port}/api/v1/uploads/",
            tokens.issue(creator).access, "film.mp4", str(parallel),
        ]  # fmt: skip
        client = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        processes.wait_for(lambda: sum(path.stat().st_size for path in arrived(media)) > MEGABYTE)
        processes.signal_family(server, signal.SIGKILL)
        server.wait()
        assert client.poll() is None, "it was too quick: nothing was interrupted"
    with serving(port):
        assert client.wait(timeout=120) == 0
        processes.wait_for(lambda: Upload.objects.filter(state="done").exists())

    video = Video.objects.get()
    assert (video.title, video.source_filename) == ("By tus-js-client", "from-js.mp4")
    assert video.source.read_bytes() == content
    assert ProcessingJob.objects.count() == 1
    assert media.files() == [video.source_path]


def arrived(media: Path) -> list[Path]:
    return [path for path in (media / "resumable").glob("*") if path.exists()]
