"""Runs a plan: finished runs are skipped, killed ones go on, failures are listed, and no run is done twice."""

import os
import signal
import threading
import time
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from joblib import cpu_count

from upt_clip import cli, config_files, locks
from upt_clip.tools.sweep import child, forks
from upt_clip.tools.sweep.plan import Run
from upt_clip.tools.tables import results

MOST_WORKERS = 8  # each takes about a GiB of memory
POLL_S = 0.5  # how often a run that another process is at is looked at


@dataclass(frozen=True)
class Failure:
    """A run that failed, and the file that holds what it said last, if it was started."""

    run: Run
    reason: str
    log: Path | None = None


def fitting_workers(runs: list[Run]) -> int:
    """How many runs at a time suit this machine: as many as there are cores where all runs are on pocket and on a CPU.

    Its products are too small for several threads: two runs with one thread each end sooner than one after another.
    """
    small = all(config_files.backbone(run.cfg) == "pocket" and "MODEL.BACKBONE.NAME" not in run.opts for run in runs)
    return min(cpu_count(), MOST_WORKERS) if small and not forks.has_gpu() else 1


def slots(workers: int = 1, gpus: Iterable[str] = ()) -> list[dict[str, str]]:
    """The environment of each run that is under way at the same time: its GPU, or its share of the CPU's cores."""
    if gpus := list(gpus):
        return [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus]
    if workers == 1:
        return [{}]
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, cpu_count() // workers))
    return [{"OMP_NUM_THREADS": threads}] * workers


def to_do(runs: list[Run]) -> list[Run]:
    """The runs without a result, in order; a test of prompts that are to be trained anew is among them.

    Raises:
        ValueError: a run's directory holds a run with another config.
    """
    for run in runs:
        if changed := differences(run):
            raise ValueError(
                f"{run.directory} holds a run with another config ({'; '.join(changed[:4])}): "
                "choose another --output or delete that directory"
            )
    missing = {run.directory for run in runs if not results.read(run.directory)}
    return [run for run in runs if run.directory in missing or (run.source and run.source.directory in missing)]


def differences(run: Run) -> list[str]:
    """What the config that is in the run's directory has other than this run's; empty if it fits or none is there."""
    if not (run.directory / "config.yaml").is_file():
        return []
    from upt_clip import train  # late, since it imports torch, which takes seconds
    from upt_clip.trainers.core.runs.run_dir import config_difference

    return config_difference(train.setup_cfg(train.parse_args(run.arguments())), run.directory)


def run_all(runs: list[Run], at_once: list[dict[str, str]] | None = None, verbose: bool = False) -> list[Failure]:
    """Runs what is not done, as many at once as there are slots; returns what failed.

    Runs of a data set are given up with the first that says that the user must change something, say a missing folder.

    Raises:
        ValueError: every data set was given up; the message is the first such run's.
    """
    pending = to_do(runs)
    print(f"{len(runs)} runs planned: {len(runs) - len(pending)} done, {len(pending)} to do", flush=True)
    at_once = at_once or [{}]
    alike = all(slot == at_once[0] for slot in at_once)  # not so with GPUs
    forked = len(pending) > 1 and alike and forks.are_possible() and forks.warm_up(at_once[0])
    launcher = _Launcher(runs, pending, at_once, verbose, forked)
    with stopped_by_signals():
        return launcher.work() if pending else []


@contextmanager
def stopped_by_signals():
    """SIGTERM and SIGHUP end the block as Ctrl-C does, so that children are stopped."""

    def stop(number, frame):
        raise KeyboardInterrupt

    names = ("SIGTERM", "SIGHUP") if threading.current_thread() is threading.main_thread() else ()
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]  # Windows has no SIGHUP
    # only where nobody has other plans for the signal, as nohup and clusters have
    numbers = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


class _Launcher:
    def __init__(self, runs: list[Run], pending: list[Run], at_once: list[dict[str, str]], verbose: bool, forked: bool):
        self.datasets = {run.dataset for run in runs}
        self.number = {run.directory: i for i, run in enumerate(pending, 1)}
        self.pending, self.free = list(pending), list(at_once)
        self.under_way: dict[Future, tuple[Run, dict[str, str], int, float]] = {}
        self.failures: dict[Path, Failure] = {}
        self.given_up: dict[str, str] = {}  # data set -> the user error
        self.progress = child.Progress(len(pending), hidden=verbose)
        self.children = child.Children(self.progress, verbose, forked)
        self.waiting_said = False

    def work(self) -> list[Failure]:
        with ThreadPoolExecutor(len(self.free)) as pool:
            try:
                while self.pending or self.under_way:
                    locked = self._start(pool)
                    if self.under_way:
                        ended, _ = wait(self.under_way, POLL_S if locked else None, FIRST_COMPLETED)
                        for future in ended:
                            self._end(future)
                    elif locked:
                        self._say_waiting(locked[0])
                        time.sleep(POLL_S)
            except BaseException:
                self.children.stop()
                raise
            finally:
                self.progress.close()
        return list(self.failures.values())

    def _start(self, pool: ThreadPoolExecutor) -> list[Run]:
        """Starts what can be started; returns the runs that another process is at."""
        locked = []
        for run in list(self.pending):
            if not self.free:
                break
            source = run.source and run.source.directory
            if run.dataset in self.given_up:
                self._drop(run, self.given_up[run.dataset])
            elif run.source and source in self.failures:
                self._drop(run, f"the run whose prompts it tests failed ({run.source.label})")
            elif source in {other.directory for other in self._unfinished() if other is not run}:
                continue
            elif (lock := locks.take(run.directory)) is None:
                locked.append(run)
            elif result := results.read(run.directory):  # another planner was quicker
                os.close(lock)
                self.pending.remove(run)
                self.progress.finish(run, f"{self._head(run)} {result['accuracy']:.1f} % (done by another process)")
            else:
                self.pending.remove(run)
                for other in self.pending:
                    if other.source and other.source.directory == run.directory:  # a test of prompts that are gone
                        (other.directory / "result.json").unlink(missing_ok=True)
                slot = self.free.pop(0)
                future = pool.submit(self.children.run, run, slot, lock)
                self.under_way[future] = (run, slot, lock, time.perf_counter())
        return locked

    def _unfinished(self) -> list[Run]:
        return [*self.pending, *(run for run, *_ in self.under_way.values())]

    def _end(self, future: Future) -> None:
        run, slot, lock, start = self.under_way.pop(future)
        self.free.append(slot)
        status, tail = future.result()
        result = results.read(run.directory)
        if status or not result:
            log = child.write_failure(run, status, tail)
            message = child.reason(status, tail)
            if status == cli.USER_ERROR:
                message = next((line for line in reversed(tail) if line.startswith("error: ")), message)
                message = message.removeprefix("error: ").removesuffix(cli.DEBUG_HINT)
                if not (run.directory / "config.yaml").is_file():  # it never began: the data set's others would not
                    self.given_up[run.dataset] = message
            self.failures[run.directory] = Failure(run, message, log)
            more = "" if status == cli.USER_ERROR else f"; its last lines: {log}"
            self.progress.finish(run, f"{self._head(run)} FAILED, {message}{more}")
        else:
            (run.directory / "failure.txt").unlink(missing_ok=True)
            seconds = time.perf_counter() - start
            self.progress.finish(run, f"{self._head(run)} {result['accuracy']:.1f} % ({seconds:.0f} s)")
        os.close(lock)
        if self.given_up.keys() >= self.datasets:
            raise ValueError(next(iter(self.given_up.values())))

    def _drop(self, run: Run, reason: str) -> None:
        self.pending.remove(run)
        self.failures[run.directory] = Failure(run, reason)
        self.progress.finish(run)

    def _head(self, run: Run) -> str:
        return f"[{self.number[run.directory]}/{len(self.number)}] {run.label}:"

    def _say_waiting(self, run: Run) -> None:
        if not self.waiting_said:
            self.progress.say(f"Waiting for another process, which is at {run.directory}")
            self.waiting_said = True
