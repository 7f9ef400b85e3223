"""Put small faults into the code, and show which of them the tests do not notice: `make mutants`."""

import argparse
import random
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from mutants.operators import Mutant, mutants_of
from mutants.running import MARKS, SURVIVED, Run

PATHS = ["accounts", "payments/ledger", "payments/services"]


def main() -> int:
    """Return 0 if at least `--least` percent of the mutants died, else 1."""
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument("paths", nargs="*", help="Folders, files, or lines of files (file.py:12).")
    parser.add_argument("--sample", type=int, default=0, help="So many mutants; 0 takes all.")
    parser.add_argument("--seed", type=int, default=1, help="Chooses the sample.")
    parser.add_argument("--skip", type=int, default=0, help="Go on after so many of them.")
    parser.add_argument("--tests", nargs="+", help="Tests to run instead of those of the app.")
    parser.add_argument("--seconds", type=float, default=30, help="Of the processor, a mutant.")
    parser.add_argument("--least", type=float, default=90, help="Percent of mutants that must die.")
    options = parser.parse_args()
    chosen = [mutant for path in options.paths or PATHS for mutant in _under(path)]
    if options.sample:
        chosen = random.Random(options.seed).sample(chosen, min(options.sample, len(chosen)))  # noqa: S311 - repeatable
    chosen = sorted(chosen, key=lambda each: each.name)[options.skip :]
    if not chosen:
        parser.error("There is no mutant in these paths.")
    console, results = Console(soft_wrap=True, highlight=False), []

    def report(mutant: Mutant, outcome: str, tests: str) -> None:
        results.append((mutant, outcome))
        line = f"{len(results)}/{len(chosen)} {outcome}: {mutant.name} ({tests})"
        console.print(line, markup=False)
        if outcome == SURVIVED:
            console.print(mutant.diff(), markup=False)

    tests = options.tests or sorted({f"{mutant.path.parts[0]}/tests" for mutant in chosen})
    console.print(f"{len(chosen)} mutants, seed {options.seed}, tests of {', '.join(tests)}.")
    run = Run(chosen, options.seconds, report)
    status = pytest.main(["-n0", "-q", "-s", "-m", MARKS, *tests], plugins=[run])
    if len(results) < len(chosen):
        return status or 1
    console.print(table(results))
    survived = sum(outcome == SURVIVED for _, outcome in results)
    return 0 if 100 * (1 - survived / len(results)) >= options.least else 1


def _under(path: str) -> list[Mutant]:
    """Return the mutants of a folder, of a file, or of one line of a file."""
    place, _, line = path.partition(":")
    files = sorted(Path(place).rglob("*.py")) if Path(place).is_dir() else [Path(place)]
    return [
        mutant
        for file in files
        if not {"tests", "migrations"} & set(file.parts)
        for mutant in mutants_of(file)
        if not line or int(line) in mutant.lines
    ]


def table(results: list[tuple[Mutant, str]]) -> Table:
    """Return the figures of each module and of all together."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for mutant, outcome in results:
        counts[str(mutant.path)][outcome] += 1
        counts["together"][outcome] += 1
    shown = Table("module", "mutants", "survived", "killed")
    for name, outcomes in sorted(counts.items(), key=lambda pair: (pair[0] == "together", pair[0])):
        total, survived = outcomes.total(), outcomes[SURVIVED]
        share = f"{100 * (1 - survived / total):.1f} %"
        shown.add_row(name, str(total), str(survived), share)
    return shown


if __name__ == "__main__":
    sys.exit(main())
