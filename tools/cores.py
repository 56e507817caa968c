"""How many cores this process may use: a cluster's job or `taskset` gives fewer than the machine has."""

import os


def cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
