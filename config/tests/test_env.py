"""The environment: a wrong or missing value stops the start and names itself."""

import os
import re
import runpy
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from config import bootstrap, env

GOOD = {"SECRET_KEY": "k7Jq2mZx-9vTnB4rWsLdPf8gHyCaEuRi3oXt6wQz1NbMvKjYhGpSd0"}


def settings_with(monkeypatch, tmp_path, **values) -> dict:
    """config/settings.py, read again under another environment."""
    for name, value in {"DATA_DIR": str(tmp_path), **GOOD, **values}.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(env.BASE_DIR / "config" / "settings.py"))


def manage(*arguments, **values) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in os.environ.items() if name != "ALLOW_HTTP"}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=env.BASE_DIR,
        env={**clean, **GOOD, **values},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "a" * 60),
        ("SECRET_KEY", "abcabcabc" * 10),
        ("SECRET_KEY", "change-me-0123456789-abcdefghijklmnopqrstuvwxyz-0123456789"),
        ("DEBUG", "maybe"),
        ("PORT", "http"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "20 01"),
        ("WEB_WORKERS", "0"),
        ("WEB_WORKERS", "-1"),
        ("WEB_WORKERS", "1.5"),
        ("CACHE_URL", "memcached://localhost"),
        ("CACHE_URL", "localhost:6379"),
        ("DATABASE_URL", "mysql://localhost/vod"),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "postgres://user:pass@host:port/name"),
        ("ALGORITHM", "none"),
        ("ALGORITHM", "RS256"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "0"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "1441"),
        ("REFRESH_TOKEN_EXPIRE_DAYS", "365"),
        ("RATE_LIMIT_AUTH", "-1"),
        ("RATE_LIMIT_DEFAULT", "many"),
        ("ANONYMOUS_PLAYBACK", "2"),
        ("UPLOAD_MAX_BYTES", "20G"),
        ("FFMPEG_SANDBOX", "docker"),
        ("FFMPEG_PRESET", "placebo"),
        ("JOB_LEASE_SECONDS", "1"),
        ("PLAYBACK_GRANT_HOURS", "73"),
        ("BIND_PLAYBACK", "yes"),
        ("PAYMENT_GATEWAY", "paypal"),
        ("PLATFORM_FEE_BPS", "10001"),
        ("AUDIT_READS", "nein"),
        ("ALLOW_HTTP", "perhaps"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
@pytest.mark.filterwarnings("ignore:Engine not recognized")
def test_a_wrong_value_names_its_setting(monkeypatch, tmp_path, name, value):
    with pytest.raises(ImproperlyConfigured, match=name):
        settings_with(monkeypatch, tmp_path, **{name: value})


def test_a_folder_that_cannot_be_made_names_its_setting(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ImproperlyConfigured, match="MEDIA_DIR"):
        settings_with(monkeypatch, tmp_path, MEDIA_DIR=str(tmp_path / "file" / "media"))


def test_a_good_environment_is_taken(monkeypatch, tmp_path):
    found = settings_with(
        monkeypatch, tmp_path, DEBUG="No", PORT=" 8080 ", ALLOWED_HOSTS="a.example, b.example,",
        RATE_LIMIT_AUTH="", ALLOW_HTTP="false",
    )  # fmt: skip

    assert (found["DEBUG"], found["PORT"]) == (False, 8080)
    assert found["ALLOWED_HOSTS"] == ["a.example", "b.example"]
    assert found["RATE_LIMITS"]["auth"] == 20
    assert found["SECURE_SSL_REDIRECT"] is True
    assert found["PASSWORD_HASHERS"][0].endswith("Argon2PasswordHasher")


def test_no_two_purposes_share_a_key(monkeypatch, tmp_path):
    found = settings_with(monkeypatch, tmp_path)
    keys = [found["SIMPLE_JWT"]["SIGNING_KEY"], found["STREAM_KEY"], found["GRANT_KEY"].hex()]

    assert len({*keys, found["SECRET_KEY"]}) == 4
    assert {len(key) for key in keys} == {64}


@pytest.mark.parametrize(
    ("name", "value"),
    [("SECRET_KEY", "short"), ("PORT", "http"), ("DATABASE_URL", "mysql://x/y")],
)
def test_a_wrong_value_stops_the_start(tmp_path, name, value):
    found = manage("check", DATA_DIR=str(tmp_path), **{name: value})

    assert found.returncode != 0
    last = found.stderr.strip().splitlines()[-1]
    assert last.startswith("django.core.exceptions.ImproperlyConfigured: ")
    assert name in last
    if name == "SECRET_KEY":
        assert "short" not in last.removeprefix(name)


def test_a_fresh_installation_is_fit_to_be_deployed(tmp_path):
    found = manage("check", "--deploy", "--fail-level", "WARNING", DATA_DIR=str(tmp_path), DEBUG="")

    assert found.returncode == 0, found.stderr
    assert "no issues" in found.stdout


def test_a_debug_installation_is_not(tmp_path):
    found = manage(
        "check", "--deploy", "--fail-level", "WARNING", DATA_DIR=str(tmp_path), DEBUG="true"
    )

    assert found.returncode != 0


@pytest.mark.django_db
def test_the_models_have_all_their_migrations():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_every_name_of_the_example_is_read_and_every_name_read_is_in_the_example():
    source = (env.BASE_DIR / "config" / "settings.py").read_text(encoding="utf-8")
    example = (env.BASE_DIR / ".env.example").read_text(encoding="utf-8").splitlines()
    explained = {line.split("=")[0] for line in example if "=" in line and line[0] != "#"}
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', source))

    assert explained - read == set()
    assert read - explained <= {"STATIC_DIR"}


@pytest.fixture
def env_file(tmp_path, monkeypatch):
    monkeypatch.setattr(bootstrap, "TARGET", tmp_path / ".env")
    return tmp_path / ".env"


def values_of(path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and line[0] != "#")


def test_the_first_start_writes_secrets_of_its_own(env_file):
    password = bootstrap.write_env({})

    values = values_of(env_file)
    assert len(values["SECRET_KEY"]) >= 50
    assert len(set(values["SECRET_KEY"])) >= 10
    assert values["DEFAULT_ADMIN_PASSWORD"] == password
    assert len(password) == 16
    assert env_file.stat().st_mode & 0o777 == 0o600


def test_the_second_start_changes_nothing(env_file):
    bootstrap.write_env({})
    before = env_file.read_bytes()

    assert bootstrap.write_env({}) is None
    assert env_file.read_bytes() == before


def test_two_installations_share_no_secret(env_file):
    first = (bootstrap.write_env({}), values_of(env_file)["SECRET_KEY"])
    env_file.unlink()
    second = (bootstrap.write_env({}), values_of(env_file)["SECRET_KEY"])

    assert set(first).isdisjoint(second)


def test_a_password_of_the_environment_does_not_land_on_the_disk(env_file):
    assert bootstrap.write_env({"DEFAULT_ADMIN_PASSWORD": "given from outside"}) is None
    assert values_of(env_file)["DEFAULT_ADMIN_PASSWORD"] == ""
    assert "given from outside" not in env_file.read_text()
