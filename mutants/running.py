"""Running tests against mutants.

One process runs all tests once and notes which of them use which lines. For a mutant inside of a
function it forks: the child puts the changed code into the living functions, and runs only the tests
that use the changed lines. A mutant of other code, which ran when its module was imported, gets a new
process (`mutants.alone`) and the tests that use the module.
"""

import gc
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import _lru_cache_wrapper
from pathlib import Path
from types import CodeType, FunctionType

import coverage
import pytest
from django.db import connection, connections
from pytest_django.plugin import blocking_manager_key

from config.tests.database import TEMPLATE
from mutants.operators import Mutant

# Tests of these kinds start processes or take minutes.
MARKS = "not programs and not sweep and not journeys and not fuzz"
KILLED, LATE, SURVIVED = "killed", "killed by the time limit", "survived"
OUTCOMES = {0: SURVIVED, 1: KILLED}
UNFIT = 3  # the status of a child that could not try its mutant
START_SECONDS = 60  # of the processor, to import everything in a new process
SUFFIX = "mutant"  # of the name of a mutant's database
PATIENCE = 30  # the wall clock may take so many times longer: the machine may be busy


class Run:
    """A plugin of pytest that runs the tests once, and then again for each mutant."""

    def __init__(
        self, mutants: list[Mutant], seconds: float, report: Callable[[Mutant, str, str], None]
    ) -> None:
        self.mutants, self.seconds, self.report = mutants, seconds, report
        self.failed: dict[str, str] = {}  # the failed tests, with the error
        self.times: dict[str, float] = {}  # seconds of the processor, for each test
        self.kills: Counter[str] = Counter()
        self.coverage = coverage.Coverage(
            data_file=None, config_file=False, include=[str(each.path) for each in mutants]
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed[report.nodeid] = report.longreprtext

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        self._run_with_coverage(session.items)
        for name in self.failed:
            print(f"\nThis test fails without a mutant and is left out: {name}")
            del self.items[name]
        self.failed.clear()
        users = [names for lines in self.contexts.values() for names in lines.values()]
        self.others = self.items.keys() - set().union(*users)
        self.texts = {item.path: item.path.read_text() for item in self.items.values()}
        self._index_functions()
        connections.close_all()
        self._control()
        for mutant in self.mutants:
            self._try(mutant)
        return True

    def _control(self) -> None:
        """Raise AssertionError if the tests fail without a change, where a mutant's tests run."""
        nothing = replace(self.mutants[0], change="no change", start=0, end=0, new="")
        tests, _ = self._tests_of(nothing, whole_module=True)
        assert self._fork(nothing, tests) == SURVIVED, "a test fails in a fork without a change"
        assert self._alone(nothing, tests) == SURVIVED, "a test fails alone without a change"

    def _run_with_coverage(self, items: list[pytest.Item]) -> None:
        self.coverage.start()
        for item, following in zip(items, [*items[1:], items[0]], strict=True):
            self.coverage.switch_context(item.nodeid)
            began = time.process_time()
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            self.times[item.nodeid] = time.process_time() - began
        self.coverage.stop()
        data = self.coverage.get_data()
        self.contexts = {
            path: data.contexts_by_lineno(str(path.absolute()))
            for path in {each.path for each in self.mutants}
        }

    def _index_functions(self) -> None:
        gc.unfreeze()  # config.tests.environment freezes them
        paths = {str(path.absolute()): path for path in self.contexts}
        self.functions: dict[Path, list[FunctionType]] = {path: [] for path in self.contexts}
        self.caches: dict[Path, list[_lru_cache_wrapper]] = {path: [] for path in self.contexts}
        for thing in gc.get_objects():
            # By `type`, because `isinstance` asks proxies about what may be gone.
            kept = thing.__wrapped__ if type(thing) is _lru_cache_wrapper else thing
            if type(kept) is FunctionType and kept.__code__.co_filename in paths:
                path = paths[kept.__code__.co_filename]
                if kept is thing:
                    self.functions[path].append(kept)
                else:
                    self.caches[path].append(thing)
        gc.freeze()

    def _try(self, mutant: Mutant) -> None:
        tests, all_tests = self._tests_of(mutant)
        outcome: str | None = None
        if mutant.in_function and tests:
            outcome = self._fork(mutant, tests)
        if outcome in {None, SURVIVED}:
            # A cache may also hold results of the unchanged code, such as the OpenAPI document.
            tests, all_tests = self._tests_of(mutant, whole_module=True)
            outcome = self._alone(mutant, tests)
        self.report(mutant, outcome, f"{len(tests)} of {all_tests} tests")

    def _tests_of(self, mutant: Mutant, whole_module: bool = False) -> tuple[list[str], int]:
        """Return the tests that use the changed lines, as many as fit into the time, and their number.

        Those that killed another mutant come first, then the quickest. For the whole module, tests that
        may be about its declarations come last: their file names it, or they use no function at all.
        """
        lines = self.contexts[mutant.path]
        names = {
            name
            for line, users in lines.items()
            if whole_module or line in mutant.lines
            for name in users
            if name in self.items
        }
        last: set[str] = set()
        if whole_module:
            name_it = {file for file, text in self.texts.items() if mutant.path.stem in text}
            last = {
                name
                for name, item in self.items.items()
                if name in self.others or item.path in name_it
            } - names
        chosen: list[str] = []
        spent = 0.0
        for name in sorted(
            names | last, key=lambda name: (-self.kills[name], name in last, self.times[name])
        ):
            spent += self.times[name]
            if spent > self.seconds and chosen:
                break
            chosen.append(name)
        return chosen, len(names | last)

    def _limit(self, tests: list[str]) -> float:
        """Return the seconds of the processor that the tests may take."""
        return 3 + 5 * sum(self.times[name] for name in tests)

    def _fork(self, mutant: Mutant, tests: list[str]) -> str | None:
        """Try a mutant in a copy of this process; return None if its code does not fit in there."""
        with tempfile.NamedTemporaryFile("w+") as killer:
            child = os.fork()
            if child == 0:
                try:
                    status = self._child(mutant, tests, killer.name)
                except BaseException:  # noqa: BLE001 - a child must never return
                    status = UNFIT
                os._exit(status)
            status = _wait(child, self._limit(tests) * PATIENCE)
            if name := killer.read():
                self.kills[name] += 1
        return None if status == UNFIT else OUTCOMES.get(status, LATE)

    def _child(self, mutant: Mutant, tests: list[str], killer: str) -> int:
        quiet = os.open(os.devnull, os.O_RDWR)
        for output in (1, 2):
            os.dup2(quiet, output)
        if not self._put_in(mutant):
            return UNFIT
        items = [self.items[name] for name in tests]
        self._use_an_own_database(items[0].config)
        items[0].session._setupstate.teardown_exact(items[0])
        for item, following in zip(items, [*items[1:], items[0]], strict=True):
            # An endless loop ends with SIGPROF, for which nobody waits.
            signal.setitimer(signal.ITIMER_PROF, self._limit([item.nodeid]))
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                Path(killer).write_text(item.nodeid)
                return 1
        return 0

    def _use_an_own_database(self, config: pytest.Config) -> None:
        place, creation = connection.settings_dict, connection.creation
        with config.stash[blocking_manager_key].unblock():
            place["NAME"] = TEMPLATE.read_text()
            creation.clone_test_db(SUFFIX, verbosity=0, autoclobber=True)
            place["NAME"] = creation.get_test_db_clone_settings(SUFFIX)["NAME"]

    def _put_in(self, mutant: Mutant) -> bool:
        """Give the living functions of the mutant's file the changed code, and empty their caches."""
        changed = compile(mutant.text(), str(mutant.path.absolute()), "exec")
        codes = dict(_codes(changed))
        try:
            for function in self.functions[mutant.path]:
                code = function.__code__
                if code.co_qualname in codes:
                    function.__code__ = codes[code.co_qualname]
        except ValueError:  # the code uses other variables of the functions around it
            return False
        for cached in self.caches[mutant.path]:
            cached.cache_clear()
        return True

    def _alone(self, mutant: Mutant, tests: list[str]) -> str:
        """Try a mutant in a new process."""
        limit = START_SECONDS + self._limit(tests)
        with (
            tempfile.NamedTemporaryFile("w", suffix=".json") as order,
            tempfile.NamedTemporaryFile("w+") as killer,
        ):
            path, text = str(mutant.path.absolute()), mutant.text()
            json.dump({"path": path, "text": text, "tests": tests, "killer": killer.name}, order)
            order.flush()
            process = subprocess.Popen(
                [sys.executable, "-m", "mutants.alone", order.name],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTEST_XDIST_WORKER": SUFFIX},
                preexec_fn=lambda: resource.setrlimit(
                    resource.RLIMIT_CPU, (int(limit), int(limit) + 1)
                ),
            )
            status = _wait(process.pid, limit * PATIENCE)
            if name := killer.read():
                self.kills[name] += 1
        # 2 to 4: the code cannot be imported, or lacks a test's parameters.
        return KILLED if status in {1, 2, 3, 4} else OUTCOMES.get(status, LATE)


def _codes(code: CodeType) -> Iterator[tuple[str, CodeType]]:
    """Yield all named code inside of a module's code, with its qualified name."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner.co_qualname, inner
            yield from _codes(inner)


def _wait(child: int, seconds: float) -> int:
    """Return the exit status of a child, negative after a signal; kill it after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
