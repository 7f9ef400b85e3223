"""npm packages for tests: those of a lock file, kept between runs beside the Python packages."""

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

LOCKED = ("package.json", "package-lock.json", ".npmrc")
NODE = (20, 19)


def installed(folder: Path) -> Path:
    """Return the ``node_modules`` of the lock file in ``folder``, or skip for what is missing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("missing: Node.js and npm")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < NODE:
        pytest.skip(f"missing: Node.js {NODE[0]}.{NODE[1]} or newer; this is {version}")
    lock = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()[:12]
    packages = Path(sys.prefix) / "npm" / lock
    packages.parent.mkdir(exist_ok=True)
    with (packages.parent / f"{lock}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # several processes run tests
        if not packages.exists():
            _install(npm, folder, packages)
    return packages / "node_modules"


def _install(npm: str, folder: Path, packages: Path) -> None:
    """Install into a folder of its own first, so that one that was cut short is not taken for whole."""
    fresh = Path(tempfile.mkdtemp(dir=packages.parent))
    for name in LOCKED:
        shutil.copy(folder / name, fresh)
    flags = ("--ignore-scripts", "--no-audit", "--no-fund")
    if subprocess.run([npm, "ci", *flags], cwd=fresh, check=False).returncode:
        shutil.rmtree(fresh)
        pytest.skip("missing: the npm packages; `npm ci` failed, and its reason stands above")
    fresh.rename(packages)
