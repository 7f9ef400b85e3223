"""`make stack`: the whole topology starts, works, comes back after kills, and stops without a trace."""

import contextlib
import os
import re
import signal
import stat

import httpx
import psutil
import pytest

from stack import health, launch, plan
from stack.plan import BUCKET, HOST
from stack.tests.running import BACK_SECONDS, NAMES, watch

pytestmark = [pytest.mark.stack, pytest.mark.programs, pytest.mark.xdist_group("stack")]
SHORT = pytest.mark.stack_short


@pytest.fixture(scope="module")
def shown(started) -> str:
    """Go through the whole demo, and return the video that anybody may watch then."""
    done = started.command("demo", "--seconds", "6", "--size", "640x360")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All steps succeeded" in done.stdout
    return re.findall(rf"{started.plan.url}/watch/(\S+)", done.stdout)[0]


@pytest.fixture
def video(stack, shown) -> str:
    """The demo's video. The stack runs, also where a test before has stopped it."""
    return shown


@SHORT
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


@SHORT
def test_strangers_see_nothing_of_the_bucket(stack, video):
    address = f"http://{HOST}:{stack.plan.ports['s3']}/{BUCKET}"
    client = health.bucket_client(stack.plan)
    key = client.list_objects_v2(Bucket=BUCKET, Prefix="vod/")["Contents"][0]["Key"]
    for path in ("", "/", "/?list-type=2", f"/{key}"):
        assert httpx.get(address + path).status_code == 403, path


@SHORT
def test_secrets_are_private(stack):
    for path in ("stack.json", "settings.env", "supervisord.conf", "nginx/key.pem",
                 "nginx/delivery.json",
                 "seaweedfs/s3.json", "valkey/valkey.conf"):  # fmt: skip
        assert stat.S_IMODE((stack.folder / path).stat().st_mode) == 0o600, path
    lines = [" ".join(process.cmdline()) for process in stack.family()]
    for secret in stack.plan.secrets.values():
        assert secret not in stack.text()
        assert not [line for line in lines if secret in line]


@SHORT
def test_everything_listens_on_loopback_alone(stack):
    found = set()
    for process in stack.family():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended since
            connections = process.net_connections(kind="inet")
            found |= {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}
    assert found == {HOST}


@SHORT
def test_the_table_and_the_page_show_every_part(stack):
    shown = stack.command("status")
    assert shown.returncode == 0, shown.stdout
    page = httpx.get(stack.plan.page)
    assert page.status_code == 200
    for name in NAMES:
        assert re.search(rf"^ ?{name} ", shown.stdout, re.MULTILINE), name
        assert f"<td>{name}</td>" in page.text
    assert httpx.get(stack.plan.page, headers={"Host": "evil.example"}).status_code == 404


@SHORT
def test_a_second_start_says_that_it_runs(stack):
    again = stack.command("start")
    assert (again.returncode, "already runs" in again.stdout) == (0, True)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[SHORT] if name == "postgresql" else []) for name in NAMES]
)
def test_a_killed_part_comes_back(stack, video, name):
    before = stack.pid(name)
    os.kill(before, signal.SIGKILL)
    stack.wait_for(lambda: stack.pid(name) not in (0, before), BACK_SECONDS)
    stack.wait_until_all_work()
    assert watch(stack, video)[0].status_code == 200
    assert launch.members(before) == []


def test_what_is_uploaded_after_the_kills_is_processed(stack, video):
    done = stack.command("demo", "--seconds", "2", "--size", "320x180")
    assert done.returncode == 0, done.stdout + done.stderr


@SHORT
def test_ctrl_c_stops_everything(stack, video):
    family = stack.family()
    stack.stop()
    # Whatever holds data ended by itself.
    assert not re.search("WARN killing '(postgresql|valkey|seaweedfs)'", stack.text())
    assert [process for process in family if process.is_running()] == []
    assert plan.in_use(stack.plan) == {}


def test_the_next_start_has_the_data(stack, video):
    secrets = stack.plan.secrets
    if stack.starts == 1:
        stack.stop()
        stack.start()
    assert stack.plan.secrets == secrets
    assert watch(stack, video)[0].status_code == 200


def test_the_next_start_ends_what_a_killed_supervisor_left(stack, video):
    family = stack.family()
    stack.stop(signal.SIGKILL)
    stack.start()
    assert [process for process in family if process.is_running()] == []
    assert watch(stack, video)[0].status_code == 200
