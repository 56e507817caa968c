"""A run as a child process: its epochs move a bar, and what it said last is kept if it fails."""

import os
import re
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

from tqdm import tqdm

from upt_clip import HOME, locks
from upt_clip.tools.sweep.forks import Fork
from upt_clip.tools.sweep.plan import Run

EPOCHS = re.compile(r"^epoch \[(\d+)/(\d+)\] batch \[(\d+)/(\d+)\]")
LINES_KEPT = 100
RUN = [sys.executable, "-m", "upt_clip", "run"]


class Progress:
    """One bar over all runs; the epochs of those under way count as parts of a run."""

    def __init__(self, total: int, hidden: bool):
        form = "{percentage:3.0f}% |{bar:24}| {n:.1f}/{total} runs [{elapsed}<{remaining}]{postfix}"
        self._bar = tqdm(total=total, bar_format=form, disable=True if hidden else None, dynamic_ncols=True)
        self._under_way: dict[str, tuple[float, str]] = {}
        self._done = 0
        self._changing = threading.Lock()

    def show(self, run: Run, epoch: float, epochs: int) -> None:
        """`epoch` of `epochs` are done."""
        with self._changing:
            self._under_way[run.label] = (epoch / epochs, f"{run.label} {int(epoch)}/{epochs}")
            self._draw()

    def finish(self, run: Run, line: str = "") -> None:
        """A run is over: prints `line` above the bar."""
        with self._changing:
            self._under_way.pop(run.label, None)
            self._done += 1
            if line:
                self.say(line)
            self._draw()

    def say(self, line: str) -> None:
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()

    def close(self) -> None:
        self._bar.close()

    def _draw(self) -> None:
        self._bar.n = self._done + sum(part for part, _ in self._under_way.values())
        self._bar.set_postfix_str(" | ".join(text for _, text in self._under_way.values()), refresh=True)


class Children:
    """Starts runs, and stops all of them at once."""

    def __init__(self, progress: Progress, verbose: bool = False, forked: bool = False):
        self.progress, self.verbose, self.forked = progress, verbose, forked
        self._processes: set[subprocess.Popen | Fork] = set()
        self._changing = threading.Lock()
        self._stopped = False

    def run(self, run: Run, environment: dict[str, str], lock: int) -> tuple[int, list[str]]:
        """Runs train.py to its end; returns its exit status and last lines. The child keeps the lock while it lives."""
        with self._changing:
            if self._stopped:
                return 1, []
            start = Fork if self.forked else _fresh
            process = start(run.arguments(), environment, lock)
            self._processes.add(process)
        tail: deque[str] = deque(maxlen=LINES_KEPT)
        for line in process.stdout or ():
            tail.append(line.rstrip())
            if self.verbose:
                print(line, end="", flush=True)
            elif match := EPOCHS.match(line):
                epoch, epochs, batch, batches = map(int, match.groups())
                self.progress.show(run, epoch - 1 + batch / batches, epochs)
        status = process.wait()
        with self._changing:
            self._processes.discard(process)
        return status, list(tail)

    def stop(self) -> None:
        """Ends all of them, gently for ten seconds, and lets none start any more."""
        with self._changing:
            self._stopped = True
            processes = list(self._processes)
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _fresh(arguments: list[str], environment: dict[str, str], lock: int) -> subprocess.Popen:
    """A run as a process that imports all itself."""
    return subprocess.Popen(
        [*RUN, *arguments],
        env=os.environ | environment | import_path() | {"PYTHONUNBUFFERED": "1", locks.HANDED_DOWN: str(lock)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[lock] if os.name == "posix" else [],
        text=True,
        errors="replace",
    )


def import_path() -> dict[str, str]:
    """The environment variable with which another Python finds this package, wherever it works."""
    checkout = "" if HOME.name == "upt_clip" and (HOME / "__main__.py").is_file() else str(HOME)
    return {"PYTHONPATH": os.pathsep.join(filter(None, [checkout, os.environ.get("PYTHONPATH")]))}


def write_failure(run: Run, status: int, tail: list[str]) -> Path:
    """Keeps what a failed run said last, with the command, in its directory; returns the file."""
    path = run.directory / "failure.txt"
    path.write_text("\n".join([run.command, f"exit status {status}", "", *tail, ""]))
    return path


def reason(status: int, tail: list[str]) -> str:
    """Why a run failed, in one line: its last words, or the signal that ended it."""
    if status < 0:
        return f"ended by signal {-status}" + (" (out of memory?)" if status == -9 else "")
    said = next((line.strip() for line in reversed(tail) if line.strip()), "")
    return f"exit status {status}: {said[:200]}" if said else f"exit status {status}"
