"""A recorder of the rows that each transaction locks, read from the SQL that PostgreSQL runs."""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from django.apps import apps
from django.db import connection

# Rows that change only while the row that they belong to is locked: they have no place in the order.
PARENTS = {
    "payments_refund": "payments_payment",
    "payments_dispute": "payments_payment",
    "payments_sandboxrefund": "payments_sandboxpayment",
    "payments_sandboxdispute": "payments_sandboxpayment",
}
_SELECT = re.compile(r'FROM "(\w+)".* FOR (?:NO KEY )?UPDATE', re.DOTALL)
_CHANGE = re.compile(r'^(?:UPDATE|DELETE FROM) "(\w+)"')
_INSERT = re.compile(r'^INSERT INTO "(\w+)"')

Row = tuple[str, str]  # table, and primary key as text that sorts as the key does


@dataclass
class LockRecorder:
    """The rows that transactions locked: by SELECT … FOR UPDATE, UPDATE or DELETE, in this order.

    Only a transaction's first lock of a row is recorded, because the later ones never wait. A row that
    the transaction itself inserted is not recorded, because no other transaction sees it.
    """

    flow: str = ""
    transactions: dict[object, list[Row]] = field(default_factory=lambda: defaultdict(list))
    flows: dict[object, str] = field(default_factory=dict)
    _own: dict[object, set[Row]] = field(default_factory=lambda: defaultdict(set))
    _statements: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def recording(self, flow: str) -> Iterator[None]:
        """Record the rows that the block locks, under the name of a flow."""
        self.flow = flow
        with connection.execute_wrapper(self._execute):
            yield

    def _execute(self, execute, sql, params, many, context):
        table = self._table(_CHANGE, sql) or self._table(_INSERT, sql)
        if table and " RETURNING " not in sql:
            sql += f' RETURNING "{table}"."{_primary_key(table)}"'
        result = execute(sql, params, many, context)
        if table := table or self._table(_SELECT, sql):
            rows = _rows(context["cursor"].cursor, table)
            if not _INSERT.match(sql):
                self._note(rows)
            elif "DO UPDATE" not in sql:  # with it, the row may be another transaction's
                self._own[self.transaction()] |= set(rows)
        return result

    def _table(self, pattern: re.Pattern, sql: str) -> str | None:
        matched = pattern.search(sql)
        return matched.group(1) if matched and matched.group(1) in _MODELS else None

    def transaction(self) -> object:
        """Return a key of the open transaction; outside of one, each statement has its own key."""
        if not connection.in_atomic_block:
            return f"statement {next(self._statements)}"
        with connection.connection.cursor() as cursor:
            return cursor.execute("SELECT txid_current()").fetchone()[0]

    def _note(self, rows: list[Row]) -> None:
        key = self.transaction()
        self.flows[key] = self.flow
        held = self._own[key] | set(self.transactions[key])
        self.transactions[key] += [row for row in dict.fromkeys(rows) if row not in held]

    # --- what must hold --------------------------------------------------------------------------

    def before(self) -> dict[tuple[str, str], set[str]]:
        """Return the pairs of tables (A, B) where a transaction locked A before B, and its flows."""
        pairs = defaultdict(set)
        for key, rows in self.transactions.items():
            tables = [table for table, _ in rows if table not in PARENTS]
            for first, second in itertools.combinations(tables, 2):
                if first != second:
                    pairs[first, second].add(self.flows[key])
        return pairs

    def assert_one_order(self) -> None:
        """Fail when two transactions locked two tables in opposite orders, however indirectly."""
        pairs = self.before()
        graph = defaultdict(set)
        for first, second in pairs:
            graph[second].add(first)
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circle = error.args[1]
            steps = [
                f"{first} before {second}: {', '.join(sorted(pairs[first, second]))}"
                for first, second in itertools.pairwise(circle)
            ]
            raise AssertionError("Locks are taken in a circle:\n" + "\n".join(steps)) from None

    def assert_rows_by_id(self) -> None:
        """Fail when a transaction locked two rows of a table with the higher id first."""
        wrong = set()
        for key, rows in self.transactions.items():
            for table in {table for table, _ in rows} - PARENTS.keys():
                ids = [pk for name, pk in rows if name == table]
                if ids != sorted(ids):
                    wrong.add(f"{self.flows[key]}: {table}")
        assert not wrong, f"Rows of one table are locked in another order than by id: {wrong}"

    def assert_parents_first(self) -> None:
        """Fail when a row was changed before the row that it belongs to was locked."""
        wrong = set()
        for key, rows in self.transactions.items():
            tables = [table for table, _ in rows]
            own = {table for table, _ in self._own[key]}
            for child, parent in PARENTS.items():
                if child not in tables or len(rows) == 1:  # a single UPDATE waits for nothing else
                    continue
                if parent not in own and parent not in tables[: tables.index(child)]:
                    wrong.add(f"{self.flows[key]}: {child} without {parent}")
        assert not wrong, f"Rows are changed without the lock that guards them: {wrong}"


_MODELS = {model._meta.db_table: model for model in apps.get_models()}


def _sortable(key: object) -> str:
    return f"{key:020}" if isinstance(key, int) else str(key)


def _primary_key(table: str) -> str:
    return _MODELS[table]._meta.pk.attname


def _rows(cursor, table: str) -> list[Row]:
    """Return the rows of the last statement, and leave them to the caller to be fetched again."""
    # The first such column: those of joined tables come after. values_list("pk") calls it "pk".
    keys = {_primary_key(table), "pk"}
    index = next(i for i, column in enumerate(cursor.description) if column.name in keys)
    rows = [(table, _sortable(row[index])) for row in cursor.fetchall()]
    if rows:
        cursor.scroll(0, mode="absolute")
    return rows
