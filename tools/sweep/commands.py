"""What the scripts in scripts/upt do: choose what was left open, run the plan, and print its table."""

import argparse
import os
import shlex
import sys
from pathlib import Path

import yaml
from tabulate import tabulate

from upt_clip import HOME, config_files, data_words, messages
from upt_clip.config_files import ZERO_SHOT
from upt_clip.tools.sweep import launch, protocols, slurm
from upt_clip.tools.sweep.launch import Failure
from upt_clip.tools.sweep.options import parse_args
from upt_clip.tools.sweep.plan import Run
from upt_clip.tools.sweep.protocols import Asked
from upt_clip.tools.tables import results, selection
from upt_clip.tools.tables.layout import LAYOUTS
from upt_clip.tools.tables.table import render

# Zero-shot CLIP stands beside them in any case.
DEFAULT_TRAINERS = {
    "few_shot": ("LinearProbe", "CoOp", "VPT", "UPT"),
    "base2new": ("CoOp", "CoCoOp", "VPT", "UPT"),
    "domain_generalization": ("CoOp", "VPT", "UPT"),
    "cross_dataset": ("CoOp", "VPT", "UPT"),
    "ablation": ("UPT",),
}


def present(root: str, datasets: tuple[str, ...]) -> list[str]:
    """Those of the data sets whose folder is below the data root."""
    if not Path(root).is_dir() or not any(Path(root).iterdir()):
        return []
    from upt_clip import datasets as registering  # noqa: F401  (late, since these import torch, which takes seconds)

    # isort: split
    from dassl.data.datasets import DATASET_REGISTRY

    def folder(name: str) -> Path:
        return Path(root) / DATASET_REGISTRY.get(_registry_name(name)).dataset_dir

    return [name for name in datasets if folder(name).is_dir()]


def _registry_name(dataset: str) -> str:
    return yaml.safe_load(config_files.dataset_file(dataset).read_text())["DATASET"]["NAME"]


def choose_datasets(protocol: str, root: str) -> list[str]:
    """The paper's data sets for a protocol as far as they are there, else the embedded emoji; says which and why."""
    wanted = ("imagenet",) if protocol in ("domain_generalization", "cross_dataset") else selection.PAPER_SETS
    found = present(root, wanted)
    absent = [name for name in wanted if name not in found]
    if not found:
        what = "ImageNet" if wanted == ("imagenet",) else "data set of the paper"
        print(f"No {what} below {root} (--root or $DATA): the embedded emoji are used", file=sys.stderr)
        return ["emoji"]
    if absent:
        print(f"Not below {root}, left out: {', '.join(absent)} (upt-clip data check)", file=sys.stderr)
    return found


def choose_trainers(protocol: str, cfg: str, datasets: list[str]) -> list[str]:
    """The protocol's default trainers as far as they have a config for the backbone."""

    def has_config(trainer: str) -> bool:
        names = {config_files.choose_cfg(trainer, cfg, dataset) for dataset in datasets}
        return all((config_files.CONFIGS / "trainers" / trainer / f"{name}.yaml").is_file() for name in names)

    trainers = [trainer for trainer in DEFAULT_TRAINERS[protocol] if has_config(trainer)]
    if not trainers:
        raise ValueError(f'--cfg is "{cfg}", which no trainer of {protocol} has: name a backbone such as vit_b16')
    return trainers


def planned(args: argparse.Namespace) -> list[Run]:
    """The runs that a command line asks for; what it leaves open is chosen here."""
    named: dict[str, str] = {}  # what runs are named by, and what it stands for
    for dataset in dict.fromkeys(args.datasets or choose_datasets(args.protocol, args.root)):
        named[data_words.run_name(dataset, args.root, args.output, named)] = dataset
    datasets, names = list(named), config_files.dataset_names()
    folders = {name: dataset for name, dataset in named.items() if dataset not in names}
    trainers = args.trainers or (
        ["UPT"] if args.script == "train" else choose_trainers(args.protocol, args.cfg, datasets)
    )
    shots = args.shots or ([1, 2, 4, 8, 16] if args.protocol == "few_shot" else [16])
    asked = Asked(
        trainers, args.output, args.root, tuple(shots), tuple(args.seeds), args.cfg, tuple(args.opts), folders
    )
    runs = protocols.PROTOCOLS[args.protocol](datasets, asked)
    _check_apart(args, runs)
    return runs


def _check_apart(args: argparse.Namespace, runs: list[Run]) -> None:
    """Raises ValueError if a run would be written into its data, before the planner makes its directory."""
    for run in runs:
        if run.folder:
            data_words.check_apart(run.directory, Path(run.root) / run.folder)
    near = any(args.output.is_relative_to(place) for place in (args.root, HOME / "assets"))
    if near or {"DATASET.ROOT", "DATASET.FOLDER"} & set(args.opts[::2]):
        from upt_clip import train  # late, since it imports torch, which takes seconds

        for run in runs:
            train.setup_cfg(train.parse_args(run.arguments()))


def table(runs: list[Run], style: str = "simple") -> str:
    """Accuracy of each trainer over its seeds, from result.json; `style` is tabulate's."""
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
    aligned = ("left", "left", "right", "right", "right", "right")
    return tabulate(rows, headers, style, disable_numparse=True, colalign=aligned)


def summary(args: argparse.Namespace, runs: list[Run], fmt: str = "text") -> str:
    """The table of these runs, as text or md."""
    if args.script == "train":
        title = f"{runs[0].dataset}, {messages.shots_text(args.shots[0])} a class, test accuracy: {results.SPREAD}"
        return f"{title}\n\n{table(runs, LAYOUTS[fmt])}"
    directories = {run.directory for run in runs}
    records = [record for record in results.scan(args.output) if record.directory in directories]
    return render(args.protocol, records, fmt, expected_seeds=args.seeds).rstrip("\n")


def run_all(args: argparse.Namespace, runs: list[Run]) -> list[Failure]:
    """Runs what is not done yet, where the options say; returns what failed."""
    for name, dataset in {run.dataset: run.folder for run in runs if run.folder}.items():
        data_words.claim_name(dataset, args.root, args.output, name)
    if args.launcher == "local":
        return launch.run_all(runs, launch.slots(args.workers or launch.fitting_workers(runs), args.gpus), args.verbose)
    return slurm.run_all(runs, args.output, args.slurm, "slurm" if args.launcher == "slurm" else "local")


def print_failures(failures: list[Failure]) -> None:
    """One line a reason, on standard error."""
    for reason in dict.fromkeys(failure.reason for failure in failures):
        same = [failure for failure in failures if failure.reason == reason]
        more = f" and {len(same) - 1} more" if len(same) > 1 else ""
        log = f"; see {same[0].log}" if same[0].log else ""
        print(f"FAILED: {same[0].run.label}{more}: {reason}{log}", file=sys.stderr)


def main(argv: list[str]) -> int:
    args = parse_args(argv)
    runs = planned(args)
    if os.environ.get("DRY_RUN", "0") not in ("", "0"):
        print("\n".join(run.command for run in runs))
        return 0
    failures = run_all(args, runs)
    print(f"\n{summary(args, runs)}\n\nThe runs, each with log.txt, result.json and its prompts, are in {args.output}")
    print(f"More about them: upt-clip report {shlex.quote(str(args.output))}; use one: upt-clip predict RUN PICTURE")
    print_failures(failures)
    return 1 if failures else 0
