"""What runs where: one row for each part, as a table in the terminal and as a page."""

import html
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from rich.console import Console
from rich.table import Table

from stack import health, parts
from stack.control import Process, Supervisor
from stack.plan import HOST, Plan

HEAD = ("part", "address", "process", "health", "version", "folder")
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff }}
td, th {{ text-align: left; padding: .3rem 1.2rem .3rem 0; border-bottom: 1px solid #ddd }}
.bad td:nth-child(4) {{ color: #b00020; font-weight: bold }}
@media (prefers-color-scheme: dark) {{
  body {{ color: #eee; background: #161616 }} td, th {{ border-color: #444 }}
  .bad td:nth-child(4) {{ color: #ff8a80 }}
}}
</style>
<h1>{title}</h1>
<p>The service: <a href="{url}">{url}</a></p>
<table><thead><tr>{head}</tr></thead><tbody>
{rows}
</tbody></table></html>
"""


@dataclass(frozen=True)
class Row:
    """One part as it is shown."""

    cells: tuple[str, ...]
    is_well: bool


def rows(plan: Plan) -> list[Row]:
    """Ask all parts at the same time."""
    try:
        processes = Supervisor(plan).processes()
    except OSError:
        processes = {}
    found = parts.all_of(plan)
    health.load_clients()
    with ThreadPoolExecutor(len(found)) as pool:
        return list(pool.map(lambda part: _row(plan, part, processes.get(part.name)), found))


def show(plan: Plan) -> bool:
    """Print the table, and return whether all parts are well."""
    table = Table(*HEAD, box=None)
    found = rows(plan)
    for row in found:
        table.add_row(*row.cells, style=None if row.is_well else "red")
    console = Console()
    if not console.is_terminal:
        console.width = 200
    console.print(table)
    console.print(f"service {plan.url}, page {plan.page}", soft_wrap=True)
    return all(row.is_well for row in found)


def serve(plan: Plan) -> None:
    """Serve the page for ever. Each answer is at most a second old, however many ask."""
    lock = threading.Lock()
    kept: tuple[float, str] = (float("-inf"), "")

    def page() -> str:
        nonlocal kept
        with lock:
            if time.monotonic() - kept[0] > 1:
                kept = time.monotonic(), _page(plan)
            return kept[1]

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            # A page of another site may use a name that leads here, to read the answer.
            name = (self.headers.get("Host") or "").partition(":")[0]
            if name not in (HOST, "localhost") or self.path != "/":
                self.send_error(404)
                return
            body = page().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header(
                "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"
            )
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the terminal shows what matters."""

    ThreadingHTTPServer((HOST, plan.ports["page"]), Handler).serve_forever()


def _row(plan: Plan, part: parts.Part, process: Process | None) -> Row:
    # A part that answers in its first second is well, though the supervisor still watches it.
    is_well = process is not None and process.state in {"STARTING", "RUNNING"}
    try:
        found = part.health(plan)
    except Exception as error:  # noqa: BLE001 - each client raises errors of its own
        is_well, found = False, _first_line(error)
    if process is None:
        shown = "no supervisor"
    else:
        shown = f"{process.pid}, {_time(process.seconds)}" if process.pid else process.state.lower()
    address = f"{HOST}:{part.port}" if part.port else "-"
    folder = str(parts.folder_of(plan, part))
    return Row((part.name, address, shown, found, _version(part), folder), is_well)


_versions: dict[str, str] = {}


def _version(part: parts.Part) -> str:
    if part.name not in _versions:
        _versions[part.name] = part.version()
    return _versions[part.name]


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:120]


def _time(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _page(plan: Plan) -> str:
    lines = []
    for row in rows(plan):
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in row.cells)
        lines.append(f'<tr class="{"well" if row.is_well else "bad"}">{cells}</tr>')
    head = "".join(f"<th>{name}</th>" for name in HEAD)
    return PAGE.format(title="What runs", url=plan.url, head=head, rows="\n".join(lines))
