"""The first start writes a .env with secrets of its own."""

import pytest

from config import bootstrap


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
