"""Commits that do not wait for the disk: for how long, and in which connection."""

import sqlite3
from contextlib import closing

import pytest
from django.db import connection

from config.env_urls import database
from config.sqlite3.base import DatabaseWrapper
from config.tests.durability import DOES_NOT, WAITS, synchronous


@pytest.fixture
def wrapper(db, tmp_path, monkeypatch):
    """A connection to a file, as an installation has it."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/db.sqlite3")
    settings = {**connection.settings_dict, **database("DATABASE_URL", "")}
    with closing(DatabaseWrapper(settings, "default")) as made:
        made.ensure_connection()
        made.connection.execute("CREATE TABLE note (n INTEGER)")
        yield made


def test_commits_wait_for_the_disk_again_after_the_block_and_after_an_error(wrapper):
    with wrapper.asynchronous_commit():
        assert synchronous(wrapper) == DOES_NOT
    assert synchronous(wrapper) == WAITS

    with pytest.raises(ZeroDivisionError), wrapper.asynchronous_commit():
        raise ZeroDivisionError
    assert synchronous(wrapper) == WAITS


def test_a_transaction_that_has_begun_still_waits_for_the_disk(wrapper):
    wrapper.connection.execute("BEGIN IMMEDIATE")
    with wrapper.asynchronous_commit():
        assert synchronous(wrapper) == WAITS
        wrapper.connection.execute("INSERT INTO note VALUES (1)")

    assert wrapper.connection.in_transaction
    wrapper.connection.commit()
    assert wrapper.connection.execute("SELECT n FROM note").fetchall() == [(1,)]


def test_a_connection_whose_transaction_was_left_open_is_closed(wrapper):
    with pytest.raises(sqlite3.Error), wrapper.asynchronous_commit():
        wrapper.connection.execute("BEGIN IMMEDIATE")

    assert wrapper.connection is None  # the next one waits for the disk


def test_a_connection_that_was_made_anew_waits_for_the_disk(wrapper):
    with wrapper.asynchronous_commit():
        wrapper.close()
        wrapper.ensure_connection()
        assert synchronous(wrapper) == WAITS
    assert synchronous(wrapper) == WAITS
