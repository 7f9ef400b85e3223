"""tuspy, tus-js-client and Uppy upload while connections are cut and all web processes are killed.

In short here; `make test-uploads` sends 200 MB, with 20 cuts and 5 deaths.
"""

import hashlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests
from tusclient import client as tuspy
from tusclient.exceptions import TusCommunicationError

from accounts import tokens
from config.tests import browser, npm
from videos.models import ProcessingJob, Upload, Video
from videos.tests import processes
from videos.tests.cutting import CuttingProxy
from videos.tests.tus_client import URL, free_port, serving

pytestmark = pytest.mark.django_db(transaction=True)
MEGABYTE = 1024**2
SIZE = int(os.environ.get("TUS_MEGABYTES", "12")) * MEGABYTE
CUTS = int(os.environ.get("TUS_CUTS", "4"))
DEATHS = max(1, CUTS // 4)
PATIENCE = 600
HERE = Path(__file__).parent / "tus_js"


class Trial:
    """A file, and a web service that is cut off and killed while a client uploads it."""

    def __init__(self, creator, folder: Path) -> None:
        chance = random.Random(SIZE + CUTS)  # noqa: S311 - a repeatable walk
        self.token = tokens.issue(creator).access
        self.content, self.folder = chance.randbytes(SIZE), folder
        (folder / "clip.mp4").write_bytes(self.content)
        self.cuts = sorted(chance.sample(range(SIZE // 50, SIZE), CUTS))
        self.deaths = {*chance.sample(range(1, CUTS + 1), DEATHS)}
        self.killed = 0
        self._server = ExitStack()
        self._port = free_port()

    @contextmanager
    def running(self) -> Iterator[str]:
        """Give the address for uploads; at the end all cuts and deaths must have happened."""
        proxy = CuttingProxy(self._port, self.cuts, self.on_cut)
        with self._server:
            self.start()
            with proxy.running():
                yield f"http://127.0.0.1:{proxy.port}{URL}"
                processes.wait_for(Upload.objects.filter(state="done").exists, seconds=PATIENCE)
        assert (proxy.done, self.killed) == (CUTS, DEATHS)

    def start(self) -> None:
        self._process = self._server.enter_context(serving(self._port))

    def on_cut(self, number: int) -> None:
        if number in self.deaths:
            processes.signal_family(self._process, signal.SIGKILL)
            self._process.wait()
            self.killed += 1
            self.start()

    def check(self, media) -> None:
        """Identical bytes, and queued once."""
        video = Video.objects.get()
        assert hashlib.sha256(video.source.read_bytes()).digest() == self.digest
        assert (video.title, video.source_size) == ("A video", SIZE)
        assert ProcessingJob.objects.count() == 1
        assert media.files() == [video.source_path]

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.content).digest()


@pytest.fixture
def trial(creator, tmp_path):
    return Trial(creator, tmp_path)


@pytest.mark.long
def test_tuspy(trial, media):
    with trial.running() as address:
        client = tuspy.TusClient(address, headers={"Authorization": f"Bearer {trial.token}"})
        uploader = client.uploader(
            str(trial.folder / "clip.mp4"),
            chunk_size=4 * MEGABYTE,
            metadata={"filename": "clip.mp4", "title": "A video"},
        )
        deadline = time.monotonic() + PATIENCE
        while uploader.offset < SIZE:
            assert time.monotonic() < deadline
            try:
                uploader.upload()
            except (TusCommunicationError, requests.RequestException):
                resume(uploader)
    trial.check(media)


def resume(uploader) -> None:
    """Ask for the offset until there is an answer, as programs with tuspy do."""

    def offset() -> bool:
        try:
            uploader.offset = uploader.get_offset()
        except (TusCommunicationError, requests.RequestException):
            return False
        return True

    processes.wait_for(offset)


@pytest.mark.journeys
@pytest.mark.xdist_group("clients")
def test_tus_js_client(trial, media, node_modules):
    (trial.folder / "upload.mjs").write_bytes((HERE / "upload.mjs").read_bytes())
    (trial.folder / "node_modules").symlink_to(node_modules)
    with trial.running() as address:
        command = [
            "node",
            "upload.mjs",
            address,
            trial.token,
            "clip.mp4",
            "1",
            str(4 * MEGABYTE),
            "A video",
        ]
        client = subprocess.run(
            command, cwd=trial.folder, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert client.returncode == 0, client.stderr
    trial.check(media)


@pytest.mark.journeys
@pytest.mark.xdist_group("clients")
def test_uppy(trial, media, node_modules, chromium):
    """In a real Chromium, from a page of another origin."""
    (trial.folder / "uppy.mjs").write_bytes((HERE / "uppy.mjs").read_bytes())
    (trial.folder / "node_modules").symlink_to(node_modules)
    subprocess.run(
        ["node_modules/.bin/esbuild", "uppy.mjs", "--bundle", "--outfile=bundle.js"],
        cwd=trial.folder, check=True, capture_output=True,
    )  # fmt: skip
    with trial.running() as address:
        outcome = in_browser(trial, chromium, address)
        assert outcome.startswith(address), outcome
    trial.check(media)


def in_browser(trial: Trial, chromium: str, address: str) -> str:
    with browser.run(chromium) as running:
        page = running.new_page()
        page.set_content("<input type=file>")
        page.add_script_tag(path=trial.folder / "bundle.js")
        page.set_input_files("input", trial.folder / "clip.mp4")
        page.evaluate("([address, token]) => begin(address, token)", [address, trial.token])
        found = page.wait_for_function("window.outcome", timeout=PATIENCE * 1000)
        return str(found.json_value())


@pytest.fixture(scope="module")
def node_modules() -> Path:
    return npm.installed(HERE)
