"""The same plan as jobs of a cluster, through submitit: a training run and the tests of its prompts are one job."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from upt_clip.tools.sweep import child, launch
from upt_clip.tools.sweep.launch import Failure
from upt_clip.tools.sweep.plan import Run

POLL_S = 1.0
# submitit's own names; a cluster's other options are passed on as slurm_NAME
GENERIC = ("name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node")
DEFAULTS: dict[str, str | int] = {"name": "upt", "timeout_min": 24 * 60, "gpus_per_node": 1, "cpus_per_task": 4}


class Chain:
    """A job: runs one after the other. If the cluster takes its place away, it is queued again and goes on."""

    def __init__(self, runs: list[Run]):
        self.runs = runs

    def __call__(self) -> list[Failure]:
        try:
            return launch.run_all(self.runs)
        except ValueError as error:  # the user must change something; the planner says so for all jobs together
            return [Failure(run, str(error)) for run in launch.to_do(self.runs)]

    def checkpoint(self, *args, **kwargs):
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def chains(runs: list[Run]) -> list[list[Run]]:
    """The runs by the training run that they are or that they test, in order."""
    groups: dict[Path, list[Run]] = {}
    for run in runs:
        group = groups.setdefault((run.source or run).directory, [])
        if run.source and not group:
            group.append(run.source)
        group.append(run)
    return list(groups.values())


def parameters(pairs: Iterable[str]) -> dict[str, str | int]:
    """Submitit's parameters from KEY=VALUE words, over the defaults: one GPU, 4 cores and a day for each job."""
    chosen = dict(DEFAULTS)
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise ValueError(f'--slurm takes KEY=VALUE, e.g. partition=gpu timeout_min=120, but got "{pair}"')
        key = key if key in GENERIC or key.startswith("slurm_") else f"slurm_{key}"
        chosen[key] = int(value) if value.isdigit() else value
    return chosen


def run_all(runs: list[Run], output: Path, pairs: Iterable[str] = (), cluster: str = "slurm") -> list[Failure]:
    """Submits what is not done and waits for it; returns what failed. The jobs' own logs: OUTPUT/submitit.

    Ending this process leaves jobs that are queued or running on the cluster as they are; the locks of the run
    directories keep a job that is submitted twice from doing a run twice.

    Raises:
        ValueError: submitit is missing, it has no cluster here, or its parameters make no sense.
    """
    try:
        import submitit
    except ImportError:
        raise ValueError("--launcher slurm needs submitit: pip install submitit") from None
    chosen = parameters(pairs)
    pending = launch.to_do(runs)
    print(f"{len(runs)} runs planned: {len(runs) - len(pending)} done, {len(pending)} to do", flush=True)
    if not pending:
        return []
    os.environ |= child.import_path()  # for the jobs
    try:
        executor = submitit.AutoExecutor(folder=output / "submitit", cluster=cluster)
        executor.update_parameters(**chosen)
        groups = chains(pending)
        with executor.batch():
            jobs = [executor.submit(Chain(group)) for group in groups]
    except (RuntimeError, NameError, TypeError, AssertionError, submitit.core.utils.UncompletedJobError) as error:
        raise ValueError(f"submitit refuses: {' '.join(str(error).split())}") from error
    print(f"Submitted {len(jobs)} jobs; their logs: {output / 'submitit'}", flush=True)
    try:
        return _wait(groups, jobs, len(pending))
    except BaseException:
        if cluster == "local":
            for job in jobs:
                job.cancel()
        else:
            print(f"The jobs go on; `scancel {' '.join(sorted({j.job_id.split('_')[0] for j in jobs}))}` ends them")
        raise


def _wait(groups: list[list[Run]], jobs: list, n_runs: int) -> list[Failure]:
    progress = child.Progress(n_runs, hidden=False)
    failures: list[Failure] = []
    waiting = dict(enumerate(jobs))
    try:
        while waiting:
            for i, job in list(waiting.items()):
                if job.done():
                    del waiting[i]
                    failures += _outcome(groups[i], job)
                    for run in groups[i]:
                        progress.finish(run, f"{run.label}: job {job.job_id} has ended")
            time.sleep(POLL_S if waiting else 0)
    finally:
        progress.close()
    return failures


def _outcome(group: list[Run], job) -> list[Failure]:
    if error := job.exception():
        message = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        return [Failure(run, f"job {job.job_id}: {message}", job.paths.stderr) for run in launch.to_do(group)]
    return job.result()
