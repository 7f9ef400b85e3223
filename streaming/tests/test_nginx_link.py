"""The exchange between nginx and the web server, and the command that writes nginx's configuration."""

import asyncio
import json
import os
import ssl
import stat
import subprocess
import threading
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from uuid import uuid4

import httpx
import pytest
import yaml
from django.core.management import CommandError, call_command
from django.utils import timezone

from config.tests.doctoring import said, worst
from streaming.delivery.asgi import LazyDelivery
from streaming.delivery.nginx import configuration, link
from streaming.models import PlaybackSession
from streaming.tests import nginx_kit
from streaming.tests.delivery_kit import Stage, wait_until

SESSION = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def _nginx(settings):
    settings.DELIVERY = "nginx"


@pytest.fixture
def stage(tmp_path):
    made = Stage(tmp_path)
    yield made
    made.close()


def scope_of(secret=None, *, path=link.PATH, method="POST"):
    given = link.secret() if secret is None else secret
    return {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(b"authorization", f"Bearer {given}".encode())],
    }


def exchange(stage, body, ended=lambda since: {"now": 1.0, "ended": []}):
    lazy = LazyDelivery()
    lazy.delivery = stage.app
    application, sent = link.Link(lazy, ended), []
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    parts = [text[:10], text[10:]]

    async def receive():
        if not parts:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message):
        sent.append(message)

    asyncio.run(application(scope_of(), receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({}, True),
        ({"secret": "x"}, False),
        ({"secret": ""}, False),
        ({"path": link.PATH + "/"}, False),
        ({"method": "GET"}, False),
    ],
)
def test_only_nginx_with_its_secret_is_answered(stage, change, taken):
    assert link.Link(LazyDelivery()).takes(scope_of(**change)) is taken


def test_with_the_embedded_engine_there_is_no_such_address(settings):
    settings.DELIVERY = "embedded"
    assert not link.Link(LazyDelivery()).takes(scope_of())


def test_notes_reach_the_snapshot(stage):
    notes = [f"s{SESSION}:7", f"b{SESSION}:9", f"t{'f' * 32}", "nonsense", f"s{SESSION}:123456", ""]

    assert exchange(stage, {"since": None, "notes": notes, "lost": 3})[0] == 200

    assert list(stage.snapshot._served) == [(bytes.fromhex(SESSION), 7)]
    assert list(stage.snapshot._begun) == [(bytes.fromhex(SESSION), 9)]
    assert set(stage.snapshot._touched) == {bytes.fromhex(SESSION), b"\xff" * 16}


def test_what_nginx_refused_is_counted_by_its_reason(stage):
    body: dict[str, object] = {"since": None, "notes": [], "lost": 0}
    refused = {"session_ended": 3, "wrong_video": 1, "nonsense": 9, "unavailable": -4}

    assert exchange(stage, {**body, "refused": refused})[0] == 200
    assert exchange(stage, {**body, "refused": {"session_ended": 2}})[0] == 200
    assert exchange(stage, body)[0] == 200  # of an nginx whose scripts are older

    assert stage.app.tally._others == {
        ("other", 410, "session_ended"): 5,
        ("other", 403, "wrong_video"): 1,
    }


def test_what_nginx_refused_is_counted_when_it_was_answered(stage):
    def away(since):
        raise ConnectionError("away")

    refused = {"session_ended": 3}
    body: dict[str, object] = {"since": None, "notes": [], "lost": 0, "refused": refused}
    assert exchange(stage, body, away)[0] == 503
    assert not stage.app.tally._others


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b"{", b"\xff", {"since": "x", "notes": [], "lost": 0},
        {"since": None, "notes": [1], "lost": 0}, {"since": 1e300, "notes": [], "lost": 0},
        {"since": None, "notes": ["t" * 3_000_000], "lost": 0},
        {"since": None, "notes": [], "lost": 0, "refused": [1]},
        {"since": None, "notes": [], "lost": 0, "refused": {"unavailable": "x"}},
    ],
)  # fmt: skip
def test_a_damaged_question_is_refused_and_changes_nothing(stage, body):
    assert exchange(stage, body)[0] == 400
    assert not stage.snapshot._touched


def test_a_database_that_is_away_is_a_503(stage):
    def away(since):
        raise ConnectionError("away")

    assert exchange(stage, {"since": None, "notes": [], "lost": 0}, away)[0] == 503


def test_the_ended_sessions_of_the_database(make_video):
    now, video = timezone.now(), make_video()

    def session(**times):
        times["end_reason"] = "stopped" if "ended_at" in times else ""
        return PlaybackSession.objects.create(
            id=uuid4(), video=video, version="v1", access="free", viewer_key="x", **times
        ).pk.hex

    soon = now + timedelta(hours=1)
    session(expires_at=soon)  # runs
    session(
        expires_at=now - timedelta(hours=1), ended_at=now - timedelta(hours=2)
    )  # no grant is left
    old = session(expires_at=soon, ended_at=now - timedelta(hours=5))
    new = session(expires_at=soon, ended_at=now - timedelta(seconds=20))

    everything, lately = link._ended(None), link._ended(now)

    assert {each for each, _ in everything["ended"]} == {old, new}
    # A transaction commits up to so long after the moment that it wrote down.
    assert [each for each, _ in lately["ended"]] == [new]
    seconds = lately["ended"][0][1]
    assert 3600 < seconds < 3700
    assert abs(lately["now"] - now.timestamp()) < 60


# --- the command --------------------------------------------------------------------------------------


@pytest.mark.programs
@pytest.mark.parametrize("with_tls", [False, True])
def test_the_configuration_is_one_that_nginx_takes(tmp_path, settings, with_tls):
    settings.CORS_ALLOWED_ORIGINS = [
        "https://app.example", "https://b.example:8443", "https://app.example"
    ]  # fmt: skip
    settings.MEDIA_ROOT = tmp_path / "media {with}; 'odd' #letters"
    folder = tmp_path / "site"
    more = {"certificate": nginx_kit.certificate(tmp_path)[0]} if with_tls else {}
    if with_tls:
        more["certificate_key"] = nginx_kit.certificate(tmp_path)[1]
    web = ["http://127.0.0.1:2001", "http://[::1]:2002/"]

    conf = nginx_kit.tested(
        nginx_kit.site(folder, web=web, port=8443, resolver="127.0.0.1", **more)
    )

    text = conf.read_text()
    facts = json.loads((folder / "delivery.json").read_text())
    assert facts["web"] == ["http://127.0.0.1:2001", "http://[::1]:2002"]
    assert facts["key"] not in text
    assert facts["secret"] not in text
    assert stat.S_IMODE((folder / "delivery.json").stat().st_mode) == 0o600


@pytest.mark.programs
@pytest.mark.parametrize(
    ("public", "listen", "target"),
    [
        ("", "443", "https://$host$request_uri"),
        ("", "127.0.0.1:8443", "https://$host:8443$request_uri"),
        ("", "[::1]:8443 ipv6only=off", "https://$host:8443$request_uri"),
        ("https://videos.example", "8443", "https://$host$request_uri"),  # a port that is mapped
        ("https://videos.example:9443", "443", "https://$host:9443$request_uri"),
        ("http://videos.example:2001", "8443", "https://$host:8443$request_uri"),
    ],
)
def test_plain_http_is_redirected_to_the_port_of_https(tmp_path, settings, public, listen, target):
    settings.PUBLIC_URL, settings.MEDIA_ROOT = public, tmp_path / "media"
    chain, key = nginx_kit.certificate(tmp_path)
    made = nginx_kit.site(
        tmp_path / "site", web=["http://127.0.0.1:2001"], port=8443, certificate=chain,
        certificate_key=key, redirect="127.0.0.1:8080",
    )  # fmt: skip
    text = configuration.render(replace(made, listen=listen))
    assert f"return 301 {target};" in text
    conf = nginx_kit.tested(replace(made, listen=listen.replace("443", "8443", listen == "443")))
    assert "[::1]" not in listen or "ipv6only=off ssl;" in conf.read_text()


@pytest.fixture
def bucket(settings, tmp_path):
    """The settings of an installation at a provider, without a server."""
    settings.STORAGE, settings.S3_BUCKET, settings.S3_ENDPOINT = "s3", "vod-media", ""
    settings.S3_REGION, settings.S3_PATH_STYLE = "eu-central-1", False
    settings.S3_ACCESS_KEY, settings.S3_SECRET_KEY = "the-access-key", "the-secret-key"
    settings.S3_PREFIX, settings.MEDIA_ROOT = "vod/", tmp_path / "media"
    return settings


@pytest.mark.programs
@pytest.mark.parametrize("path_style", [False, True])
def test_the_configuration_for_a_bucket_is_one_that_nginx_takes(tmp_path, bucket, path_style):
    bucket.S3_PATH_STYLE = path_style
    folder, web = tmp_path / "a site", ["http://127.0.0.1:2001"]
    authority = nginx_kit.certificate(tmp_path)[0]

    conf = nginx_kit.tested(
        nginx_kit.site(folder, web=web, port=8443, resolver="127.0.0.1", bucket_ca=authority)
    )

    text = conf.read_text()
    assert "server %s:443 resolve;" % (
        "s3.eu-central-1.amazonaws.com"
        if path_style
        else "vod-media.s3.eu-central-1.amazonaws.com"
    ) in text  # fmt: skip
    assert f'proxy_ssl_trusted_certificate "{authority}";' in text
    assert f"max_size={bucket.MEDIA_CACHE_BYTES} " in text
    for secret in ("the-access-key", "the-secret-key"):
        assert secret not in text
        assert secret in (folder / "delivery.json").read_text()


@pytest.mark.parametrize(
    ("changes", "arguments", "text"),
    [
        ({}, [], "--resolver"),
        ({"S3_ENDPOINT": "http://seaweedfs:8333"}, [], "--resolver"),
        ({"S3_ENDPOINT": "https://10.0.0.5:8333", "S3_PATH_STYLE": True}, [], "10.0.0.5"),
    ],
)
def test_a_bucket_that_nginx_could_not_ask_is_refused(tmp_path, bucket, changes, arguments, text):
    for name, value in changes.items():
        setattr(bucket, name, value)
    with pytest.raises(CommandError, match=text):
        call_command("nginx_config", "--folder", str(tmp_path / "n"), *arguments)
    assert not (tmp_path / "n").exists()


def test_files_that_have_not_moved_to_the_bucket_are_not_forgotten(tmp_path, bucket):
    (tmp_path / "media" / "videos" / "v" / "1").mkdir(parents=True)
    with pytest.raises(CommandError, match="move_storage"):
        call_command("nginx_config", "--folder", str(tmp_path / "n"), "--resolver", "127.0.0.1")
    assert not (tmp_path / "n").exists()


def test_a_new_key_of_the_bucket_is_noticed(tmp_path, bucket):
    configuration.write(configuration.Site(tmp_path, ["http://127.0.0.1:2001"]))
    assert configuration.is_current(tmp_path) is True
    bucket.S3_SECRET_KEY = "another"
    assert configuration.is_current(tmp_path) is False


def test_the_command_writes_the_files(tmp_path, settings):
    settings.MEDIA_ROOT = tmp_path / "media"
    output, out = tmp_path / "nginx.conf", StringIO()

    call_command(
        "nginx_config", "--output", str(output), "--folder", str(tmp_path / "n"), stdout=out
    )
    call_command("nginx_config", "--folder", str(tmp_path / "n"), stdout=out)

    assert out.getvalue() == output.read_text()
    assert f'disable_symlinks on "from={tmp_path}/media/videos";' in out.getvalue()
    assert {path.name for path in (tmp_path / "n").iterdir()} >= {"delivery.js", "delivery.json"}
    assert configuration.is_current(tmp_path / "n")


@pytest.mark.programs
def test_the_configuration_of_compose_is_one_that_nginx_takes(tmp_path, bucket):
    """With the command of deploy/compose.yaml, but addresses, folders and the user of this machine."""
    services = yaml.safe_load((bucket.BASE_DIR / "deploy" / "compose.yaml").read_text())["services"]
    given = services["web"]["environment"]
    assert given["DELIVERY"] == "nginx"
    bucket.S3_BUCKET, bucket.S3_ENDPOINT = given["S3_BUCKET"], given["S3_ENDPOINT"]
    bucket.S3_PATH_STYLE = True
    folder = tmp_path / "nginx"
    folder.mkdir()
    chain, key = nginx_kit.certificate(tmp_path)
    here = {
        "/etc/nginx/vod": str(folder),
        "/etc/nginx/tls/cert.pem": str(chain),
        "/etc/nginx/tls/key.pem": str(key),
        "http://web:2001": "http://127.0.0.1:2001",
        "--user nginx": "--user root",
        "--listen 443 --redirect 80": "--listen 127.0.0.1:8443 --redirect 127.0.0.1:8080",
    }
    command = " ".join(services["proxy-files"]["command"].split())
    for there, instead in here.items():
        assert there in command
        command = command.replace(there, instead)

    program, manage, name, *arguments = command.split()
    assert (program, manage) == ("python", "manage.py")
    call_command(name, *arguments)

    conf = folder / "nginx.conf"
    # The official image has njs in this file, and the nginx of the tests has it built in.
    module = 'load_module "modules/ngx_http_js_module.so";'
    assert module in conf.read_text()
    text = conf.read_text().replace(module, "")
    assert "server objects:8333 resolve;" in text
    conf.write_text(text)
    nginx_kit.check(folder, conf)
    mounted = [each for each in services["proxy"]["volumes"] if each.startswith("proxy:")]
    assert mounted == services["proxy-files"]["volumes"] == ["proxy:/etc/nginx/vod"]
    assert "/etc/nginx/vod/nginx.conf" in services["proxy"]["command"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--certificate", "a.pem"], "--certificate-key"),
        (["--redirect", "80"], "--certificate"),
        (["--module", 'x"; y'], "nginx cannot read"),
        (["--web", "http://a;b"], "nginx cannot read"),
        (["--web", "https://127.0.0.1:2001"], "without TLS"),
        (["--web", "127.0.0.1:2001"], "is an origin like"),
        (["--web", "http://127.0.0.1:2001/app"], "without a path"),
        (["--listen", "443; return 200"], "nginx cannot read"),
        (["--user", "x;"], "nginx cannot read"),
    ],
)
def test_the_command_refuses_what_nginx_would_misread(tmp_path, arguments, text):
    with pytest.raises(CommandError, match=text):
        call_command("nginx_config", "--folder", str(tmp_path), *arguments)
    assert not (tmp_path / "delivery.json").exists()


def test_the_command_needs_the_setting(settings, tmp_path):
    settings.DELIVERY = "embedded"
    with pytest.raises(CommandError, match="DELIVERY=nginx"):
        call_command("nginx_config", "--folder", str(tmp_path))


def test_files_that_no_longer_follow_the_settings_are_noticed(tmp_path, settings):
    settings.MEDIA_ROOT = tmp_path
    assert configuration.is_current(tmp_path) is None
    configuration.write(configuration.Site(tmp_path, ["http://127.0.0.1:2001"]))
    assert configuration.is_current(tmp_path) is True

    settings.BIND_PLAYBACK = "none"
    assert configuration.is_current(tmp_path) is False


def test_the_doctor_says_who_sends_the_files(settings, tmp_path):
    settings.DATA_DIR, settings.TRUSTED_PROXIES = tmp_path, ["127.0.0.1"]
    assert "not written here" in said("delivery")
    configuration.write(configuration.Site(tmp_path / "nginx", ["http://127.0.0.1:2001"]))
    assert worst("delivery") == "ok"

    settings.BIND_PLAYBACK = "none"
    assert "do not follow" in said("delivery")
    configuration.write(configuration.Site(tmp_path / "nginx", ["http://127.0.0.1:2001"]))
    settings.TRUSTED_PROXIES = []
    assert "TRUSTED_PROXIES is empty" in said("delivery")
    settings.DELIVERY = "embedded"
    assert worst("delivery") == "ok"


class Web:
    """A web server that counts the paths that it was asked for."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                web.paths.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.programs
def test_the_requests_of_an_upload_reach_the_web_server_that_has_its_bytes(tmp_path, settings):
    """Other hosts do not have them, and answer 410. Without that host another one takes new uploads."""
    settings.MEDIA_ROOT = tmp_path / "media"
    webs, port = [Web() for _ in range(3)], nginx_kit.free_port()
    made = nginx_kit.site(tmp_path / "site", web=[each.url for each in webs], port=port)

    def ask(path: str) -> int:
        return httpx.get(f"http://127.0.0.1:{port}{path}").status_code

    with nginx_kit.serving(made):
        for _ in range(8):
            assert ask("/api/v1/uploads/") == ask("/api/v1/uploads/x") == ask("/api/v1/x") == 200
        takers = [each for each in webs if any("uploads" in path for path in each.paths)]
        assert len(takers) == 1
        assert len([path for path in takers[0].paths if "uploads" in path]) == 16
        assert all("/api/v1/x" in each.paths for each in webs)  # nothing else stays anywhere
        takers[0].close()
        assert ask("/api/v1/uploads/") == 200
    for each in webs:
        if each is not takers[0]:
            each.close()


@pytest.mark.programs
@pytest.mark.parametrize("path", ["/media/GRANT/v/1/master.m3u8", "/api/v1/stream/play/GRANT"])
def test_the_proxy_for_the_embedded_engine_logs_no_grants(tmp_path, settings, path):
    """Neither in a line about the request nor in one about a web server that is away."""
    port, plain, nobody = (nginx_kit.free_port() for _ in range(3))
    chain, key = nginx_kit.certificate(tmp_path)
    text = (settings.BASE_DIR / "deploy" / "nginx.conf").read_text()
    here = {
        "tls/cert.pem": str(chain),
        "tls/key.pem": str(key),
        "server web:2001": f"server 127.0.0.1:{nobody}",
        "listen 443": f"listen 127.0.0.1:{port}",
        "listen 80": f"listen 127.0.0.1:{plain}",
        "http {": "pid nginx.pid;\nhttp {\n"
        + "".join(f"{kind}_temp_path tmp;\n" for kind in ("client_body", "proxy", "fastcgi"))
        + "uwsgi_temp_path tmp;\nscgi_temp_path tmp;\n",
        "worker_processes auto": ("user root;\n" if os.geteuid() == 0 else "")
        + "worker_processes 1",
    }
    for there, instead in here.items():
        assert there in text
        text = text.replace(there, instead)
    (tmp_path / "nginx.conf").write_text(text)
    log = (tmp_path / "log").open("wb")
    command = [nginx_kit.program(), "-p", str(tmp_path), "-c", "nginx.conf", "-e", "stderr"]
    process = subprocess.Popen([*command, "-g", "daemon off;"], stdout=log, stderr=log)
    try:
        wait_until(lambda: nginx_kit._listens(port))
        trust = ssl.create_default_context(cafile=str(chain))
        with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trust) as client:
            assert client.get(path).status_code == 502
            assert client.get("/api/v1/videos/").status_code == 502
    finally:
        process.terminate()
        process.wait(10)
        log.close()
    said = (tmp_path / "log").read_text()
    assert "/api/v1/videos/" in said
    assert "GRANT" not in said
