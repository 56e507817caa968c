"""Runs a protocol's runs one after the other: finished ones are skipped, killed ones go on, failures are listed."""

import argparse
import os
import re
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

from tabulate import tabulate
from tqdm import tqdm

from tools import plan, results
from tools.plan import ROOT, ZERO_SHOT, Run

PROGRESS = re.compile(r"^epoch \[(\d+)/(\d+)\] batch \[(\d+)/(\d+)\]")
USER_ERROR = 2


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bash scripts/upt/main.sh",
        description="Few-shot runs of one data set, zero-shot CLIP beside them, and their table. "
        "DRY_RUN=1 prints the commands and runs nothing.",
        usage="%(prog)s DATASET SHOTS [options] [KEY VALUE ...]",
        epilog="KEY VALUE are config keys, e.g. TRAINER.UPT.MIXER joint. "
        f"Data sets: {', '.join(plan.dataset_names())}, or a folder of pictures below --root.",
    )
    add = parser.add_argument
    add("dataset", metavar="DATASET", help="e.g. emoji (needs no download), oxford_pets, my_photos")
    add("shots", metavar="SHOTS", type=int, help="pictures a class to train on; the paper: 1, 2, 4, 8, 16")
    add("--trainer", default="UPT", help='UPT, CoOp, VPT, ZeroshotCLIP, or several: "CoOp VPT UPT" (default: UPT)')
    add("--seeds", default="1 2 3", help='default: "1 2 3"')
    add("--cfg", default="", help="name of a YAML in configs/trainers/TRAINER (default: the paper's, on ViT-B/16)")
    add("--root", default="", help="folder of the data sets (default: $DATA, else data/ in the project)")
    add("--output", default="", help="folder of the runs (default: output/ in the project)")
    add("--verbose", action="store_true", help="show the runs' own lines")
    args, args.opts = parser.parse_known_args(argv)
    if unknown := [word for word in args.opts if word.startswith("--")]:
        parser.error(f"unknown option {unknown[0]}; -h lists all")
    return args


def from_here(path: str, default: Path) -> Path:
    """A path as the user meant it: the scripts change into the project's folder first."""
    return Path(os.environ.get("UPT_CWD", ".")).joinpath(Path(path).expanduser()).absolute() if path else default


def numbers(text: str, option: str) -> list[int]:
    try:
        return [int(word) for word in text.replace(",", " ").split()]
    except ValueError:
        raise ValueError(f'{option} is "{text}", give whole numbers like "1 2 3"') from None


def differences(run: Run) -> list[str]:
    """What the config that is in the run's directory has other than this run's; empty if it fits or none is there."""
    if not (run.directory / "config.yaml").is_file():
        return []
    import train  # late, since it imports torch, which takes seconds
    from trainers.core.run_dir import config_difference

    return config_difference(train.setup_cfg(train.parse_args(run.arguments())), run.directory)


def execute(run: Run, verbose: bool) -> tuple[int, list[str]]:
    """Runs train.py; returns its exit status and its last lines. A bar shows the epochs."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "train.py", *run.arguments()],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    tail: deque[str] = deque(maxlen=20)
    with tqdm(desc=run.label, unit="epoch", leave=False, disable=True if verbose else None) as bar:
        try:
            for line in process.stdout:
                tail.append(line.rstrip())
                if verbose:
                    print(line, end="", flush=True)
                elif match := PROGRESS.match(line):
                    epoch, total, batch, batches = map(int, match.groups())
                    bar.total, bar.n = total, epoch - 1 + batch // batches
                    bar.refresh()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    return process.wait(), list(tail)


def run_all(runs: list[Run], verbose: bool = False) -> list[tuple[Run, str]]:
    """Runs what is not done yet; returns the failed runs with the reason.

    Raises:
        ValueError: a run says that the user must change something, which all others would say, too.
    """
    failed = []
    for i, run in enumerate(runs, 1):
        head = f"[{i}/{len(runs)}] {run.label}:"
        if changed := differences(run):
            raise ValueError(
                f"{run.directory} holds a run with another config ({'; '.join(changed[:4])}): "
                "choose another --output or delete that directory"
            )
        if result := results.read(run.directory):
            print(f"{head} {result['accuracy']:.1f} % (done before)", flush=True)
            continue
        start = time.perf_counter()
        status, tail = execute(run, verbose)
        result = results.read(run.directory)
        if status == USER_ERROR:
            message = next((line for line in reversed(tail) if line.startswith("error: ")), tail[-1] if tail else "")
            raise ValueError(message.removeprefix("error: "))
        if status or not result:
            failed.append((run, f"exit status {status}"))
            print(f"{head} FAILED, exit status {status}; its last lines:\n  " + "\n  ".join(tail), flush=True)
        else:
            print(f"{head} {result['accuracy']:.1f} % ({time.perf_counter() - start:.0f} s)", flush=True)
    return failed


def table(runs: list[Run]) -> str:
    """Accuracy of each trainer over its seeds, from result.json."""
    groups: dict[tuple, list[Run]] = {}
    for run in runs:
        groups.setdefault((run.trainer, run.cfg, run.directory.parent), []).append(run)
    rows = []
    for (trainer, cfg, _), members in groups.items():
        found = [result for run in members if (result := results.read(run.directory))]
        seeds = f"{len(found)}" if len(found) == len(members) else f"{len(found)} of {len(members)} (incomplete)"
        if trainer == ZERO_SHOT:
            seeds = "-"
        accuracy = results.cell(r["accuracy"] for r in found) if found else "failed"
        seconds = f"{sum(r['train_seconds'] for r in found) / len(found):.0f}" if found else ""
        parameters = f"{found[0]['trainable_parameters']:,}" if found else ""
        rows.append([trainer, cfg, accuracy, seeds, parameters, seconds])
    headers = ["trainer", "config", "accuracy %", "seeds", "trained parameters", "training s"]
    return tabulate(rows, headers, disable_numparse=True, colalign=("left", "left", "right", "right", "right", "right"))


def main(args: argparse.Namespace) -> int:
    root = str(from_here(args.root or os.environ.get("DATA", ""), ROOT / "data"))
    output = from_here(args.output, ROOT / "output")
    seeds, trainers = numbers(args.seeds, "--seeds"), args.trainer.replace(",", " ").split()
    runs = plan.few_shot(args.dataset, args.shots, trainers, args.cfg, seeds, output, root, args.opts)
    if os.environ.get("DRY_RUN", "0") not in ("", "0"):
        print("\n".join(run.command for run in runs))
        return 0
    failed = run_all(runs, args.verbose)
    print(f"\n{args.dataset}, {args.shots} shots a class, test accuracy: {results.SPREAD}\n\n{table(runs)}\n")
    print(f"Each run's log.txt, result.json and prompts.safetensors: {output}")
    for run, reason in failed:
        print(f"FAILED ({reason}): {run.command}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(parse_args()))
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USER_ERROR)
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on from here.", file=sys.stderr)
        sys.exit(130)
