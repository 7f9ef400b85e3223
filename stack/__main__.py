"""The commands of the stack: `python -m stack start`, `status` and `demo`."""

import argparse
import os
import sys
from pathlib import Path

from config import supervisor
from stack import files, launch, parts, plan, status
from stack.plan import BASE_DIR, Plan, Refused


def start(folder: Path, first_port: int | None, storage: str) -> int:
    """Prepare the folder, and become the supervisor."""
    for process, _ in supervisor.running(folder):
        sys.stdout.write(
            f"The stack in {folder} already runs (process {process}): make stack-status\n"
        )
        return 0
    with plan.alone(folder):
        chosen = plan.make(folder, first_port, storage)
        for name in ("conductor", *(part.name for part in parts.all_of(chosen))):
            launch.end_leftovers(folder / name)  # a supervisor that was killed leaves them
        if taken := plan.in_use(chosen):
            name, port = next(iter(taken.items()))
            raise Refused(
                f"Port {port} ({name}) is in use by another program."
                f" Choose other ports: make stack STACK_PORT={port + 1000}"
            )
        sys.stdout.write(f"Starting the stack in {folder} …\n")
        sys.stdout.flush()
        files.prepare(chosen)
    settings = chosen.environment()
    os.environ.clear()
    os.environ.update(settings)
    supervisor.become(folder, chosen.ports["nginx"], configuration=folder / "supervisord.conf")
    return 1


def run(chosen: Plan, name: str) -> int:
    """Become the program of one part."""
    part = next(part for part in parts.all_of(chosen) if part.name == name)
    folder = parts.folder_of(chosen, part)
    launch.become(
        part.command,
        folder=folder,
        directory=part.directory or folder,
        environment=chosen.environment(**part.environment),
        user=part.user,
    )


def demo(chosen: Plan, arguments: list[str]) -> int:
    """Become `manage.py demo`, against nginx and its certificate."""
    command = [sys.executable, str(BASE_DIR / "manage.py"), "demo", "--url", chosen.url, *arguments]
    environment = chosen.environment(SSL_CERT_FILE=str(chosen.certificate))
    os.execve(command[0], command, environment)  # noqa: S606 - our own file, no shell


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m stack")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in {
        "start": "start all parts, and stop them at Ctrl-C",
        "status": "show what runs; exit status 1 if a part does not work",
        "demo": "run manage.py demo on the stack; other arguments are passed on",
        "conduct": argparse.SUPPRESS,
        "run": argparse.SUPPRESS,
    }.items():
        command = commands.add_parser(name, help=text)
        command.add_argument(
            "--folder", type=Path, default=plan.FOLDER, help="where it keeps its data"
        )
        if name == "start":
            text = (
                f"the first of its ports, 0 for free ones; default {plan.FIRST_PORT}, then the same"
            )
            command.add_argument("--port", type=int, help=text)
            text = "where videos lie: s3 (a bucket, the default) or local (a folder)"
            command.add_argument("--storage", choices=plan.STORAGES, default="", help=text)
        if name == "run":
            command.add_argument("part")
    options, others = parser.parse_known_args()
    if others and options.command != "demo":
        parser.error(f"unknown: {' '.join(others)}")
    folder = options.folder.resolve()
    try:
        if options.command == "start":
            return start(folder, options.port, options.storage)
        chosen = plan.load(folder)
        if options.command == "status":
            return 0 if status.show(chosen) else 1
        if options.command == "demo":
            return demo(chosen, others)
        if options.command == "run":
            return run(chosen, options.part)
        from stack import conductor

        return conductor.conduct(chosen)
    except Refused as refusal:
        sys.stderr.write(f"{refusal}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped.\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
