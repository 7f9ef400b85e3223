"""What a stack is: its folder, its ports, its secrets, and the settings that its processes share."""

import contextlib
import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BASE_DIR = Path(__file__).resolve().parent.parent
FOLDER = BASE_DIR / "var" / "stack"
FIRST_PORT = 2443
HOST = "127.0.0.1"
DATABASE, BUCKET, ACCESS_KEY, ADMIN = "vod", "vod-media", "vod", "admin@example.com"
STORAGES = ("s3", "local")

# What listens, in the order of the ports.
LISTENERS = (
    "nginx", "page", "web-1", "web-2", "postgresql", "valkey", "s3",
    "s3-grpc", "master", "master-grpc", "volume", "volume-grpc", "filer", "filer-grpc",
)  # fmt: skip
SECRETS = ("secret_key", "administrator", "database", "valkey", "bucket", "supervisor")

_OF_BUCKET = (
    "S3_ENDPOINT", "S3_BUCKET", "S3_REGION", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_PREFIX",
    "S3_PATH_STYLE",
)  # fmt: skip


class Refused(Exception):
    """The stack cannot be started; the text says why, and what to do."""


@dataclass(frozen=True)
class Plan:
    """A stack in a folder."""

    folder: Path
    ports: dict[str, int]
    secrets: dict[str, str] = field(repr=False)
    storage: str = "s3"  # where the files of videos lie: one of STORAGES

    @property
    def url(self) -> str:
        """The address of the service."""
        return f"https://{HOST}:{self.ports['nginx']}"

    @property
    def page(self) -> str:
        """The address of the page that shows what runs."""
        return f"http://{HOST}:{self.ports['page']}/"

    @property
    def certificate(self) -> Path:
        return self.folder / "nginx" / "certificate.pem"

    @property
    def settings_file(self) -> Path:
        """The file of settings, for `ENV_FILE=… manage.py`."""
        return self.folder / "settings.env"

    @property
    def socket(self) -> Path:
        """The socket at which the supervisor takes commands."""
        return self.folder / "supervisor.sock"

    def database_url(self, name: str = DATABASE) -> str:
        return f"postgres://vod:{self.secrets['database']}@{HOST}:{self.ports['postgresql']}/{name}"

    def valkey_url(self, number: int) -> str:
        return f"redis://:{self.secrets['valkey']}@{HOST}:{self.ports['valkey']}/{number}"

    def settings(self) -> dict[str, str]:
        """Return the settings that the processes of the service share."""
        return {
            "SECRET_KEY": self.secrets["secret_key"],
            "DEFAULT_ADMIN_EMAIL": ADMIN,
            "DEFAULT_ADMIN_PASSWORD": self.secrets["administrator"],
            "HOST": HOST,
            "PORT": str(self.ports["web-1"]),
            "WEB_WORKERS": "1",
            "PUBLIC_URL": self.url,
            # Not localhost: a browser would keep the rule "HTTPS only" for all that is served there.
            "ALLOWED_HOSTS": HOST,
            "TRUSTED_PROXIES": HOST,
            "CSRF_TRUSTED_ORIGINS": self.url,
            "ALLOW_HTTP": "false",
            "DATABASE_URL": self.database_url(),
            "CACHE_URL": self.valkey_url(0),
            "QUEUE_ENGINE": "celery",
            "CELERY_BROKER_URL": self.valkey_url(1),
            "DELIVERY": "nginx",
            "STORAGE": self.storage,
            **self._bucket(),
            "DATA_DIR": str(self.folder / "commands"),
        }

    def _bucket(self) -> dict[str, str]:
        """Return the settings of the bucket; empty ones, and a folder for all processes, without it."""
        if self.storage == "local":
            return {**dict.fromkeys(_OF_BUCKET, ""), "MEDIA_DIR": str(self.folder / "media")}
        values = (
            f"http://{HOST}:{self.ports['s3']}", BUCKET, "us-east-1", ACCESS_KEY, self.secrets["bucket"],
            "vod/", "true",
        )  # fmt: skip
        return dict(zip(_OF_BUCKET, values, strict=True))

    def environment(self, **own: str) -> dict[str, str]:
        """Return the environment of a process of the service.

        Settings that the stack does not decide, like FFMPEG_PRESET, come from the caller's environment.
        """
        decided = {*self.settings(), "MEDIA_DIR", "STATIC_DIR"}
        others = {name: value for name, value in os.environ.items() if name not in decided}
        return {**others, "ENV_FILE": str(self.settings_file), **own}


def load(folder: Path) -> Plan:
    """Return the stack of a folder. Raises Refused where none was started yet."""
    try:
        kept = json.loads((folder / "stack.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refused(f"No stack was started in {folder} yet: make stack") from None
    except PermissionError:
        raise Refused(f"Only the user who started the stack in {folder} may read it.") from None
    return Plan(folder, kept["ports"], kept["secrets"], kept.get("storage", STORAGES[0]))


def make(folder: Path, first_port: int | None, storage: str = "") -> Plan:
    """Return the stack of a folder; the first time, choose its ports and secrets and keep them.

    The ports follow each other from ``first_port`` on, 0 stands for any free ones, and None for those of
    the last start. ``storage`` is one of STORAGES; empty: that of the last start. Raises Refused for
    another one than that, because its videos would be away.
    """
    if any(character in str(folder) for character in "'\n"):
        raise Refused(f"The folder's name may have no quote and no line break: {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)  # the users of PostgreSQL and nginx pass through it to their own folders
    kept: dict[str, Any] = {}
    with contextlib.suppress(Refused):
        last = load(folder)
        kept = {"ports": last.ports, "secrets": last.secrets, "storage": last.storage}
    known_storage = kept.setdefault("storage", storage or STORAGES[0])
    if storage and storage != known_storage:
        raise Refused(
            f"The stack in {folder} keeps its videos in STACK_STORAGE={known_storage}."
            " Choose another folder:"
            f" make stack STACK_STORAGE={storage} ARGS='--folder var/stack-{storage}'"
        )
    if first_port is not None or "ports" not in kept:
        kept["ports"] = _ports(FIRST_PORT if first_port is None else first_port)
    known = kept.get("secrets", {})
    kept["secrets"] = {name: known.get(name) or secrets.token_urlsafe(48) for name in SECRETS}
    write_private(folder / "stack.json", json.dumps(kept, indent=1))
    return Plan(folder, kept["ports"], kept["secrets"], kept["storage"])


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read, whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)


def in_use(plan: Plan) -> dict[str, int]:
    """Return the ports at which something else listens, by the part that needs them."""
    return {name: port for name, port in plan.ports.items() if not _is_free(port)}


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let one start at a time happen in a folder. Raises Refused for a second one."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "start.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refused(f"Another start in {folder} has not ended yet.") from None
        yield


def _ports(first: int) -> dict[str, int]:
    if first:
        if not 1024 <= first <= 65_535 - len(LISTENERS):
            raise Refused(f"The first port must be from 1024 to {65_535 - len(LISTENERS)}.")
        return {name: first + number for number, name in enumerate(LISTENERS)}
    with contextlib.ExitStack() as probes:
        found = {}
        for name in LISTENERS:
            probe = probes.enter_context(socket.socket())
            probe.bind((HOST, 0))
            found[name] = probe.getsockname()[1]
        return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
