"""A prepared process that has imported all of train.py and forks a real run in milliseconds; tests kill the forks.

    with Zygote() as zygote:
        run = zygote.start(["--trainer", "UPT", ...], log)    # what follows `python train.py`
        os.kill(run.pid, signal.SIGKILL); run.wait()

A fork is a process of its own in every way that matters here: its own memory, signals, locks, exit status and end.
"""

import gc
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What happens to files, as Python reports it to audit hooks, each before it is done; os.replace is a rename.
CHANGES = ("open", "os.rename", "os.remove", "os.mkdir", "os.chmod")
COUNT = re.compile(r"^changes: (\d+)$", re.MULTILINE)


class Run:
    """A forked run; it leads its own process group, as a command in a terminal does."""

    def __init__(self, zygote: "Zygote", pid: int, log: Path):
        self.zygote, self.pid, self.log = zygote, pid, log

    def wait(self) -> int:
        """The exit status, or minus the number of the signal that ended it."""
        return self.zygote.ask(wait=self.pid)

    def kill(self, number: int = signal.SIGKILL) -> int:
        os.kill(self.pid, number)
        return self.wait()

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")


class Zygote:
    """Starts the prepared process; takes as long as the imports of train.py."""

    def __init__(self):
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": _path(), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.zygote"], cwd=ROOT, env=environment, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def __enter__(self) -> "Zygote":
        return self

    def __exit__(self, *exc_info) -> None:
        self.process.stdin.close()
        self.process.wait()

    def start(self, argv: list, log: Path, env: dict | None = None, die_at: int = 0, below: Path | str = "") -> Run:
        """Forks a run of train.py whose output goes to `log`.

        Args:
            env: environment variables of this run.
            die_at: SIGKILL comes just before the so-manieth change to a file below the folder `below`.
        """
        job = {"argv": [*map(str, argv)], "log": str(log), "env": env or {}, "die_at": die_at, "below": str(below)}
        log.touch()
        return Run(self, self.ask(**job), log)

    def ask(self, **job) -> int:
        self.process.stdin.write(json.dumps(job) + "\n")
        return int(self.process.stdout.readline())


def _path() -> str:
    return os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))


def _serve() -> dict:
    """Answers jobs until standard input ends; returns the job only in a fork, which is to do it."""
    for line in sys.stdin:
        job = json.loads(line)
        if "wait" in job:
            answer = os.waitstatus_to_exitcode(os.waitpid(job["wait"], 0)[1])
        else:
            answer = os.fork()
            if not answer:
                return job
        print(answer, flush=True)
    sys.exit()


def _become(job: dict) -> None:
    """Gives the fork its own output, environment and process group, and sets the change at which it dies."""
    os.setsid()
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number, target in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
        os.dup2(target, number)
    os.environ.update(job["env"])
    own, below, changes = os.getpid(), job["below"], 0

    def count(event: str, args: tuple) -> None:
        nonlocal changes
        if event not in CHANGES or os.getpid() != own or not below or not str(args[0]).startswith(below):
            return
        if event == "open" and not (args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        changes += 1
        if changes == job["die_at"]:
            os.kill(own, signal.SIGKILL)

    sys.addaudithook(count)
    from upt_clip import train

    status = train.cli(job["argv"])
    print(f"changes: {changes}", flush=True)
    sys.exit(status)


if __name__ == "__main__":
    import torch.utils.tensorboard  # noqa: F401  (this and train take the time)

    import tests.zygote as module  # not __main__, whose names a run must not see as its own
    from upt_clip import train

    about_this_machine = train.collect_env_info()  # it asks pip and others, for half a second
    train.collect_env_info = lambda: about_this_machine
    gc.freeze()  # no fork looks through what was imported: a third of the time
    module._become(module._serve())
