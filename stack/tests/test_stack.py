"""`make stack`: the whole topology starts, works, comes back after kills, and stops without a trace."""

import contextlib
import os
import re
import signal
import ssl
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import psutil
import pytest

from stack import health, launch, parts, plan
from stack.control import Supervisor
from stack.plan import BASE_DIR, BUCKET, HOST, Plan

pytestmark = [pytest.mark.stack, pytest.mark.programs, pytest.mark.xdist_group("stack")]

START_SECONDS, BACK_SECONDS, STOP_SECONDS = 180.0, 60.0, 30.0
NAMES = [
    "postgresql", "valkey", "seaweedfs", "light", "heavy", "beat", "web-1", "web-2", "nginx"
]  # fmt: skip


class Stack:
    """A running stack with a folder and ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.starts = 0
        self.start()

    def start(self) -> None:
        """Start the stack, on free ports again, and wait until it shows that it works."""
        self.starts += 1
        self.output = self.folder.with_name(f"output-{self.starts}")
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "stack",
                    "start",
                    "--folder",
                    str(self.folder),
                    "--port",
                    "0",
                ],
                cwd=BASE_DIR,
                env={**os.environ, "FFMPEG_PRESET": "ultrafast"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.wait_for(lambda: "Ctrl-C" in self.text(), START_SECONDS)
        self.plan: Plan = plan.load(self.folder)
        trust = ssl.create_default_context(cafile=str(self.plan.certificate))
        self.http = httpx.Client(base_url=self.plan.url, verify=trust, timeout=20)

    def text(self) -> str:
        return self.output.read_text()

    def wait_for(self, condition: Callable[[], object], seconds: float):
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.1)
        return value

    def command(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "stack", *arguments, "--folder", str(self.folder)]
        return subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True, timeout=300)

    def pid(self, name: str) -> int:
        return Supervisor(self.plan).processes()[name].pid

    def works(self) -> bool:
        """Return whether every part works, and runs."""
        running = {each.state for each in Supervisor(self.plan).processes().values()}
        if running != {"RUNNING"}:
            return False
        for part in parts.all_of(self.plan):
            try:
                part.health(self.plan)
            except Exception:  # noqa: BLE001 - each client raises errors of its own
                return False
        return True

    def family(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def stop(self) -> float:
        """Press Ctrl-C, and return the seconds until the end."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(2 * STOP_SECONDS)
        return time.monotonic() - began


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    # PostgreSQL runs as another user where the tests run as root, so that the folder lets it pass.
    with tempfile.TemporaryDirectory(prefix="vod-stack-") as name:
        Path(name).chmod(0o755)
        started = Stack(Path(name) / "stack")
        family: list[psutil.Process] = []
        try:
            yield started
        finally:
            if started.process.poll() is None:
                family = started.family()
                started.stop()
            for process in family:
                if process.is_running():
                    process.kill()


def watch(stack: Stack, video: str) -> tuple[httpx.Response, str]:
    """Start playback as a stranger; return one segment and the end of its address."""
    token = stack.http.get(f"/api/v1/stream/{video}").raise_for_status().json()
    headers = {"Accept": "application/json"}
    address = (
        stack.http.get(token["stream_url"], headers=headers).raise_for_status().json()["hls_url"]
    )
    address = urljoin(stack.plan.url, address)
    while address.partition("?")[0].endswith(".m3u8"):
        playlist = stack.http.get(address).raise_for_status().text
        lines = [line for line in playlist.splitlines() if line and not line.startswith("#")]
        address = urljoin(address, lines[0])
    return stack.http.get(address), address


@pytest.fixture(scope="module")
def video(stack) -> str:
    """Go through the whole demo, and return the video that anybody may watch then."""
    done = stack.command("demo", "--seconds", "6", "--size", "640x360")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All steps succeeded" in done.stdout
    return re.findall(rf"{stack.plan.url}/watch/(\S+)", done.stdout)[0]


def test_a_segment_comes_byte_by_byte_from_the_bucket(stack, video):
    answer, address = watch(stack, video)
    assert answer.status_code == 200
    client = health.bucket_client(stack.plan)
    keys = [
        each["Key"] for each in client.list_objects_v2(Bucket=BUCKET, Prefix="vod/")["Contents"]
    ]
    (key,) = [key for key in keys if key.endswith("/".join(address.rsplit("/", 3)[1:]))]
    assert answer.content == client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    half = len(answer.content) // 2
    part = stack.http.get(address, headers={"Range": f"bytes={half}-"})
    assert part.status_code == 206
    assert part.content == answer.content[half:]


def test_strangers_see_nothing_of_the_bucket(stack, video):
    address = f"http://{HOST}:{stack.plan.ports['s3']}/{BUCKET}"
    client = health.bucket_client(stack.plan)
    key = client.list_objects_v2(Bucket=BUCKET, Prefix="vod/")["Contents"][0]["Key"]
    for path in ("", "/", "/?list-type=2", f"/{key}"):
        assert httpx.get(address + path).status_code == 403, path


def test_secrets_are_private(stack):
    for path in ("stack.json", "settings.env", "supervisord.conf", "nginx/key.pem", "seaweedfs/s3.json",
                 "valkey/valkey.conf"):  # fmt: skip
        assert stat.S_IMODE((stack.folder / path).stat().st_mode) == 0o600, path
    lines = [" ".join(process.cmdline()) for process in stack.family()]
    for secret in stack.plan.secrets.values():
        assert secret not in stack.text()
        assert not [line for line in lines if secret in line]


def test_everything_listens_on_loopback_alone(stack):
    found = set()
    for process in stack.family():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended since
            connections = process.net_connections(kind="inet")
            found |= {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}
    assert found == {HOST}


def test_the_table_and_the_page_show_every_part(stack):
    shown = stack.command("status")
    assert shown.returncode == 0, shown.stdout
    page = httpx.get(stack.plan.page)
    assert page.status_code == 200
    for name in NAMES:
        assert re.search(rf"^ ?{name} ", shown.stdout, re.MULTILINE), name
        assert f"<td>{name}</td>" in page.text
    assert httpx.get(stack.plan.page, headers={"Host": "evil.example"}).status_code == 404


def test_a_second_start_says_that_it_runs(stack):
    again = stack.command("start")
    assert (again.returncode, "already runs" in again.stdout) == (0, True)


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_part_comes_back(stack, video, name):
    before = stack.pid(name)
    os.kill(before, signal.SIGKILL)
    stack.wait_for(lambda: stack.pid(name) not in (0, before) and stack.works(), BACK_SECONDS)
    assert watch(stack, video)[0].status_code == 200
    assert launch.members(before) == []


def test_what_is_uploaded_after_the_kills_is_processed(stack, video):
    done = stack.command("demo", "--seconds", "2", "--size", "320x180")
    assert done.returncode == 0, done.stdout + done.stderr


def test_ctrl_c_stops_everything_and_the_next_start_has_the_data(stack, video):
    family, secrets = stack.family(), stack.plan.secrets
    seconds = stack.stop()
    assert seconds < STOP_SECONDS, stack.text()
    # Whatever holds data ended by itself.
    assert not re.search("WARN killing '(postgresql|valkey|seaweedfs)'", stack.text())
    assert [process for process in family if process.is_running()] == []
    assert plan.in_use(stack.plan) == {}
    stack.start()
    assert stack.plan.secrets == secrets
    assert watch(stack, video)[0].status_code == 200


def test_the_next_start_ends_what_a_killed_supervisor_left(stack, video):
    family = stack.family()
    stack.process.kill()
    stack.process.wait()
    stack.start()
    assert [process for process in family if process.is_running()] == []
    assert watch(stack, video)[0].status_code == 200
