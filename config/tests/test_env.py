"""Settings from the environment, and the .env.example that explains them."""

import ast
import inspect
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command

from config import dotenv, env, env_brand, env_drm, env_files, env_storage, env_urls

GOOD = {"SECRET_KEY": "k7Jq2mZx-9vTnB4rWsLdPf8gHyCaEuRi3oXt6wQz1NbMvKjYhGpSd0"}


def settings_with(monkeypatch, tmp_path, **values) -> dict:
    """Return the names of config/settings.py, read again under another environment."""
    for name, value in {"DATA_DIR": str(tmp_path), **GOOD, **values}.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(env.BASE_DIR / "config" / "settings.py"))


def python(*arguments: str, **values: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the project's folder, with good settings except for ``values``."""
    own = {"ALLOW_HTTP", "DATABASE_URL"}  # of the test suite
    clean = {name: value for name, value in os.environ.items() if name not in own}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=env.BASE_DIR,
        env={**clean, **GOOD, **values},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_good_environment_is_used(monkeypatch, tmp_path):
    values = settings_with(
        monkeypatch, tmp_path, DEBUG="No", PORT=" 8080 ", ALLOWED_HOSTS="a.example, b.example,",
        RATE_LIMIT_AUTH="", ALLOW_HTTP="false",
    )  # fmt: skip

    assert (values["DEBUG"], values["PORT"]) == (False, 8080)
    assert values["ALLOWED_HOSTS"] == ["a.example", "b.example"]
    assert values["RATE_LIMITS"]["auth"] == 20
    assert values["SECURE_SSL_REDIRECT"] is True
    assert values["PASSWORD_HASHERS"][0].endswith("OwaspArgon2Hasher")


def test_no_two_purposes_share_a_key(monkeypatch, tmp_path):
    values = settings_with(monkeypatch, tmp_path)
    keys = [values["SIMPLE_JWT"]["SIGNING_KEY"], values["STREAM_KEY"]]
    keys += [values[name].hex() for name in ("GRANT_KEY", "ADDRESS_NAME_KEY")]

    assert len({*keys, values["SECRET_KEY"]}) == 5
    assert {len(key) for key in keys} == {64}


LIMITS = dict.fromkeys(("RATE_LIMIT_AUTH", "RATE_LIMIT_STREAM", "RATE_LIMIT_DEFAULT"), "")
OF_THIS_MACHINE = {"doctor.ffmpeg", "doctor.isolation", "doctor.open_files", "doctor.disk"}


@pytest.mark.long
def test_a_fresh_installation_lacks_only_its_database_and_its_surroundings(tmp_path):
    tmp_path.chmod(0o700)
    values = {"DATA_DIR": str(tmp_path), "DEBUG": "", **LIMITS}
    command = ("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    run = python(*command, **values)
    named = set(re.findall(r"^\?: \((\S+)\)", run.stderr, re.MULTILINE))

    assert run.returncode == 1
    assert named - OF_THIS_MACHINE == {"doctor.database", "doctor.cors", "doctor.mail"}

    run = python(*command, **values, SILENCED_CHECKS=",".join(named | OF_THIS_MACHINE))
    assert run.returncode == 0, run.stderr
    assert "no issues" in run.stdout


@pytest.mark.long
def test_a_debug_installation_is_not_fit_to_be_deployed(tmp_path):
    run = python(
        "manage.py",
        "check",
        "--deploy",
        "--fail-level",
        "WARNING",
        DATA_DIR=str(tmp_path),
        DEBUG="true",
    )

    assert run.returncode != 0


@pytest.mark.django_db
def test_the_models_have_all_their_migrations():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


# Read from the environment, but no line of a .env: its own name, what the supervisor tells its programs,
# and what a benchmark tells the server that it measures.
NOT_IN_THE_FILE = {"ENV_FILE", "SUPERVISOR_PIDFILE", "AT_ONCE"}
NO_READERS = {
    "wrong",
    "finish",
    "load",
    "masked",
    "printable",
    "derived_key",
    "make_folder",
    "require_all",
    "licence_servers",
}
OF_CONFIG = {
    f"{module.__name__.removeprefix('config.')}.{name}"
    for module in (env, env_brand, env_drm, env_files, env_storage, env_urls)
    for name, value in vars(module).items()
    if inspect.isfunction(value) and name[0] != "_" and name not in NO_READERS
}
READERS = OF_CONFIG | {"os.environ.get", "os.getenv"}


def product_files() -> list[Path]:
    """Every Python file of the repository that is not a test.

    Hidden folders are not read: other tests make and remove folders in them at the same moment.
    """
    files: list[Path] = []
    for folder, inside, names in os.walk(env.BASE_DIR):
        inside[:] = [each for each in inside if each[0] != "." and each not in {"tests", "var"}]
        files += [Path(folder, name) for name in names if name.endswith(".py")]
    return files


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


EXAMPLE = dotenv.parse(env.BASE_DIR / ".env.example")[0]


def test_the_example_explains_exactly_the_variables_that_are_read():
    """A line that nothing reads misleads; a variable without a line cannot be found."""
    lines = (env.BASE_DIR / ".env.example").read_text(encoding="utf-8").splitlines()
    explained = [line.split("=")[0] for line in lines if "=" in line and line[0] != "#"]
    read = set().union(*(variables_read(path) for path in product_files())) - NOT_IN_THE_FILE

    assert len(explained) == len(set(explained))
    assert set(explained) - read == set()
    assert read - set(explained) == set()


def test_the_values_of_the_example_are_the_defaults(monkeypatch, tmp_path):
    """Copying the file therefore changes nothing but the secrets."""
    for name in list(os.environ):
        if name in EXAMPLE:
            monkeypatch.delenv(name)
    default = settings_with(monkeypatch, tmp_path)
    for name in EXAMPLE:
        if EXAMPLE[name]:
            monkeypatch.setenv(name, EXAMPLE[name])
    copied = settings_with(monkeypatch, tmp_path)

    assert {name: copied[name] for name in copied if name.isupper()} == {
        name: default[name] for name in default if name.isupper()
    }


def test_other_reads_of_the_environment_are_seen(tmp_path):
    source = tmp_path / "module.py"
    source.write_text(
        "import os\n"
        "A = env.text('ONE'), env.number('TWO', 2), os.environ.get('THREE'), os.getenv('FOUR')\n"
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
