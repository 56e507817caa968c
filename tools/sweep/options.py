"""The command lines of the programs that run plans."""

import argparse
import os
from typing import Any

from upt_clip import cache, cli, config_files, data_words
from upt_clip.tools.sweep.protocols import PROTOCOLS

DEMO = ("emoji", "16", "--trainer", "CoOp VPT UPT")
ABOUT = {
    "train": ("DATASET|PHOTOS [SHOTS]", "Few-shot runs of one data set, zero-shot CLIP beside them, and their table."),
    "base2new": ("DATASET|PHOTOS", "Trains on half of the classes, tests on both halves, and prints the table."),
    "domain_generalization": ("", "Trains on the source, tests on its shifted versions, and prints the table."),
    "cross_dataset": ("", "Trains on the source, tests on the other data sets, and prints the table."),
    "reproduce": (
        f"{{{'|'.join(PROTOCOLS)}}}",
        "Does all runs of a protocol and prints their table. Finished runs are skipped, a killed run goes on.",
    ),
}


def parse_args(argv: list[str]) -> argparse.Namespace:
    """The options of a script, whose name is the first word: words as lists, `opts` the config keys and values."""
    script, *rest = argv or ["reproduce"]
    if script == "demo":
        script, rest = "train", [*DEMO, *rest]
    positionals, description = ABOUT[script]
    parser = cli.Parser(
        script,
        f"{description} DRY_RUN=1 prints the commands and runs nothing.",
        usage=f"%(prog)s {positionals}{' ' if positionals else ''}[options] [KEY VALUE ...]",
        epilog="KEY VALUE are config keys, e.g. TRAINER.UPT.MIXER joint. "
        f"Data sets: {', '.join(config_files.dataset_names())}; "
        "PHOTOS is a folder of pictures, by its path or its name below --root, with a folder for each class.",
        formatter_class=argparse.HelpFormatter,
    )
    add = parser.add_argument
    parser.set_defaults(script=script, protocol=script, datasets=[], shots=[])
    if script == "train":
        parser.set_defaults(protocol="few_shot")
    if script in ("train", "base2new"):
        several: dict[str, Any] = {}  # one quoted word, since positional words may follow
        add("datasets", metavar="DATASET", nargs=1, help="e.g. emoji (needs no download), oxford_pets, ~/photos")
    else:
        several = {"nargs": "+"}
    if script == "train":
        add("number", metavar="SHOTS", nargs="?", help="pictures a class to train on; the paper: 1, 2, 4, 8, 16")
    add("--shots", **several, help='pictures a class (default: 16; reproduce few_shot: "1 2 4 8 16")')
    if script == "reproduce":
        add("protocol", metavar="PROTOCOL", choices=PROTOCOLS, help=", ".join(PROTOCOLS))
        add("--datasets", **several, help="default: those of the paper that are below --root, or else emoji")
    if script in ("domain_generalization", "cross_dataset", "reproduce"):
        add("--source", dest="datasets", **several, help="imagenet or emoji; default: imagenet if it is below --root")
    add("--trainer", "--trainers", dest="trainers", **several, help='a method such as UPT, or several: "CoOp VPT UPT"')
    add("--seeds", **several, default="1 2 3", help='one run for each (default: "1 2 3")')
    add("--cfg", default="", help="a config of configs/trainers/TRAINER, or a backbone such as vit_b32")
    add("--root", default="", help="folder of the data sets (default: $DATA, else ./data)")
    add("--output", default="output", help="folder of the runs (default: ./output)")
    add("--workers", type=int, metavar="N", help="runs at a time on a CPU (default: what suits it)")
    add("--gpus", default="", help="the GPUs to use, e.g. 0,1,2,3; each does one run at a time")
    add("--launcher", choices=("local", "slurm", "submitit-local"), default="local", help="slurm: as jobs of a cluster")
    add("--slurm", nargs="+", default=[], metavar="KEY=VALUE", help="of its jobs, e.g. partition=gpu timeout_min=120")
    add("--no-cache", action="store_true", help="take nothing from the cache and leave nothing in it")
    add("--verbose", action="store_true", help="print what the runs print, which is also in their log.txt")
    words, opts = cli.config_keys(rest)
    args, others = parser.parse_known_args(words)
    if unknown := [word for word in others if word.startswith("-")]:
        parser.error(f"unknown option {unknown[0]}; -h lists all")
    args.opts = [*others, *opts]
    args.trainers = _words(args.trainers)
    args.seeds = _numbers(args.seeds, "--seeds")
    args.shots = _numbers(getattr(args, "number", None) or args.shots, "SHOTS")
    if script == "train":
        args.shots = args.shots or [16]
    args.gpus = args.gpus.replace(",", " ").split()
    if args.no_cache:
        cache.switch_off()
    if args.workers is not None and args.workers < 1:
        raise ValueError(f"--workers is {args.workers}, choose 1 or more")
    if args.gpus and (args.workers or 1) > 1:
        raise ValueError("--gpus runs one run a GPU at a time: leave --workers out")
    if args.launcher != "local" and (args.gpus or (args.workers or 1) > 1):
        raise ValueError("--workers and --gpus are for this machine: with --launcher slurm use --slurm gpus_per_node=1")
    args.root = str(data_words.absolute(args.root or os.environ.get("DATA", "") or "data"))
    args.output = data_words.absolute(args.output)
    if script not in ("train", "base2new"):  # there, one folder of pictures, whose name may have a blank
        args.datasets = [word for one in args.datasets for word in ([one] if os.path.isdir(one) else _words(one))]
    args.datasets = [data_words.find(word, args.root) for word in args.datasets]
    return args


def _words(values: str | list[str] | None) -> list[str]:
    text = values if isinstance(values, str) else " ".join(values or [])
    return text.replace(",", " ").split()


def _numbers(values: str | list[str] | None, option: str) -> list[int]:
    try:
        return [int(word) for word in _words(values)]
    except ValueError:
        raise ValueError(f'{option} is "{" ".join(_words(values))}", give whole numbers like "1 2 3"') from None
