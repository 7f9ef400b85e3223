"""The installation says what this machine lacks, and is taken up again when it was interrupted."""

import importlib.util
import subprocess
import sys
from types import SimpleNamespace

import pytest

from config import bootstrap, env

spec = importlib.util.spec_from_file_location("install", env.BASE_DIR / "deploy" / "install.py")
assert spec is not None
assert spec.loader is not None
install = importlib.util.module_from_spec(spec)
spec.loader.exec_module(install)


class Version(tuple):
    """What sys.version_info is in another Python."""


@pytest.mark.parametrize("version", [(3, 10, 13), (3, 6, 15)])
def test_an_old_python_says_which_one_is_needed(monkeypatch, version):
    monkeypatch.setattr(sys, "version_info", Version(version))

    assert install.fault().startswith("Python 3.11 or newer is needed, and ")
    assert f"is 3.{version[1]}. " in install.fault()
    assert "make run PYTHON=python3.12" in install.fault()


def test_the_command_line_of_an_old_python_says_it_too():
    """manage.py is compiled for the first Python with f-strings, and refuses before it imports."""
    program = (
        "import sys; sys.version_info = (3, 10, 13, 'final', 0); sys.argv = ['manage.py', 'check'];"
        " exec(compile(open('manage.py').read(), 'manage.py', 'exec'))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=env.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 1
    assert run.stderr.startswith("Python 3.11 or newer is needed, and this is 3.10. ")
    assert len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_python_without_a_module_says_how_to_get_it(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)

    assert f"This Python has no module {module}." in install.fault()
    assert "apt install python3-venv" in install.fault()


@pytest.mark.programs
def test_a_folder_that_cannot_be_written_is_one_sentence(capfd):
    assert install.install("/dev/null/.venv", "requirements.txt") == 1

    said = capfd.readouterr().err
    assert said.startswith("The virtual environment /dev/null/.venv cannot be made (")
    assert said.endswith("make run VENV=/path/to/a/new/folder\n")


def test_half_a_virtual_environment_is_made_again(monkeypatch, tmp_path):
    """Ctrl-C may leave a folder with Python and without pip."""
    made: list[str] = []
    called: list[tuple[str, ...]] = []
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/bin/false")
    builder = SimpleNamespace(create=made.append)
    monkeypatch.setattr("venv.EnvBuilder", lambda **options: builder)

    def call(*arguments: str, quietly: bool = False) -> int:
        called.append(arguments)
        return 1 if quietly else 0

    monkeypatch.setattr(install, "call", call)

    assert install.install(str(tmp_path), "requirements.txt") == 0
    assert made == [str(tmp_path)]
    assert called[-1][-2:] == ("-r", "requirements.txt")


def test_what_pip_cannot_install_is_said(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(install, "call", lambda *arguments, **_: int("-r" in arguments))

    assert install.install(str(tmp_path), "requirements.txt") == 1
    assert "pip could not install requirements.txt" in capfd.readouterr().err


def test_a_folder_without_write_access_is_one_sentence(monkeypatch, capfd, tmp_path):
    monkeypatch.setattr(bootstrap, "TARGET", tmp_path / "nowhere" / ".env")
    for name in ("ENV_FILE", "SECRET_KEY"):
        monkeypatch.delenv(name)

    assert bootstrap.main() == 1

    said = capfd.readouterr().err
    assert said.startswith(
        f"{tmp_path}/nowhere/.env cannot be written (No such file or directory)."
    )
    assert len(said.splitlines()) == 1
