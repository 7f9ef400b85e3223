"""Watching whether a deed writes to the tables of money, access, roles, passwords and existence."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import Group
from django.db import connection

from accounts.models import User
from payments import models as payments
from videos.models import Video

WATCHED = {
    model._meta.db_table
    for model in (
        User, User.groups.through, Group, Group.permissions.through, Video,
        payments.Order, payments.Payment, payments.Refund, payments.Dispute, payments.Subscription,
        payments.Entitlement, payments.Payout, payments.Coupon, payments.Plan, payments.Pool,
        payments.MoneyMode,
    )
}  # fmt: skip
_WRITE = re.compile(r'^(INSERT (?:OR IGNORE )?INTO|UPDATE|DELETE FROM) "(\w+)"(?: SET "(\w+)")?')
# Columns that are counted or noted in passing.
PASSING = {"views", "likes", "dislikes", "last_login", "sync_ticket", "redeemed"}


@contextmanager
def watched_writes() -> Iterator[set[str]]:
    """Collect the watched tables that the block writes to."""
    written: set[str] = set()

    def look(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        match = _WRITE.match(sql)
        if match and match[2] in WATCHED and match[3] not in PASSING and context["cursor"].rowcount:
            written.add(match[2])
        return result

    with connection.execute_wrapper(look):
        yield written
