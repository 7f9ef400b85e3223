"""The runner of hostile requests leaves nothing open."""

from threading import Thread

import pytest
from django.db import connection

from accounts.roles import Role
from analytics.tests.hostile.schemathesis_run import Run
from analytics.tests.hostile.world import World


@pytest.mark.django_db(transaction=True)
def test_a_thread_that_signs_in_again_has_no_connection_afterwards(make_user):
    """Otherwise the database of the tests cannot be dropped on PostgreSQL."""
    run, seen = Run.__new__(Run), []  # without the document, which takes seconds
    run.world, run.caller = World(people={"ADMIN": make_user(Role.ADMIN)}), "ADMIN"

    def call():
        run.sign_in_again()
        seen.append((run._headers["Authorization"][:7], connection.connection))

    thread = Thread(target=call)
    thread.start()
    thread.join()

    assert seen == [("Bearer ", None)]
