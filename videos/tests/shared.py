"""Clips and finished versions that one process of a test run makes, and all its processes use."""

import contextlib
import fcntl
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from config.tests.environment import RUN
from videos.processing.pipeline import Output

FOLDER = RUN / "videos"


@contextlib.contextmanager
def _alone(name: str) -> Iterator[Path]:
    """Wait until no other process makes the thing of this name; return the path that it has or gets."""
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / f"{name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield FOLDER / name


def clip(name: str, make: Callable[[Path], object]) -> Path:
    """Return the clip of this name, such as ``long.mkv``, which ``make`` writes if no process has it.

    Nobody may change the file. One name stands for one content in all tests.
    """
    with _alone(name) as path:
        if not path.exists():
            half = path.with_name(f"half-{name}")
            make(half)
            os.rename(half, path)
    return path


def version(key: str, work: Path, make: Callable[[], Output]) -> Output:
    """Return the version of this key. ``make`` makes it once in a run; others get a copy in ``work``."""
    with _alone(key) as kept:
        told = kept.with_suffix(".output")
        if not told.exists():
            output = make()
            shutil.copytree(output.directory, kept)
            told.write_bytes(pickle.dumps(output))
            return output
    shutil.copytree(kept, work / "out")
    output = pickle.loads(told.read_bytes())  # noqa: S301 - written above
    return replace(output, directory=work / "out")
