"""Files that are brought before they are opened, as from a bucket."""

import asyncio
import shutil
import threading
import time

import pytest

from streaming.delivery.files import Files

NAME = "0190a0b0-0000-7000-8000-000000000001/0123456789ab/360p/1.m4s"


class Source:
    """Brings files into a folder, slowly, and counts."""

    def __init__(self, root) -> None:
        self._root, self.brought, self._lock = root, list[str](), threading.Lock()
        self.error: OSError | None = None
        self.losses = 0  # files that are gone again at once

    def bring(self, name: str) -> None:
        with self._lock:
            self.brought.append(name)
        time.sleep(0.05)
        if self.error is not None:
            raise self.error
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 20_000)
        if self.losses:
            self.losses -= 1
            shutil.rmtree(path.parent)


@pytest.fixture
def source(tmp_path):
    return Source(tmp_path)


def open_all(source, tmp_path, count=1) -> list:
    async def run():
        files = Files(tmp_path, bring=source.bring)
        try:
            opened = [files.open(NAME, "m4s") for _ in range(count)]
            return await asyncio.gather(*opened, return_exceptions=True)
        finally:
            files.close()

    return asyncio.run(run())


def test_requests_for_one_file_bring_it_once(source, tmp_path):
    opened = open_all(source, tmp_path, 20)

    assert {file.size for file in opened} == {20_000}
    assert source.brought == [NAME]


def test_a_file_whose_place_was_needed_at_once_is_brought_again(source, tmp_path):
    source.losses = 1
    (file,) = open_all(source, tmp_path)
    assert (file.size, len(source.brought)) == (20_000, 2)

    source.losses = 2
    shutil.rmtree(tmp_path / NAME.split("/")[0])
    assert isinstance(open_all(source, tmp_path)[0], FileNotFoundError)


def test_a_file_that_does_not_exist_and_one_that_cannot_come_are_told_apart(source, tmp_path):
    source.error = FileNotFoundError(2, "no such object")
    assert isinstance(open_all(source, tmp_path)[0], FileNotFoundError)

    source.error = OSError(112, "the server is away")
    (error,) = open_all(source, tmp_path)
    assert isinstance(error, OSError)
    assert not isinstance(error, FileNotFoundError)


def test_a_client_that_leaves_does_not_take_the_file_from_the_others(source, tmp_path):
    async def run():
        files = Files(tmp_path, bring=source.bring)
        first = asyncio.ensure_future(files.open(NAME, "m4s"))
        second = asyncio.ensure_future(files.open(NAME, "m4s"))
        await asyncio.sleep(0.01)
        first.cancel()
        file = await second
        files.close()
        return file

    assert asyncio.run(run()).size == 20_000
    assert source.brought == [NAME]
