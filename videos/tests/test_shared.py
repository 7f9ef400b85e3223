"""What one process of a run makes for all of them is made once and whole."""

from dataclasses import replace
from pathlib import Path

import pytest

from videos.processing.pipeline import Output
from videos.tests import shared


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path) -> Path:
    monkeypatch.setattr(shared, "FOLDER", tmp_path / "shared")
    return tmp_path / "shared"


def broken(path: Path) -> None:
    path.write_text("half")
    raise ValueError("no room")


def test_a_clip_is_made_once(folder):
    first = shared.clip("a.txt", lambda path: path.write_text("one"))
    again = shared.clip("a.txt", lambda path: path.write_text("two"))
    other = shared.clip("b.txt", lambda path: path.write_text("three"))

    assert first == again
    assert (first.read_text(), other.read_text()) == ("one", "three")


def test_half_a_clip_is_none(folder):
    with pytest.raises(ValueError, match="no room"):
        shared.clip("a.txt", broken)

    assert not (folder / "a.txt").exists()
    assert shared.clip("a.txt", lambda path: path.write_text("whole")).read_text() == "whole"


def test_a_version_is_made_once_and_copied(tmp_path):
    made = Output(
        tmp_path / "one" / "out", 2.0, 320, 180, 25.0, [], "mp4", "h264", "aac", is_full=False
    )
    made.directory.mkdir(parents=True)
    (made.directory / "master.m3u8").write_text("a playlist")

    first = shared.version("key", tmp_path / "one", lambda: made)
    (first.directory / "master.m3u8").write_text("changed by a test")
    again = shared.version("key", tmp_path / "two", lambda: pytest.fail("made twice"))

    assert first is made
    assert again == replace(made, directory=tmp_path / "two" / "out")
    assert (again.directory / "master.m3u8").read_text() == "a playlist"
