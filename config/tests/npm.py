"""Packages of npm for tests, by a lock file."""

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


def packages(home: Path) -> Path:
    """Return the folder `node_modules` with the packages of the lock file in ``home``.

    They are kept between runs, beside the Python packages. Skips the test where they cannot be had.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("missing: Node.js and npm")
    done = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    version = done.stdout.strip()
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < NODE:
        pytest.skip(f"missing: Node.js {NODE[0]}.{NODE[1]} or newer; this is {version}")
    lock = hashlib.sha256((home / "package-lock.json").read_bytes()).hexdigest()[:12]
    kept = Path(sys.prefix) / "npm" / lock
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=kept.parent))
        for name in LOCKED:
            shutil.copy(home / name, folder)
        flags = ("--ignore-scripts", "--no-audit", "--no-fund")
        if subprocess.run([npm, "ci", *flags], cwd=folder, check=False).returncode:
            shutil.rmtree(folder)
            pytest.skip("missing: the npm packages; `npm ci` failed, and its reason stands above")
        folder.rename(kept)
    return kept / "node_modules"
