"""A .env file is read as the tools of other projects write it."""

import os

import pytest

from config import dotenv, env
from config.tests.test_env import GOOD, python


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("A=b", "A", "b"),
        ("A=", "A", ""),
        ("  A = b c  ", "A", "b c"),
        ("export A=b", "A", "b"),
        ("A=b # why", "A", "b"),
        ("A= # why", "A", ""),
        ("A=b#c", "A", "b#c"),
        ("A=#b", "A", "#b"),
        ("A=b=c", "A", "b=c"),
        ("A=$B ${C} \\d", "A", "$B ${C} \\d"),
        ("A='b # c' # why", "A", "b # c"),
        ("A='b \"c\\'", "A", 'b "c\\'),
        ('A="b # c"', "A", "b # c"),
        ('A="say \\"hi\\" \\\\"', "A", 'say "hi" \\'),
        ("A=it's", "A", "it's"),
        ("A=b\r", "A", "b"),
        ("\ufeffA=b", "A", "b"),
        ("A=one\nA=two", "A", "two"),
        ("\n# A=c\n\t\nA=ü", "A", "ü"),
    ],
)
def test_a_line_gives_its_value(tmp_path, line, name, value):
    file = tmp_path / ".env"
    file.write_bytes(line.encode())

    assert dotenv.parse(file) == ({name: value}, {})


@pytest.mark.parametrize(
    "line",
    [
        "hunter2",
        "= hunter2",
        "A B=hunter2",
        "A-B=hunter2",
        "A='hunter2",
        'A="hunter2" x',
        "A=hunter2\0",
    ],
)
def test_a_wrong_line_is_named_by_its_number_and_not_shown(tmp_path, line):
    file = tmp_path / ".env"
    file.write_text(f"# comment\nGOOD=1\n{line}\nALSO=2\n")

    values, faults = dotenv.parse(file)

    assert values == {"GOOD": "1", "ALSO": "2"}
    assert list(faults) == [f"{file}, line 3"]
    assert "hunter2" not in faults[f"{file}, line 3"]


def test_a_file_that_is_no_text_is_named(tmp_path):
    file = tmp_path / ".env"
    file.write_bytes("A=b\n".encode("utf-16"))

    assert dotenv.parse(file)[1] == {
        "ENV_FILE": f"{file} is not a UTF-8 text file; save it as UTF-8"
    }


def test_the_environment_wins_over_the_file(tmp_path, monkeypatch):
    file = tmp_path / ".env"
    file.write_text("VOD_TEST_ONE=file\nVOD_TEST_TWO=file\n")
    monkeypatch.setenv("VOD_TEST_ONE", "environment")
    monkeypatch.delenv("VOD_TEST_TWO", raising=False)

    env.load(file, must_exist=True)

    assert (os.environ.pop("VOD_TEST_TWO"), os.environ["VOD_TEST_ONE"]) == ("file", "environment")


@pytest.mark.parametrize(
    ("place", "reason"),
    [("nowhere.env", "No such file or directory"), ("", "Is a directory")],
)
def test_an_unreadable_file_is_one_line(tmp_path, place, reason):
    run = python("manage.py", "check", ENV_FILE=str(tmp_path / place), DATA_DIR=str(tmp_path))

    assert run.returncode == 1
    assert run.stderr.splitlines()[1:] == [
        f"  ENV_FILE: {tmp_path / place} cannot be read ({reason})."
    ]


def test_the_files_of_users_work(tmp_path):
    """With a byte order mark, Windows line ends, quotes, comments and a URL of SQLAlchemy."""
    file = tmp_path / "their.env"
    lines = [
        "# ours", f'SECRET_KEY="{GOOD["SECRET_KEY"]}"', "export DEBUG=False  # production",
        f"DATABASE_URL='sqlite+aiosqlite:///{tmp_path}/app.db'", "POSTGRES_HOST=db", "",
    ]  # fmt: skip
    file.write_bytes(("\ufeff" + "\r\n".join(lines)).encode())
    program = (
        "from django.conf import settings as s; print(s.DATABASES['default']['NAME'], s.DEBUG)"
    )

    run = python(
        "-c", program, ENV_FILE=str(file), DATA_DIR=str(tmp_path),
        DJANGO_SETTINGS_MODULE="config.settings",
    )  # fmt: skip

    assert (run.stdout, run.stderr) == (f"{tmp_path}/app.db False\n", "")


def test_a_misspelt_name_is_a_warning(tmp_path):
    file = tmp_path / ".env"
    file.write_text("ALOWED_HOSTS=a.example\nPOSTGRES_HOST=db\n")

    run = python("manage.py", "check", ENV_FILE=str(file), DATA_DIR=str(tmp_path))

    assert run.returncode == 0
    assert run.stderr.splitlines() == [
        f"Warning: {file} sets ALOWED_HOSTS, but no such setting exists."
        " If ALLOWED_HOSTS is meant, correct the name."
    ]
