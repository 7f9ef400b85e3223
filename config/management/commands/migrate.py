import gc
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from types import FrameType
from typing import Any

from django.core.management.commands import migrate
from django.db import DatabaseError, connections, models
from django.db.migrations.executor import MigrationExecutor
from django.utils.functional import cached_property

from config.sqlite3 import new

# The key of pg_advisory_xact_lock: one process migrates a database at a time.
LOCK = 0x6D696772
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# The options of whoever asks about the steps of a database, or goes to one of them.
OF_STEPS = ("app_label", "fake", "fake_initial", "plan", "check_unapplied", "prune")


class Executor(MigrationExecutor):
    """Django's executor, which can also go to a step that a squashed migration replaces.

    Django would take the steps and the squashed migration together, and fail on the way back.
    """

    def migration_plan(self, targets: Any, clean_start: bool = False) -> Any:
        if any(name and (app, name) not in self.loader.graph.nodes for app, name in targets):
            self.take_steps()
        return super().migration_plan(targets, clean_start)

    def take_steps(self) -> None:
        """Leave the squashed migrations out of the graph; their steps are in it."""
        self.loader.replace_migrations = False  # type: ignore[attr-defined]  # the stubs lack it
        self.loader.build_graph()
        for key, migration in self.loader.replacements.items():
            self.loader.graph.remove_replacement_node(key, migration.replaces)


migrate.MigrationExecutor = Executor  # type: ignore[attr-defined]  # Django's command takes it from there


@cache
def _remembered(kind: type) -> frozenset[str]:
    """Return the names of the properties that a field looks up once, and is not made with."""
    return frozenset(
        name
        for each in kind.__mro__
        for name, value in vars(each).items()
        if isinstance(value, cached_property) and name != "validators"
    )


def _forget(part: Any) -> None:
    """Let a copy look up anew what the original knows, such as its related model, by name so far."""
    kind = type(part)
    for name in _remembered(kind) & vars(part).keys():  # type: ignore[arg-type]  # classes are hashable
        del vars(part)[name]


@contextmanager
def _quick_clones() -> Iterator[None]:
    """Let the fields of migrations be copied, instead of being described and made from that anew.

    Migrating a new database renders 5,000 models, one for each operation and related model, and most of
    the time went into the clones of their 60,000 fields. A field of a migration belongs to no model,
    so that its copy is the same as its clone; the number decides on the order of the columns.
    """
    clone = models.Field.clone

    def copied(field: Any) -> Any:
        if hasattr(field, "model") or field.auto_created:
            return clone(field)
        copy = field.__deepcopy__({})
        _forget(copy)
        if copy.remote_field:
            _forget(copy.remote_field)
        copy.creation_counter = models.Field.creation_counter
        models.Field.creation_counter += 1
        return copy

    models.Field.clone = copied  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        models.Field.clone = clone  # type: ignore[method-assign]


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let Python look for garbage less often while models are made and replaced by the thousand."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class Command(migrate.Command):
    """Django's command, which Ctrl-C stops between two migrations only.

    A new database on SQLite is made from a file, where that is exactly what the migrations make
    (`config.sqlite3.new`). Signals, such as those that install triggers, are sent as always.

    Django commits some migrations a moment before it records them. One that was stopped in between
    would be applied again, and fail because its tables exist. So would one that two hosts begin at the
    same moment: on PostgreSQL the second one waits for the first, and finds nothing left to do.
    """

    _asked_to_stop = False

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate. Raises KeyboardInterrupt, after a finished step, if it was asked to stop."""
        with self._alone(options["database"]):
            with self._signals_noted(), _quick_clones(), _rare_collections():
                if not any(options[name] for name in OF_STEPS):
                    new.make(connections[options["database"]])
                super().handle(*args, **options)
            self._stop_if_asked()  # when no further signal can be noted

    @contextmanager
    def _alone(self, alias: str) -> Iterator[None]:
        """Wait until no other process migrates this PostgreSQL database, and keep others waiting.

        The lock belongs to a transaction of a connection of its own: migrations begin and end theirs. A
        statement may meanwhile take as long as it needs, such as an index of a large table. The wait
        for a lock of a table stays bounded, because all who want the table queue behind it.
        """
        connection = connections[alias]
        if connection.vendor != "postgresql":
            yield
            return
        lock = connection.copy()
        try:
            lock.set_autocommit(False)
            with lock.cursor() as cursor:
                for name in ("statement", "lock", "idle_in_transaction_session"):
                    cursor.execute(f"SET LOCAL {name}_timeout = 0")
                cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
                if not cursor.fetchone()[0]:
                    self.stderr.write(
                        "Another process migrates this database. Waiting for its end …"
                    )
                    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            with connection.cursor() as cursor:
                cursor.execute("SET statement_timeout = 0")
            try:
                yield
            finally:
                with suppress(DatabaseError), connection.cursor() as cursor:
                    cursor.execute("RESET statement_timeout")
        finally:
            lock.close()

    def migration_progress_callback(
        self, action: str, migration: Any | None = None, fake: bool = False
    ) -> None:
        if action in {"apply_start", "unapply_start"}:
            self._stop_if_asked()
        super().migration_progress_callback(action, migration, fake)

    def _stop_if_asked(self) -> None:
        if self._asked_to_stop:
            raise KeyboardInterrupt

    @contextmanager
    def _signals_noted(self) -> Iterator[None]:
        """Note the first signal. A second one stops at once."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may handle signals, and gets them
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}

        def note(number: int, frame: FrameType | None) -> None:
            self._asked_to_stop = True
            signal.signal(number, before[signal.Signals(number)])

        for number in SIGNALS:
            signal.signal(number, note)
        try:
            yield
        finally:
            for number in SIGNALS:
                signal.signal(number, before[number])
