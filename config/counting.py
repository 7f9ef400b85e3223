"""The folder in which the web processes of one server count, made by the process that starts them.

It imports nothing of prometheus_client, which reads the environment when it is imported.
"""

import os
import shutil
import socket
from pathlib import Path

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the name is prometheus_client's
STARTED = "WEB_STARTED_AT"


def prepare(data: Path, *, port: int, processes: int, started_at: float) -> None:
    """Make the folder of the counters empty, for the processes that this one will start.

    Its name has host and port, which no other server has: several may share DATA_DIR. One process
    counts in its memory and needs no folder.
    """
    folder = data / "metrics" / f"{socket.gethostname()}-{port}"
    os.environ[STARTED] = str(started_at)
    os.environ.pop(FOLDER, None)
    shutil.rmtree(folder, ignore_errors=True)
    if processes > 1:
        folder.mkdir(parents=True)
        os.environ[FOLDER] = str(folder)
