"""The first process of the supervisor: it starts the others, each step when the one before works."""

import os
import subprocess
import sys
import time
from itertools import groupby

from config import supervisor
from stack import health, launch, parts, status
from stack.control import Supervisor
from stack.parts import Part
from stack.plan import ADMIN, BASE_DIR, BUCKET, DATABASE, HOST, Plan

PATIENCE = 300.0


class StartFailed(Exception):
    """A part cannot be started; the text says why."""


def conduct(plan: Plan) -> int:
    """Start all parts, and show what runs until this process is told to stop. Safe to repeat.

    A part that does not work in time ends the whole stack, with the last lines of its log.
    """
    started = time.monotonic()
    folder = plan.folder / "conductor"
    folder.mkdir(exist_ok=True)
    launch.take_over(folder)
    try:
        for step, members in groupby(parts.all_of(plan), key=lambda part: part.step):
            _before(plan, step)
            _start(plan, list(members))
    except StartFailed as failure:
        _say(f"{failure}\nThe stack is stopped.")
        supervisor.stop()
        return 1
    _say(_banner(plan, time.monotonic() - started))
    status.serve(plan)
    return 0


def _start(plan: Plan, members: list[Part]) -> None:
    """Start the parts of a step, and wait until each works."""
    for part in members:
        Supervisor(plan).start(part)
    for part in members:
        began = time.monotonic()
        while (fault := _fault(plan, part)) is not None:
            if time.monotonic() - began > PATIENCE:
                log = parts.folder_of(plan, part) / "log"
                last = log.read_text(errors="replace").splitlines()[-10:] if log.exists() else []
                text = f"{part.name} does not work after {PATIENCE:g} seconds: {fault}. From {log}:"
                raise StartFailed("\n  ".join([text, *last]))
            time.sleep(0.2)
        address = f" on {plan.ports[part.name]}" if part.name in plan.ports else ""
        _say(f"  {part.name} {part.version()}{address} works")


def _fault(plan: Plan, part: Part) -> str | None:
    """Return what keeps a part from working, or None."""
    try:
        part.health(plan)
    except Exception as error:  # noqa: BLE001 - each client raises errors of its own
        return str(error).strip() or type(error).__name__
    return None


def _before(plan: Plan, step: str) -> None:
    """Make what the parts of a step need inside the servers that work already."""
    if step == "valkey":  # PostgreSQL works then
        with health.connected(plan, "postgres") as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if known.fetchone() is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")
    elif step == "celery":
        if plan.storage == "s3":
            _make_bucket(plan)
        _manage(plan, "migrate", "--no-input", "-v", "0")
        _manage(plan, "seed", "-v", "0")
    elif step == "nginx":
        _manage(plan, "nginx_config", *_nginx(plan))


def _nginx(plan: Plan) -> list[str]:
    """Return the arguments that make nginx's configuration: TLS, both web servers, and its folder."""
    folder = plan.folder / "nginx"
    arguments = {
        "--output": folder / "nginx.conf",
        "--folder": folder,
        "--listen": f"{HOST}:{plan.ports['nginx']}",
        "--certificate": plan.certificate,
        "--certificate-key": folder / "key.pem",
    }
    if os.geteuid() == 0 and plan.storage == "local":
        arguments["--user"] = "root"  # the user of the files, as of all that root starts here
    webs = [
        each
        for name in ("web-1", "web-2")
        for each in ("--web", f"http://{HOST}:{plan.ports[name]}")
    ]
    return [*webs, *(str(each) for pair in arguments.items() for each in pair)]


def _make_bucket(plan: Plan) -> None:
    """Make the bucket, and wait until it takes an object: SeaweedFS needs its volume server for that."""
    began = time.monotonic()
    while True:
        try:
            client = health.bucket_client(plan)
            if BUCKET not in [each["Name"] for each in client.list_buckets()["Buckets"]]:
                client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="stack-probe", Body=b"1")
            client.delete_object(Bucket=BUCKET, Key="stack-probe")
        except Exception as error:  # noqa: BLE001 - boto3 makes classes of errors at run time
            if time.monotonic() - began > PATIENCE:
                raise StartFailed(f"The bucket cannot be written: {error}") from None
            time.sleep(0.5)
        else:
            return


def _manage(plan: Plan, *arguments: str) -> None:
    command = [sys.executable, str(BASE_DIR / "manage.py"), *arguments]
    done = subprocess.run(command, env=plan.environment(), capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        raise StartFailed(f"manage.py {arguments[0]} failed:\n{done.stdout}{done.stderr}")


def _banner(plan: Plan, seconds: float) -> str:
    return "\n".join(
        [
            f"Video on demand on {plan.url}, started in {seconds:.0f} s",
            f"  what runs          {plan.page}, or make stack-status",
            "  demonstration      make stack-demo (in another terminal)",
            f"  administrator      {ADMIN}; the password is in {plan.settings_file}",
            f"  certificate        {plan.certificate}, signed by itself",
            "  stop               Ctrl-C",
        ]
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
