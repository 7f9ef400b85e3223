import json
import sys
from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console
from rich.table import Table
from rich.text import Text

from config import doctor
from config.doctor import Examined, Level

STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "bold red"}
WIDTH = 100  # longer lines are hard to read


class Command(BaseCommand):
    help = (
        "Examine the settings, the secrets, the database, the cache, the folders, the workers, the tools"
        " and the machine, and say how to correct each fault. Exits with 1 for an error."
    )
    requires_system_checks = []  # they are among the findings

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Write the findings as JSON.")
        parser.add_argument(
            "--strict", action="store_true", help="Exit with 1 for a warning as well."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        counts: Counter[Level] = Counter()
        if options["json"]:
            examined = list(doctor.examine())
            counts.update(found.level for each in examined for found in each.findings)
            self.stdout.write(json.dumps(_as_json(examined, counts), indent=2, ensure_ascii=False))
        else:
            counts = self.show(no_color=options["no_color"], colored=options["force_color"])
        bad = counts[Level.ERROR] + (counts[Level.WARNING] if options["strict"] else 0)
        if bad:
            sys.exit(1)

    def show(self, *, no_color: bool, colored: bool) -> Counter[Level]:
        """Write each finding as soon as it is known, and return how many there are of each level."""
        self.stdout.ending = ""
        console = Console(
            file=self.stdout,  # type: ignore[arg-type]  # a file in all but its type
            no_color=no_color,
            force_terminal=colored or None,
            highlight=False,
        )
        console.width = min(console.width, WIDTH)
        counts: Counter[Level] = Counter()
        topic = ""
        for examined in doctor.examine():
            if examined.check.topic != topic:
                topic = examined.check.topic
                console.print(Text(topic, style="bold"))
            counts.update(found.level for found in examined.findings)
            console.print(_table(examined))
        console.print(Text(_summary(counts), style=STYLES[_worst(counts)]))
        return counts


def _table(examined: Examined) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=9, justify="right")
    table.add_column(overflow="fold")
    for found in examined.findings:
        table.add_row(Text(found.level, style=STYLES[found.level]), Text(found.statement))
        if found.remedy:
            table.add_row("", Text(f"→ {found.remedy}"))
    return table


def _worst(counts: Counter[Level]) -> Level:
    return next((each for each in (Level.ERROR, Level.WARNING) if counts[each]), Level.OK)


def _summary(counts: Counter[Level]) -> str:
    def number(count: int, noun: str) -> str:
        return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"

    return f"{number(counts[Level.ERROR], 'error')}, {number(counts[Level.WARNING], 'warning')}."


def _as_json(examined: list[Examined], counts: Counter[Level]) -> dict[str, object]:
    return {
        "status": _worst(counts),
        "errors": counts[Level.ERROR],
        "warnings": counts[Level.WARNING],
        "findings": [
            {
                "check": each.check.id,
                "topic": each.check.topic,
                "level": found.level,
                "statement": found.statement,
                "remedy": found.remedy,
            }
            for each in examined
            for found in each.findings
        ],
    }
