"""Settings from the environment: a wrong or missing value stops the start and is named."""

import ast
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from config import bootstrap, env

GOOD = {"SECRET_KEY": "k7Jq2mZx-9vTnB4rWsLdPf8gHyCaEuRi3oXt6wQz1NbMvKjYhGpSd0"}


def settings_with(monkeypatch, tmp_path, **values) -> dict:
    """Return the names of config/settings.py, read again under another environment."""
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


def test_a_good_environment_is_used(monkeypatch, tmp_path):
    values = settings_with(
        monkeypatch, tmp_path, DEBUG="No", PORT=" 8080 ", ALLOWED_HOSTS="a.example, b.example,",
        RATE_LIMIT_AUTH="", ALLOW_HTTP="false",
    )  # fmt: skip

    assert (values["DEBUG"], values["PORT"]) == (False, 8080)
    assert values["ALLOWED_HOSTS"] == ["a.example", "b.example"]
    assert values["RATE_LIMITS"]["auth"] == 20
    assert values["SECURE_SSL_REDIRECT"] is True
    assert values["PASSWORD_HASHERS"][0].endswith("Argon2PasswordHasher")


def test_no_two_purposes_share_a_key(monkeypatch, tmp_path):
    values = settings_with(monkeypatch, tmp_path)
    keys = [values["SIMPLE_JWT"]["SIGNING_KEY"], values["STREAM_KEY"], values["GRANT_KEY"].hex()]

    assert len({*keys, values["SECRET_KEY"]}) == 4
    assert {len(key) for key in keys} == {64}


@pytest.mark.parametrize(
    ("name", "value"),
    [("SECRET_KEY", "short"), ("PORT", "http"), ("DATABASE_URL", "mysql://x/y")],
)
def test_a_wrong_value_stops_the_start(tmp_path, name, value):
    run = manage("check", DATA_DIR=str(tmp_path), **{name: value})

    assert run.returncode != 0
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("django.core.exceptions.ImproperlyConfigured: ")
    assert name in last
    if name == "SECRET_KEY":
        assert "short" not in last.removeprefix(name)


def test_a_fresh_installation_is_fit_to_be_deployed(tmp_path):
    run = manage("check", "--deploy", "--fail-level", "WARNING", DATA_DIR=str(tmp_path), DEBUG="")

    assert run.returncode == 0, run.stderr
    assert "no issues" in run.stdout


def test_a_debug_installation_is_not_fit_to_be_deployed(tmp_path):
    run = manage(
        "check", "--deploy", "--fail-level", "WARNING", DATA_DIR=str(tmp_path), DEBUG="true"
    )

    assert run.returncode != 0


@pytest.mark.django_db
def test_the_models_have_all_their_migrations():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


# Read from the environment, but no line of a .env: it names the .env itself.
NOT_IN_THE_FILE = {"ENV_FILE"}
OF_CONFIG = {"secret", "number", "flag", "choice", "words", "text", "folder", "database", "mail"}
READERS = OF_CONFIG | {f"env.{name}" for name in OF_CONFIG} | {"os.environ.get", "os.getenv"}


def product_files() -> list[Path]:
    """Every Python file of the repository that is not a test."""
    skipped = {"tests", ".venv", "var"}
    files = env.BASE_DIR.rglob("*.py")
    return [path for path in files if not skipped & set(path.relative_to(env.BASE_DIR).parts)]


def variables_read(path: Path) -> set[str]:
    """The environment variables that a file reads, through config.env or from os.environ."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args:
            if ast.unparse(node.func) in READERS:
                names.add(node.args[0])
        elif (
            isinstance(node, ast.Subscript)
            and isinstance(node.ctx, ast.Load)
            and ast.unparse(node.value) == "os.environ"
        ):
            names.add(node.slice)
    return {str(name.value) for name in names if isinstance(name, ast.Constant)}


def test_the_example_explains_exactly_the_variables_that_are_read():
    """A line that nothing reads misleads; a variable without a line cannot be found."""
    lines = (env.BASE_DIR / ".env.example").read_text(encoding="utf-8").splitlines()
    explained = [line.split("=")[0] for line in lines if "=" in line and line[0] != "#"]
    read = set().union(*(variables_read(path) for path in product_files())) - NOT_IN_THE_FILE

    assert len(explained) == len(set(explained))
    assert set(explained) - read == set()
    assert read - set(explained) == set()


def test_other_reads_of_the_environment_are_seen(tmp_path):
    source = tmp_path / "module.py"
    source.write_text(
        "import os\n"
        "A = env.text('ONE'), number('TWO', 2), os.environ.get('THREE'), os.getenv('FOUR')\n"
        "B = os.environ['FIVE']\n"
        "os.environ['SIX'] = 'written, not read'\n"
    )

    assert variables_read(source) == {"ONE", "TWO", "THREE", "FOUR", "FIVE"}


def test_a_mail_url_sets_the_mail_settings(monkeypatch, tmp_path):
    values = settings_with(
        monkeypatch, tmp_path, EMAIL_URL="smtp+tls://ann:p%40ss@mail.example:587"
    )

    assert {name: values[name] for name in values if name.startswith("EMAIL_")} == {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": "mail.example",
        "EMAIL_PORT": 587,
        "EMAIL_HOST_USER": "ann",
        "EMAIL_HOST_PASSWORD": "p@ss",
        "EMAIL_USE_TLS": True,
        "EMAIL_USE_SSL": False,
        "EMAIL_FILE_PATH": "",
    }


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


@pytest.mark.parametrize("command", ["verify_ledger", "seed"])
def test_a_database_without_tables_is_told_in_words(tmp_path, command):
    done = manage(command, DATA_DIR=str(tmp_path), DATABASE_URL="")

    assert done.returncode == 1
    assert done.stderr.startswith("The database refused: no such table: ")
    assert "`manage.py migrate` makes missing tables" in done.stderr
    assert "Traceback" not in done.stderr
