"""Run all attacks on a service of their own, and show the figures: `make attack`."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from attacks import crowds, doors, edge  # noqa: F401 - they register their attacks
from attacks.registry import ATTACKS, Fell
from attacks.service import Service

VIEWERS = 210


def main() -> int:
    """Return 0 if the service held against all attacks, 1 if it fell to one."""
    parser = argparse.ArgumentParser(prog="attacks", description=__doc__)
    parser.add_argument("names", nargs="*", help="Only attacks whose name contains one of these.")
    parser.add_argument("--short", action="store_true", help="Shorter crowds, as in CI.")
    options = parser.parse_args()
    chosen = [
        one
        for one in ATTACKS
        if not options.names or any(name in one.name for name in options.names)
    ]
    if not chosen:
        parser.error("No attack has such a name.")
    console, fallen = Console(soft_wrap=True), 0
    with tempfile.TemporaryDirectory() as folder:
        console.print("Starting a service, with two videos and their viewers …")
        service = Service(Path(folder), viewers=VIEWERS)
        try:
            for one in chosen:
                began = time.monotonic()
                try:
                    seen, held = one.run(service, options.short), True
                except Fell as error:
                    seen, held = str(error), False
                fallen += not held
                mark = "[green]held[/]" if held else "[red]FELL[/]"
                console.print(f"{mark}  [bold]{one.name}[/] ({time.monotonic() - began:.0f} s)")
                console.print(f"      before  {one.before}\n      now     {seen}", markup=False)
        finally:
            service.close()
    console.print(f"{len(chosen) - fallen} of {len(chosen)} attacks failed to harm the service.")
    return 1 if fallen else 0


if __name__ == "__main__":
    sys.exit(main())
