"""Runs of train.py that are killed and started again, compared with one that nobody disturbed.

A plan of a kill is ("change", k): SIGKILL just before the k-th change to a file of the run, or ("line", k, seconds):
some time after the run has printed its k-th line, which is in the middle of an epoch, a test or a write.
"""

import json
import random
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tests.conftest import TINY_VIT, random_clip
from tests.trees import make_oxford_pets
from tests.zygote import COUNT, Run, Zygote

# What may differ between two runs of the same thing.
TIMES = ("train_seconds", "test_seconds", "peak_memory_mb", "command")
JITTER_S = 0.06
SMALL = [
    "INPUT.SIZE", "(32, 32)", "DATALOADER.NUM_WORKERS", "0", "DATALOADER.TRAIN_X.BATCH_SIZE", "4",
    "DATASET.NUM_SHOTS", "2", "OPTIM.MAX_EPOCH", "3", "OPTIM.NAME", "sgd", "OPTIM.LR", "0.02",
    "OPTIM.LR_SCHEDULER", "cosine", "OPTIM.WARMUP_EPOCH", "1", "OPTIM.WARMUP_TYPE", "constant",
    "INPUT.TRANSFORMS", "['random_resized_crop', 'random_flip', 'normalize']", "DATASET.NAME", "OxfordPets",
    "TRAIN.PRINT_FREQ", "1",
]  # fmt: skip
# Learned by dropout and by chosen epochs, with each epoch's checkpoint; with worker processes; without val.
CASES = {
    "best on val": ["UPT", "TEST.FINAL_MODEL", "best_val", "TRAIN.CHECKPOINT_FREQ", "1"],
    "workers": ["UPT", "DATALOADER.NUM_WORKERS", "2"],
    "adam": ["CoOp", "TRAINER.COOP.N_CTX", "4", "OPTIM.NAME", "adamw"],
}


def snapshot(directory: Path) -> dict:
    """All that a finished run has left and that must be the same, bit for bit; times and logs are left out."""
    skip = ("log.txt", "tensorboard", ".lock")
    names = sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file())
    found: dict = {"files": [name for name in names if not name.startswith(skip)]}
    for name in found["files"]:
        path = directory / name
        if path.name == "result.json":
            found[name] = {k: v for k, v in json.loads(path.read_text()).items() if k not in TIMES}
            found[name]["versions"].pop("project")  # somebody may commit meanwhile
        elif path.name.startswith("model"):
            found[name] = _plain(torch.load(path, weights_only=True))
        elif path.name == "config.yaml":
            lines = path.read_text().splitlines()
            found[name] = [line for line in lines if not line.startswith("OUTPUT_DIR")]
        else:
            found[name] = path.read_bytes()
    return found


def _plain(value):
    """Tensors as their bytes, so that == compares whole checkpoints: learned, momentum, learning rates."""
    if isinstance(value, torch.Tensor):
        return (str(value.dtype), tuple(value.shape), value.numpy().tobytes())
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def differences(found: dict, wanted: dict) -> list[str]:
    """The names of files that differ, are missing or superfluous."""
    return sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))


@dataclass
class Bench:
    """A small data set and a small random CLIP in a folder, and the runs on them."""

    folder: Path
    zygote: Zygote
    kills: list[tuple] = field(default_factory=list)  # those that hit a run
    lost: list[str] = field(default_factory=list)  # what differed afterwards
    n_runs: int = 0

    def __post_init__(self):
        make_oxford_pets(self.folder / "data", 4, 12)
        torch.save(random_clip(TINY_VIT).state_dict(), self.folder / "tiny.pt")

    def start(self, case: list[str], directory: Path, *opts, log: Path | None = None, **how) -> Run:
        """Starts train.py for a case in `directory`; its output goes to a new file beside it, or else to `log`."""
        trainer, *keys = case
        argv = ["--root", self.folder / "data", "--seed", "1", "--trainer", trainer]
        argv += ["--backbone", self.folder / "tiny.pt", "--output-dir", directory, *opts, *SMALL, *keys]
        log = log or directory.with_name(directory.name + ".said")
        log.unlink(missing_ok=True)
        cache = {"UPT_CACHE": str(directory) + ".cache"}
        return self.zygote.start(argv, log, cache, below=directory, **how)

    def undisturbed(self, case: list[str]) -> tuple[dict, int, int]:
        """What a run leaves that is let alone, its number of changes to files, and of lines that it prints."""
        directory = self.folder / "undisturbed"
        shutil.rmtree(directory, ignore_errors=True)
        run = self.start(case, directory)
        if status := run.wait():
            raise AssertionError(f"exit status {status}: {run.said[-2000:]}")
        return snapshot(directory), int(COUNT.search(run.said).group(1)), run.said.count("\n")

    def kill(self, case: list[str], directory: Path, plan: tuple) -> bool:
        """Starts the run and kills it as planned; False if it had ended before."""
        kind, k, *rest = plan
        run = self.start(case, directory, die_at=k if kind == "change" else 0)
        if kind == "line":
            self._wait_for_line(run, k, rest[0])
            status = run.kill()
        else:
            status = run.wait()
        if status == -9:
            self.kills.append(plan)
        elif status:
            raise AssertionError(f"exit status {status} after {self.kills}: {run.said[-2000:]}")
        return status == -9

    def _wait_for_line(self, run: Run, line: int, seconds: float) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            said = run.said
            if said.count("\n") >= line or COUNT.search(said):
                break
            time.sleep(0.002)
        time.sleep(seconds)

    def disturb(self, case: list[str], plans: list[tuple], wanted: dict) -> None:
        """One run that is killed by each plan in turn and then let finish; what differs is noted in `lost`."""
        self.n_runs += 1
        directory = self.folder / f"run{self.n_runs}"
        before = len(self.kills)
        for plan in plans:
            if not self.kill(case, directory, plan):
                break
        run = self.start(case, directory)
        status = run.wait()
        wrong = [f"exit status {status}: {run.said[-500:]}"] if status else differences(snapshot(directory), wanted)
        if wrong:
            self.lost.append(f"{directory} after {self.kills[before:]}: {', '.join(wrong)}")
        else:
            shutil.rmtree(directory)


def random_plans(draw: random.Random, n: int, n_changes: int, n_lines: int) -> list[tuple]:
    """Kills of one run, each anywhere in it; half of them at a change to a file, half by the clock."""
    changes = [("change", draw.randint(1, n_changes)) for _ in range(n)]
    lines = [("line", draw.randint(1, n_lines), round(draw.uniform(0, JITTER_S), 4)) for _ in range(n)]
    return [draw.choice(pair) for pair in zip(changes, lines, strict=True)]
