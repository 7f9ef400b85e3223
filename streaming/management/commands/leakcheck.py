from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from config import listening
from streaming.leaks import rules
from streaming.leaks.asking import Away, Door
from streaming.leaks.checking import Cell, Check
from streaming.leaks.stage import NotPrepared, Stage
from videos.processing.errors import ToolFailed

OPEN, CLOSED, LEAK, SHUT = "[green]●[/]", "·", "[bold white on red] LEAK [/]", "[yellow]SHUT[/]"


class Command(BaseCommand):
    help = (
        "Prove that nothing leaks: ask the running service for every class of asset as every kind of"
        " viewer, in every state of a video, with addresses that are right, copied, forged, bent and too"
        " late. Makes throw-away people and two short videos on this database, which strangers can see"
        " in the catalogue for about a minute, and removes them. Needs a running worker. Exits with 1 if"
        " an answer should not be."
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "url",
            nargs="*",
            default=[listening.url()],
            help="Addresses of the service, one for each way to it, such as that of nginx."
            " Default: HOST and PORT of the settings.",
        )
        parser.add_argument(
            "--insecure", action="store_true", help="Accept any certificate of the addresses."
        )
        parser.add_argument(
            "--wrong-only", action="store_true", help="Show only the answers that should not be."
        )

    def handle(self, *, url: list[str], insecure: bool, wrong_only: bool, **options):
        self.console, wrong = Console(soft_wrap=True), 0
        for address in url:
            try:
                check = self.prove(Door(address, verified=not insecure))
            except (Away, NotPrepared, ToolFailed, ValueError) as error:
                raise CommandError(f"{address}: nothing is proved: {error}") from None
            self.show(address, check, wrong_only=wrong_only)
            wrong += len(check.wrong)
        if wrong:
            raise CommandError(f"{wrong} answers should not be.")
        self.console.print("[green]Nothing leaks, and everybody has what is theirs.[/]")

    def prove(self, door: Door) -> Check:
        stage = Stage()
        columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task("Making people and videos", total=100 + 10 * 6)
            try:
                stage.make_people()
                stage.make_videos(door, lambda done: progress.update(task, completed=done))
                check = Check(
                    door,
                    stage,
                    tell=lambda state: progress.update(
                        task, description=f"Asking: {state}", advance=10
                    ),
                )
                check.run()
            finally:
                progress.update(task, description="Cleaning up")
                stage.clean_up()
        return check

    def show(self, address: str, check: Check, *, wrong_only: bool) -> None:
        """Print a table for each state: the assets by viewer."""
        rows: dict[str, dict[str, dict[str, list[Cell]]]] = {}
        for cell in check.cells:
            row = rows.setdefault(cell.state, {}).setdefault(cell.asset, {})
            row.setdefault(cell.viewer, []).append(cell)
        self.console.print(f"\n[bold]{address}[/]: {len(check.cells)} answers")
        for state, assets in rows.items():
            shown = {
                asset: viewers
                for asset, viewers in assets.items()
                if not wrong_only
                or any(c.is_leak or c.is_shut for v in viewers.values() for c in v)
            }
            if not shown:
                continue
            table = Table(title=state, title_justify="left", box=None, pad_edge=False)
            table.add_column("asset", no_wrap=True)
            for name in rules.VIEWERS:
                table.add_column(name, justify="center", no_wrap=name != rules.CREATOR)
            for asset, viewers in shown.items():
                table.add_row(asset, *(mark(viewers.get(name, [])) for name in rules.VIEWERS))
            self.console.print(table)
        for what in check.unseen:
            self.console.print(f"[yellow]Not checked:[/] {what}")
        for cell in check.wrong:
            kind = "LEAK" if cell.is_leak else "SHUT"
            how = f" ({cell.how})" if cell.how else ""
            what = f"{cell.state}: {cell.asset}{how}, as {cell.viewer}: {cell.status or 'allowed'}"
            self.console.print(f"{kind}  {what}", markup=False)


def mark(cells: list[Cell]) -> str:
    """Return the sign of the worst of these answers."""
    if any(cell.is_leak for cell in cells):
        return LEAK
    if any(cell.is_shut for cell in cells):
        return SHUT
    if not cells:
        return ""
    return OPEN if cells[0].is_open else CLOSED
