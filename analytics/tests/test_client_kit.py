"""The client kit is built, and its packages make the demo's journey against a live service.

`clients/build.py` builds it. The examples of both READMEs are run as they stand, then the journeys of
`analytics/tests/kit`. `make test-journeys` runs these tests; `make test` does not.
"""

import contextlib
import functools
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from accounts.roles import Role
from config.tests import browser, npm
from videos.services import catalogue
from videos.tests import processes
from videos.tests.cutting import CuttingProxy
from videos.tests.media import make_clip
from webhooks.tests.fixtures import send_all

pytestmark = [pytest.mark.journeys, pytest.mark.xdist_group("client_kit")]

ROOT = Path(django_settings.BASE_DIR)
KIT = ROOT / "clients"
HERE = Path(__file__).parent / "kit"
PACKAGES = (
    "vod-client-1.0.0.tgz",
    "vod.postman_collection.json",
    "vod_client-1.0.0-py3-none-any.whl",
)
MEGABYTE = 1024**2
PASSWORD = "a long pass phrase"
CUTS = (2 * MEGABYTE, 3 * MEGABYTE + 77)  # bytes after which the proxy cuts


def run(*command: object, cwd: Path, **environment: str) -> str:
    """Run a program, and return what it prints; fail with all of that if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-5000:]}{done.stderr[-5000:]}"
    return done.stdout


def blocks(readme: Path, language: str) -> str:
    """Return the examples of a README as one program."""
    text = readme.read_text(encoding="utf-8")
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def node_modules() -> Path:
    return npm.installed(KIT / "typescript")


@pytest.fixture(scope="module")
def kit(node_modules, tmp_path_factory) -> Path:
    """The folder with the built packages."""
    folder = tmp_path_factory.mktemp("kit")
    run(
        sys.executable, KIT / "build.py", "--to", folder, "--node-modules", node_modules, cwd=folder
    )
    return folder


@pytest.fixture(scope="module")
def python(kit, tmp_path_factory) -> Path:
    """A folder with the installed wheel, the README's program and the journey."""
    folder = tmp_path_factory.mktemp("python")
    install = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", ".")
    run(sys.executable, *install, kit / PACKAGES[2], cwd=folder)
    (folder / "readme.py").write_text(blocks(KIT / "python" / "README.md", "python"))
    shutil.copy(HERE / "journey.py", folder)
    return folder


@pytest.fixture(scope="module")
def typescript(kit, node_modules, tmp_path_factory) -> Path:
    """A folder with the unpacked npm package, the README's program and the journey, compiled."""
    folder = tmp_path_factory.mktemp("typescript")
    installed = folder / "node_modules"
    installed.mkdir()
    for each in node_modules.iterdir():
        (installed / each.name).symlink_to(each)
    with tarfile.open(kit / PACKAGES[0]) as package:
        package.extractall(folder, filter="data")
    (folder / "package").rename(installed / "vod-client")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "readme.ts").write_text(blocks(KIT / "typescript" / "README.md", "ts"))
    for name in ("journey.ts", "tsconfig.json"):
        shutil.copy(HERE / name, folder)
    run(node_modules / ".bin" / "tsc", "--project", "tsconfig.json", cwd=folder)
    return folder


@pytest.fixture
def service(media, transactional_db):
    """The address of a live service: a web server and a worker, on the test's own database."""
    with processes.web(RATE_LIMIT_AUTH="0") as (_, port), processes.worker():
        yield port


@pytest.fixture
def trial(service, make_user, tmp_path):
    """A creator, a clip, noise, and the environment of a program that uses them."""
    make_user(Role.CREATOR, email="creator@example.com", password=PASSWORD)
    noise = random.Random(1).randbytes(5 * MEGABYTE)  # noqa: S311 - repeatable
    (tmp_path / "noise.mp4").write_bytes(noise)
    return {
        "VOD_URL": f"http://127.0.0.1:{service}",
        "VOD_EMAIL": "creator@example.com",
        "VOD_PASSWORD": PASSWORD,
        "VOD_FILE": str(make_clip(tmp_path / "clip.mp4", seconds=4)),
    }


def test_the_versions_are_the_apis(kit, tmp_path):
    """A document of another version is refused, and nothing is built."""
    document = json.loads((kit / "openapi.json").read_text())
    names = {path.name for path in kit.iterdir()}
    assert all(
        f"-{document['info']['version']}" in name for name in PACKAGES if "postman" not in name
    )
    assert set(PACKAGES) <= names
    document["info"]["version"] = "1.1.0"
    (tmp_path / "newer.json").write_text(json.dumps(document))
    newer = ("--to", tmp_path / "to", "--document", tmp_path / "newer.json")
    done = subprocess.run(
        [sys.executable, str(KIT / "build.py"), *map(str, newer)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "The API is 1.1.0, and clients/python/pyproject.toml is not" in done.stderr
    assert not list((tmp_path / "to").glob("*.whl"))


def test_two_builds_of_one_document_are_the_same(kit, node_modules, tmp_path):
    """Without this nobody could tell a package that was changed from one that was built anew."""
    document = kit / "openapi.json"
    again = ("--to", tmp_path, "--node-modules", node_modules, "--document", document)
    run(sys.executable, KIT / "build.py", *again, cwd=tmp_path)
    for name in PACKAGES:
        digests = [hashlib.sha256((at / name).read_bytes()).digest() for at in (kit, tmp_path)]
        assert digests[0] == digests[1], name


def test_the_postman_collection_has_every_operation(kit):
    document = json.loads((kit / "openapi.json").read_text())
    operations = sum(len(path) for path in document["paths"].values())
    collection = json.loads((kit / PACKAGES[1]).read_text())

    def requests(items) -> list[dict]:
        return [
            one for item in items for one in (requests(item["item"]) if "item" in item else [item])
        ]

    found = requests(collection["item"])
    assert len(found) == operations
    assert all(item["request"]["url"]["host"] == ["{{baseUrl}}"] for item in found)
    assert collection["auth"]["bearer"][0]["value"] == "{{token}}"
    assert not re.search(r"eyJ[\w-]{20,}", json.dumps(collection))  # no token of anybody


def test_the_python_client_has_strict_types(python):
    run(
        sys.executable, "-m", "mypy", "--config-file=", "--strict", "--follow-imports=silent",
        *sorted((python / "vod_client").glob("*.py")), "readme.py", "journey.py", cwd=python,
    )  # fmt: skip


def test_the_python_clients_readme_is_true(python, trial):
    viewer = {"VOD_VIEWER_EMAIL": "viewer@example.com"}
    said = run(sys.executable, "readme.py", cwd=python, PYTHONPATH=".", **trial, **viewer)
    assert "The harbour at night 4" in said
    assert "paid 19.99 USD" in said
    assert "#EXTM3U" in said
    assert "Traceback" not in processes.log()


def test_the_typescript_clients_readme_is_true(typescript, trial):
    viewer = {"VOD_VIEWER_EMAIL": "viewer@example.com"}
    said = run("node", "run/readme.js", cwd=typescript, **trial, **viewer)
    assert "The harbour at night 4" in said
    assert "paid 19.99 USD" in said
    assert "#EXTM3U" in said
    assert "Traceback" not in processes.log()


@pytest.mark.parametrize("language", ["python", "typescript"])
def test_uploads_pass_over_cuts_and_sign_ins_are_renewed(
    language, python, typescript, trial, service, tmp_path
):
    proxy = CuttingProxy(service, list(CUTS), lambda number: None)
    with proxy.running():
        cut = f"http://127.0.0.1:{proxy.port}"
        if language == "python":
            run(
                sys.executable, "journey.py", trial["VOD_URL"], cut, tmp_path, cwd=python,
                PYTHONPATH=".", **trial,
            )  # fmt: skip
        else:
            run("node", "run/journey.js", trial["VOD_URL"], cut, tmp_path, cwd=typescript, **trial)
    assert proxy.done == len(CUTS)


@pytest.mark.django_db
def test_both_verify_a_webhook_that_the_service_has_sent(
    python, typescript, make_endpoint, admin, make_video, receiver, tmp_path
):
    endpoint = make_endpoint(admin)
    catalogue.delete_video(video=make_video(title="Ünïcode"), actor=admin)
    assert send_all() == 1
    [(headers, body)] = receiver.requests
    (tmp_path / "body").write_bytes(body)
    (tmp_path / "headers.json").write_text(json.dumps(headers))
    files = {"BODY": str(tmp_path / "body"), "HEADERS": str(tmp_path / "headers.json")}
    program = (
        "import json, os, pathlib\n"
        "from vod_client import verify_webhook, WebhookVerificationError\n"
        "body = pathlib.Path(os.environ['BODY']).read_bytes()\n"
        "headers = {k.title(): v for k, v in json.loads(open(os.environ['HEADERS']).read()).items()}\n"
        "event = verify_webhook(body, headers, os.environ['SECRET'])\n"
        "print(event.type, event.id, event.data['title'])\n"
        "try: verify_webhook(body + b' ', headers, os.environ['SECRET'])\n"
        "except WebhookVerificationError: print('refused')\n"
    )
    script = (
        'import { readFileSync } from "node:fs";\n'
        'import { verifyWebhook, WebhookVerificationError } from "vod-client";\n'
        'const body = readFileSync(process.env.BODY, "utf8");\n'
        'const headers = JSON.parse(readFileSync(process.env.HEADERS, "utf8"));\n'
        "const event = verifyWebhook(body, new Headers(headers), process.env.SECRET);\n"
        "console.log(event.type, event.id, event.data.title);\n"
        "try { verifyWebhook(`${body} `, headers, process.env.SECRET); }\n"
        'catch (error) { if (error instanceof WebhookVerificationError) console.log("refused"); }\n'
    )
    expected = f"video.removed {headers['webhook-id']} Ünïcode\nrefused\n"
    values = {**files, "SECRET": endpoint.secret, "PYTHONIOENCODING": "utf-8"}
    assert run(sys.executable, "-c", program, cwd=python, PYTHONPATH=".", **values) == expected
    (typescript / "verify.mjs").write_text(script)
    assert run("node", "verify.mjs", cwd=typescript, **values) == expected


@contextlib.contextmanager
def pages_of(folder: Path):
    """Serve a folder's files on an origin of its own."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
        pass


def test_the_bundle_works_in_a_browser(typescript, trial, chromium, tmp_path):
    """A page of another origin signs in, uploads a file of its own and waits for the verdict."""
    shutil.copy(typescript / "node_modules/vod-client/dist/vod-client.bundle.js", tmp_path)
    (tmp_path / "page.html").write_text("<!doctype html><title>A page</title>")
    with pages_of(tmp_path) as address, browser.run(chromium) as running:
        page = running.new_page()
        page.goto(f"{address}/page.html")
        said = page.evaluate(
            """async ({VOD_URL, VOD_EMAIL, VOD_PASSWORD}) => {
              const { Vod, ProcessingFailed } = await import("./vod-client.bundle.js");
              const vod = await Vod.signIn(VOD_URL, VOD_EMAIL, VOD_PASSWORD);
              const file = new File([new Uint8Array(3_000_000)], "zeros.mp4");
              const seen = [];
              const { videoId } = await vod.upload(file, { title: "Zeros", chunkSize: 1_000_000,
                onProgress: (sent) => seen.push(sent) });
              try { await vod.waitUntilReady(videoId, { poll: 200, timeout: 60_000 }); }
              catch (error) { return [seen, error instanceof ProcessingFailed]; }
            }""",
            trial,
        )
    assert said == [[1_000_000, 2_000_000, 3_000_000], True]
