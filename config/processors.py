"""The number of processors that this process may use."""

import os


def count() -> int:
    """Return it; where a container or `taskset` gives fewer than the machine has, those."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
