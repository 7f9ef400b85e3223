"""`manage.py doctor`: each check of config finds its fault, and the command says so."""

import json
import os
import resource
import shutil
import socket
import sqlite3
import ssl
import threading
import time
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core import checks
from django.core.management import call_command
from django.db import OperationalError, connection

from config import database, doctor, env
from config.doctor import deploy, servers
from config.management.commands.serve import Command as Serve
from config.tests.doctoring import findings, said, worst

pytestmark = pytest.mark.django_db

SAFE = {
    "PUBLIC_URL": "https://vod.example.com",
    "ALLOWED_HOSTS": ["vod.example.com"],
    "TRUSTED_PROXIES": ["127.0.0.1"],
    "ALLOW_HTTP": False,
}


@pytest.mark.parametrize(
    ("check", "values", "level"),
    [
        ("debug", {"DEBUG": False}, "ok"),
        ("debug", {"DEBUG": True, "ALLOWED_HOSTS": ["localhost"]}, "warning"),
        ("debug", {"DEBUG": True, "ALLOWED_HOSTS": ["vod.example.com"]}, "error"),
        ("debug", {"DEBUG": True, "ALLOWED_HOSTS": ["localhost"], "HOST": "0.0.0.0"}, "error"),  # noqa: S104
        ("hosts", SAFE, "ok"),
        ("hosts", {"ALLOWED_HOSTS": ["*"]}, "warning"),
        ("hosts", {**SAFE, "ALLOWED_HOSTS": ["other.example"]}, "error"),
        ("https", SAFE, "ok"),
        ("https", {**SAFE, "PUBLIC_URL": ""}, "warning"),
        ("https", {**SAFE, "PUBLIC_URL": "http://vod.example.com"}, "warning"),
        ("https", {**SAFE, "ALLOW_HTTP": True}, "warning"),
        ("https", {"ALLOWED_HOSTS": ["localhost"], "ALLOW_HTTP": True}, "ok"),
        ("proxies", SAFE, "ok"),
        ("proxies", {**SAFE, "TRUSTED_PROXIES": []}, "error"),
        ("proxies", {**SAFE, "TRUSTED_PROXIES": ["0.0.0.0/0"]}, "error"),
        ("proxies", {**SAFE, "TRUSTED_PROXIES": ["10.0.0.0/8", "::/0"]}, "error"),
        ("proxies", {**SAFE, "TRUSTED_PROXIES": ["10.0.0.0/8", "fd00::/32"]}, "ok"),
        ("proxies", {"PUBLIC_URL": "", "TRUSTED_PROXIES": []}, "ok"),
        ("cors", {"CORS_ALLOW_ALL_ORIGINS": True}, "warning"),
        ("cors", {"CORS_ALLOW_ALL_ORIGINS": False, "CORS_ORIGINS": ["https://a.example"]}, "ok"),
        ("secret_key", {}, "ok"),
        ("secret_key", {"SECRET_KEY_FALLBACKS": ["x" * 60]}, "warning"),
        ("secret_key", {"SECRET_KEY_FALLBACKS": ["short-fallback"]}, "error"),
        ("secret_key", {"SECRET_KEY": "k" * 60, "SECRET_KEY_FALLBACKS": ["k" * 60]}, "warning"),
        ("secret_key", {"SANDBOX_WEBHOOK_SECRETS": ["short"]}, "warning"),
        ("rate_limits", {"RATE_LIMITS": {"auth": 20, "stream": 60, "default": 300}}, "ok"),
        ("rate_limits", {"RATE_LIMITS": {"auth": 0, "default": 300}}, "error"),
        ("rate_limits", {"RATE_LIMITS": {"auth": 20, "default": 0}}, "warning"),
        ("web_workers", {"WEB_WORKERS": 1}, "ok"),
        ("web_workers", {"WEB_WORKERS": 64}, "warning"),
        ("python", {}, "ok"),
        ("time_zone", {}, "ok"),
        ("time_zone", {"TIME_ZONE": "Europe/Berlin"}, "warning"),
    ],
)
def test_settings(settings, monkeypatch, check, values, level):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    for name, value in values.items():
        setattr(settings, name, value)

    assert worst(check) == level
    assert "short-fallback" not in said(check)


@pytest.mark.parametrize(
    ("mode", "level"), [(0o600, "ok"), (0o400, "ok"), (0o640, "warning"), (0o644, "error")]
)
def test_a_file_of_secrets_that_others_can_read(monkeypatch, tmp_path, mode, level):
    path = tmp_path / ".env"
    path.touch(mode)
    path.chmod(mode)
    monkeypatch.setattr(env, "FILE", path)

    assert worst("env_file") == level


# --- the database and the cache -----------------------------------------------------------------


def test_a_whole_database_is_good():
    assert {worst("database"), worst("clock")} == {"ok"}
    if connection.vendor == "sqlite":  # the PostgreSQL of the tests does not wait for the disk
        assert worst("durability") == "ok"


@pytest.mark.parametrize(("fsync", "level"), [("on", "ok"), ("off", "error")])
def test_a_postgresql_that_does_not_wait_for_the_disk_is_an_error(monkeypatch, fsync, level):
    there = SimpleNamespace(vendor="postgresql", display_name="PostgreSQL")
    monkeypatch.setattr(servers, "connection", there)
    monkeypatch.setattr(servers, "_show", lambda name: fsync if name == "fsync" else "on")

    assert worst("durability") == level


@pytest.mark.programs
def test_missing_migrations_are_an_error_and_leave_the_checks_of_tables_out(monkeypatch):
    found = database._migrations()
    monkeypatch.setattr(database, "_migrations", lambda: found | {("videos", "9999_next")})
    examined = {each.check.name for each in doctor.examine()}

    assert "1 migrations are not applied: videos 9999_next." in said("database")
    assert {"database", "cache", "disk"} <= examined
    assert not {"worker", "gateway", "audit_triggers"} & examined


def test_a_database_that_is_away_is_an_error_without_its_password(monkeypatch, settings):
    monkeypatch.setenv("DATABASE_URL", "postgres://vod:hunter2hunter2@db.example/vod")

    def away():
        raise OperationalError("connection refused for vod:hunter2hunter2")

    monkeypatch.setitem(settings.DATABASES["default"], "PASSWORD", "hunter2hunter2")
    monkeypatch.setattr(database, "pending_migrations", away)
    text = said("database")

    assert worst("database") == "error"
    assert "***@db.example" in text
    assert "hunter2" not in text


def test_sqlite_without_a_write_ahead_log_is_an_error(monkeypatch):
    sqlite = SimpleNamespace(vendor="sqlite", display_name="SQLite")
    monkeypatch.setattr(servers, "connection", sqlite)
    modes = {"journal_mode": "delete", "synchronous": 2, "foreign_keys": 1}
    monkeypatch.setattr(servers, "_pragma", modes.get)

    assert worst("durability") == "error"
    assert "journal_mode" in said("durability")


@pytest.mark.parametrize(("skew", "level"), [(0.5, "ok"), (-10, "warning"), (3600, "error")])
@pytest.mark.postgres
def test_a_clock_that_differs_from_that_of_the_database(monkeypatch, skew, level):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite uses the clock of the machine")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + skew)

    assert worst("clock") == level


@pytest.mark.parametrize("back_end", ["locmem.LocMemCache", "dummy.DummyCache"])
def test_a_cache_that_processes_do_not_share_is_an_error(settings, back_end):
    assert worst("cache") == "ok"
    settings.CACHES = {"default": {"BACKEND": f"django.core.cache.backends.{back_end}"}}

    assert worst("cache") == "error"


def test_a_redis_that_is_away_is_an_error_and_limits_do_not_count(settings):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"redis://:secret-of-redis@127.0.0.1:{closed.getsockname()[1]}/0"
        settings.CACHES = {
            "default": {"BACKEND": "config.cache.ForgivingRedisCache", "LOCATION": url}
        }
        settings.CACHE_URL = url

        assert worst("cache") == "error"
        assert worst("rate_limits") == "error"
        assert "secret-of-redis" not in said("cache")


# --- folders ------------------------------------------------------------------------------------


@pytest.fixture
def folders(settings, tmp_path) -> Path:
    settings.DATA_DIR, settings.MEDIA_ROOT = tmp_path / "data", tmp_path / "data" / "media"
    settings.STATIC_ROOT = tmp_path / "data" / "static"
    (tmp_path / "data" / "media").mkdir(parents=True)
    folder: Path = tmp_path / "data"
    return folder


def test_good_folders(folders, settings):
    settings.STORAGE_RESERVE_BYTES = 1

    assert {worst(name) for name in ("media_writable", "media_private")} == {"ok"}
    assert list(settings.MEDIA_ROOT.iterdir()) == []  # nothing is left behind


def test_a_folder_that_is_gone_is_an_error(folders, settings):
    settings.MEDIA_ROOT.rmdir()

    assert worst("media_writable") == worst("disk") == "error"
    assert "No such file or directory" in said("media_writable")


def test_a_folder_with_another_file_system_in_it_is_an_error(folders, settings, monkeypatch):
    (settings.MEDIA_ROOT / "work").mkdir()
    real = Path.lstat

    def lstat(path):
        found = list(real(path))
        found[2] += path.name == "work"  # st_dev
        return os.stat_result(found)

    monkeypatch.setattr(Path, "lstat", lstat)

    assert worst("media_writable") == "error"
    assert "work in MEDIA_DIR is another file system" in said("media_writable")


def test_a_full_disk(folders, settings):
    settings.STORAGE_RESERVE_BYTES = 2**60
    assert worst("disk") == "error"

    free = shutil.disk_usage(folders).free
    settings.STORAGE_RESERVE_BYTES = free * 2 // 3
    assert worst("disk") == "warning"


@pytest.mark.parametrize("inside", ["static", "static/videos"])
def test_videos_below_the_static_files_are_an_error(folders, settings, inside):
    settings.MEDIA_ROOT = folders / inside

    assert worst("media_private") == "error"


def test_a_folder_of_a_web_server_is_a_warning(folders, settings):
    settings.MEDIA_ROOT = folders / "public_html" / "media"

    assert worst("media_private") == "warning"


@pytest.mark.parametrize(("mode", "level"), [(0o755, "warning"), (0o750, "ok")])
def test_a_folder_that_others_can_list(folders, settings, monkeypatch, mode, level):
    settings.MEDIA_ROOT.chmod(mode)
    monkeypatch.setattr(Path, "parents", property(lambda path: []))  # pytest's own are closed
    folders.chmod(0o700)

    assert worst("folder_mode") == level


# --- mail ---------------------------------------------------------------------------------------


@pytest.fixture
def mail_server(settings):
    """A socket in place of a mail server; it says what it is given, or nothing."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.DEFAULT_FROM_EMAIL = "vod@example.com"
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.EMAIL_HOST, settings.EMAIL_PORT = listener.getsockname()

        def serve(greeting: bytes) -> None:
            client, _ = listener.accept()
            with client:
                client.sendall(greeting)
                while line := client.recv(1000):
                    client.sendall(
                        b"221 bye\r\n" if line.startswith((b"quit", b"QUIT")) else b"250 fine\r\n"
                    )

        yield lambda greeting: threading.Thread(target=serve, args=[greeting], daemon=True).start()


def test_a_mail_server_that_answers(mail_server, settings):
    mail_server(b"220 mail.example.com\r\n")
    assert worst("mail") == "ok"

    mail_server(b"220 mail.example.com\r\n")
    settings.DEFAULT_FROM_EMAIL = "Videos <vod@localhost>"
    assert worst("mail") == "warning"


def test_a_mail_server_that_hangs_is_an_error_after_three_seconds(mail_server):
    began = time.monotonic()
    found = findings("mail")

    assert time.monotonic() - began < 5
    assert found[0].level == "error"
    assert "does not answer in time" in found[0].statement


def test_a_mail_server_that_is_away_or_refuses_is_an_error(mail_server, settings):
    mail_server(b"554 no\r\n")
    assert worst("mail") == "error"

    settings.EMAIL_HOST = "host.invalid"
    assert worst("mail") == "error"


def test_mails_that_go_to_the_log_are_a_warning(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

    assert worst("mail") == "warning"


# --- the machine --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "level"), [(-1, "ok"), (65536, "ok"), (1024, "warning"), (128, "error")]
)
def test_open_files(monkeypatch, limit, level):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, -1))

    assert worst("open_files") == level


def test_an_old_openssl_is_a_warning(monkeypatch):
    monkeypatch.setattr(ssl, "OPENSSL_VERSION_INFO", (1, 1, 1, 0, 0))

    assert worst("python") == "warning"


# --- the command --------------------------------------------------------------------------------


def finding(level: str) -> doctor.Finding:
    if level == "ok":
        return doctor.ok("All is well.")
    return doctor.Finding(doctor.Level(level), f"There is a fault of level {level}.", "Mend it.")


@pytest.fixture
def only(monkeypatch):
    """Register only these checks."""

    def register(**finds) -> None:
        monkeypatch.setattr(doctor, "_checks", {})
        monkeypatch.setattr(doctor, "autodiscover_modules", lambda name: None)
        for name, find in finds.items():
            doctor.check("Machine", name, seconds=0.3, at_start=True)(find)

    return register


def run(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("doctor", *arguments, stdout=out)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


@pytest.mark.parametrize(
    ("levels", "arguments", "status"),
    [
        (["ok"], [], 0),
        (["ok", "warning"], [], 0),
        (["ok", "warning"], ["--strict"], 1),
        (["ok"], ["--strict"], 0),
        (["warning", "error"], [], 1),
        (["error"], ["--json"], 1),
        (["warning"], ["--json"], 0),
        (["warning"], ["--json", "--strict"], 1),
    ],
)
def test_the_exit_status(only, levels, arguments, status):
    only(one=lambda: [finding(level) for level in levels])

    assert run(*arguments)[0] == status


def test_lines_fit_80_columns_and_have_no_colour_where_there_is_no_terminal(only):
    only(one=lambda: [doctor.warning("word " * 60, "other " * 60), finding("ok")])
    text = run()[1]

    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "→ other" in text
    assert text.endswith("no errors, 1 warning.\n")
    assert "\x1b" in run("--force-color")[1]


def test_json_has_every_finding(only):
    only(one=lambda: [finding("ok")], two=lambda: [finding("warning")])
    content = json.loads(run("--json")[1])

    assert (content["status"], content["errors"], content["warnings"]) == ("warning", 0, 1)
    assert content["findings"][1] == {
        "check": "doctor.two",
        "topic": "Machine",
        "level": "warning",
        "statement": "There is a fault of level warning.",
        "remedy": "Mend it.",
    }


def test_a_check_that_fails_or_hangs_is_one_finding_and_the_others_go_on(only, monkeypatch):
    monkeypatch.undo()  # the checks run in threads of their own
    end = threading.Event()

    def fails():
        raise sqlite3.Error("odd")

    only(fails=fails, hangs=lambda: end.wait(30), well=lambda: [finding("ok")])
    began = time.monotonic()
    status, text = run()
    end.set()

    assert time.monotonic() - began < 5
    assert status == 1
    assert "The check fails failed with Error: odd" in text
    assert "The check hangs got no answer within" in text
    assert "All is well." in text


def test_an_accepted_warning_is_shown_as_ok(only, settings):
    only(one=lambda: [finding("warning")])
    settings.SILENCED_SYSTEM_CHECKS = ["doctor.one"]
    status, text = run("--strict")

    assert status == 0
    assert "(accepted by SILENCED_CHECKS=doctor.one)" in " ".join(text.split())


def test_no_secret_is_shown(only, settings):
    settings.STRIPE_SECRET_KEY = "sk_live_0123456789"
    only(one=lambda: [doctor.error(f"{settings.SECRET_KEY} and sk_live_0123456789", "Mend it.")])
    text = run("--json")[1]

    assert settings.SECRET_KEY not in text
    assert "*** and ***" in text


def test_check_deploy_tells_the_same_warnings_and_errors(only):
    only(one=lambda: [finding("ok"), finding("warning")], two=lambda: [finding("error")])
    messages = deploy.findings_of_the_doctor(None)

    assert [(each.id, each.level, each.hint) for each in messages] == [
        ("doctor.one", checks.WARNING, "Mend it."),
        ("doctor.two", checks.ERROR, "Mend it."),
    ]
    assert deploy.findings_of_the_doctor in checks.registry.registry.get_checks(True)


def test_the_checks_of_django_are_among_the_findings(settings):
    assert worst("django") == "ok" or "security." in said("django")
    settings.SESSION_COOKIE_SECURE = False

    assert "security.W01" in said("django")


def test_make_run_shows_what_the_quick_checks_find(only, monkeypatch):
    only(one=lambda: [finding("ok"), finding("error")])
    out = StringIO()
    Serve(stdout=out).show_faults()

    assert out.getvalue().splitlines() == [
        "Error: There is a fault of level error.",
        "  Mend it.",
        "  `manage.py doctor` examines everything.",
    ]


@pytest.mark.programs
def test_the_quick_checks_take_a_moment():
    list(doctor.examine(at_start=True))
    began = time.process_time()
    list(doctor.examine(at_start=True))

    assert time.process_time() - began < 0.3
