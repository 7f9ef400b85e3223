"""The tour of the README, run as by a reader. ``python -m config.tests.tour`` writes its output again.

A new clone is made, and ``make run`` starts the service in it, with a .env, data and a port of its own.
Then every line goes into one fresh shell. Two things differ from what a reader does:

* git finds the working tree, with uncommitted changes, at the address that the README names;
* the clone's virtual environment uses the packages installed here, so that nothing is downloaded.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import urllib.request
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PORT = "2001"
CLONE, RUN = "git clone ", "make run"
SECONDS = 90  # for one line: processing a video takes the longest, and the machine may be busy
MARK = "=== the line has ended ==="

# The parts of an answer that differ from run to run, and "…", which stands for any text.
VARYING = {
    r"[0-9a-f]{8}-…": r"[0-9a-f-]{36}",
    r"/media/[\w-]{16}…/": r"/media/[\w.-]+/",
    r"/[0-9a-f]{12}/": None,
    r"BANDWIDTH=\d+": None,
    r"avc1\.[0-9a-f]{6}": None,
    r"…": r".*",
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}": None,
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z": None,
    r"\d+\.\d MB": None,
    r"\d+\.\d s\b": None,
}
# The tour shows the beginning of an id and of a secret, and the useful part of a playlist.
SHORT = [
    (re.compile(r"([0-9a-f]{8})(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), r"\1-…"),
    (re.compile(r"(/media/[\w-]{16})[\w.-]+"), r"\1…"),
    (re.compile(r"(FRAME-RATE=[\d.]+,).*"), r"\1…"),
]


@dataclass(frozen=True)
class Step:
    """One command of the tour, with the output that the README shows below it."""

    command: str
    shown: str

    def explains(self, output: str) -> bool:
        """Return whether ``output`` is the shown one, apart from the parts that vary."""
        parts = re.split(f"({'|'.join(VARYING)})", self.shown)
        patterns = [
            _any_like(part) if number % 2 else re.escape(part) for number, part in enumerate(parts)
        ]
        return re.fullmatch("".join(patterns), output) is not None


def _any_like(part: str) -> str:
    """Return the pattern of all values that may stand in the place of a varying ``part``."""
    for pattern, others in VARYING.items():
        if re.fullmatch(pattern, part):
            return others or pattern
    raise ValueError(part)


def steps(text: str) -> list[Step]:
    """Return the commands of all console blocks of a page, in their order.

    A command begins with "$ ". It goes on while its line ends with a backslash or a quote is open.
    """
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.rstrip("\n").split("\n")
            length = 1
            while lines[length - 1].endswith("\\") or "\n".join(lines[:length]).count("'") % 2:
                length += 1
            found.append(Step("\n".join(lines[:length]), "\n".join(lines[length:])))
    return found


def run(tour: list[Step]) -> Iterator[tuple[Step, str]]:
    """Run the tour; yield each step with its real output, as soon as it has ended.

    The port is replaced by a free one, and stands as the README's own in the output.
    """
    with tempfile.TemporaryDirectory(prefix="vod-tour-") as name, contextlib.ExitStack() as stack:
        home = Path(name)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        address = next(step.command.split()[2] for step in tour if step.command.startswith(CLONE))
        _publish_working_tree(home, address)
        # A quicker preset saves ten seconds. It changes the sizes of the files and the profile.
        quick = {"FFMPEG_PRESET": "ultrafast"}
        fresh = {"PATH": os.environ["PATH"], "HOME": name, "PORT": port, **quick}
        shell = stack.enter_context(_Shell(home, fresh))
        for step in tour:
            if step.command == RUN:
                stack.enter_context(_served(shell.folder(), fresh, port))
                yield step, ""
                continue
            output = shell.answer(step.command.replace(f":{PORT}", f":{port}"))
            if step.command.startswith(CLONE):
                output = ""  # git's own words differ from version to version
                _lend_packages(shell.folder())
            yield step, output.replace(f":{port}", f":{PORT}")


def _publish_working_tree(home: Path, address: str) -> None:
    """Make a repository of the working tree's files, and let git take it for ``address``."""
    repository = home / "origin.git"
    git = ["git", f"--git-dir={repository}", "-c", "user.name=-", "-c", "user.email=-"]
    for command in (
        ["git", "init", "--quiet", "--bare", str(repository)],
        [*git, f"--work-tree={ROOT}", "add", "--all"],
        [*git, f"--work-tree={ROOT}", "commit", "--quiet", "--message=The working tree"],
    ):
        subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "HOME": str(home)})
    (home / ".gitconfig").write_text(f'[url "{repository}"]\n  insteadOf = {address}\n')


def _lend_packages(clone: Path) -> None:
    """Make the clone's virtual environment, with the packages and programs of the running Python."""
    folder = clone / ".venv"
    venv.create(folder, symlinks=True)
    packages = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    Path(packages, "lent.pth").write_text(sysconfig.get_path("purelib"))
    for program in Path(sys.executable).parent.glob("supervisor*"):
        (folder / "bin" / program.name).symlink_to(program)
    (folder / "runtime").touch()  # for make: the requirements are installed


@contextlib.contextmanager
def _served(clone: Path, environment: dict[str, str], port: str) -> Iterator[None]:
    """Run ``make run`` in the clone until the end of the block; begin when the service answers."""
    with (clone.parent / "run.log").open("w+") as log:
        service = subprocess.Popen(
            RUN.split(), cwd=clone, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            deadline = time.monotonic() + SECONDS
            while not _answers(port):
                if service.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"make run does not answer: {Path(log.name).read_text()}")
                time.sleep(0.1)
            yield
        finally:
            os.killpg(service.pid, signal.SIGINT)  # Ctrl-C
            try:
                service.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(service.pid, signal.SIGKILL)
                service.wait()


def _answers(port: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=5):
            return True
    except OSError:
        return False


class _Shell:
    """One interactive session: a POSIX shell that gets a line when the line before has ended."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["sh"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )

    def __enter__(self) -> "_Shell":
        return self

    def __exit__(self, *exc_info: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def answer(self, line: str) -> str:
        """Return what the line prints. Raises AssertionError if it does not end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\necho '{MARK}'\n")
        self._process.stdin.flush()
        late = threading.Timer(SECONDS, os.killpg, (self._process.pid, signal.SIGKILL))
        late.start()
        output = ""
        for printed in self._process.stdout:
            output += printed
            if output.endswith(f"{MARK}\n"):
                late.cancel()
                return output.removesuffix(f"{MARK}\n").rstrip("\n")
        raise AssertionError(f"This line does not end: {line}\n{output}")

    def folder(self) -> Path:
        return Path(self.answer("pwd"))


def rewritten(text: str) -> str:
    """Run the tour of a page, and return the page with its real output where another one was shown."""
    for step, output in run(steps(text)):
        sys.stdout.write(f"$ {step.command}\n{output}\n")
        if not step.explains(output):
            for long, short in SHORT:
                output = long.sub(short, output)
            old = "\n".join(filter(None, (step.command, step.shown)))
            text = text.replace(f"$ {old}\n", f"$ {step.command}\n{output}\n", 1)
    return text


if __name__ == "__main__":
    README.write_text(rewritten(README.read_text(encoding="utf-8")), encoding="utf-8")
