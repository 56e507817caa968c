"""How fast this project is: its own path beside the plain path and the machine's matmul rate, in one run.

    upt-clip bench steps --n-classes 37 --batch-size 16 --precision fp32 bf16    training steps
    upt-clip bench evaluation --n-classes 397                                    test batches of 100
    upt-clip bench epoch                          one few-shot epoch on the embedded emoji, loader included
    upt-clip bench retest --trainer CoOp          a test on the emoji, and the same test once more
    upt-clip bench memory --n-classes 1000 --batch-size 8 --paths ours           peak memory of a step
    upt-clip bench sweep --over classes batch prompts --plot cost.svg            what a step costs

The plain path (plain_clip.py) is what code in the manner of CoOp does: stock CLIP modules, sentences padded to 77
tokens, the text tower for every batch. Backbones called by OpenAI's names get random weights: nothing is downloaded.
The tasks of a run take turns; medians are shown. docs/PERFORMANCE.md explains the columns.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from tabulate import tabulate

from upt_clip import cli, trainers
from upt_clip.tools.bench import random_clip
from upt_clip.tools.bench.measure import machine
from upt_clip.tools.bench.works import VALUES, WORKS
from upt_clip.trainers.core.clip.precision import CHOICES, choose_device

DEFAULTS = {  # by work: backbone, batch, repetitions
    "steps": ("ViT-B/16", 16, 5), "evaluation": ("ViT-B/16", 100, 3), "epoch": ("pocket", 32, 5),
    "retest": ("ViT-B/32", 100, 3), "memory": ("ViT-B/16", 8, 1), "sweep": ("ViT-B/16", 8, 3),
}  # fmt: skip
HEADERS = {
    "task": "task", "precision": "precision", "median_s": "median (s)", "quartiles_s": "quartiles (s)",
    "cpu_s": "CPU (s)", "times_as_fast": "times as fast", "by_cpu": "by CPU", "gflop": "GFLOP",
    "gflops": "GFLOP/s", "of_matmul_rate": "of the matmul rate", "of_own_products": "of its own products' rate",
    "peak_gib": "peak (GiB)", "of_plain": "of plain",
    "over": "over", "s_each": "s for each", "s_at_0": "s at 0", "r2": "R²", "points": "measured (s)",
}  # fmt: skip


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = cli.Parser("bench", __doc__)
    add = parser.add_argument
    add("work", choices=WORKS)
    add("--trainer", default="UPT", help="CoOp, CoCoOp, VPT, UPT, or for evaluation ZeroshotCLIP (default: UPT)")
    add("--backbone", help="as in train.py (default: ViT-B/16; retest: ViT-B/32; epoch: pocket)")
    add("--n-classes", type=int, default=37, help="default: 37")
    add("--batch-size", type=int, help="default: steps 16, evaluation, retest 100, epoch 32, memory, sweep 8")
    add("--precision", nargs="+", default=["fp32"], choices=CHOICES, help="of our path (default: fp32)")
    add("--plain-precision", default="fp32", choices=CHOICES, help="of the plain path (default: fp32)")
    add("--paths", nargs="+", default=["plain", "ours"], choices=("plain", "ours"), help="default: both")
    add("--threads", type=int, default=torch.get_num_threads(), help="of torch (default: as torch chooses)")
    add("--device", help="cpu, cuda, cuda:1 ... (default: a GPU if there is one)")
    add("--repeat", type=int, help="repetitions after one to warm up")
    add("--workers", type=int, default=0, help="epoch: processes that load pictures (default: 0)")
    add("--memory-limit", type=float, default=8, help="memory: GiB that a process may take (default: 8)")
    add("--over", nargs="+", default=["classes"], choices=VALUES, help="sweep: what varies (default: classes)")
    add("--values", nargs="+", type=int, help="sweep: the values")
    add("--plot", help="sweep: the picture to write, e.g. cost.svg")
    add("--json", action="store_true", help="print one JSON document")
    about_set = "config keys, e.g. TRAINER.UPT.MIXER joint"
    add("--set", nargs="+", default=[], dest="opts", metavar="KEY VALUE", help=about_set)
    args = parser.parse_args(argv)
    backbone, batch, repeat = DEFAULTS[args.work]
    args.backbone, args.batch_size = args.backbone or backbone, args.batch_size or batch
    args.repeat = args.repeat or repeat
    return args


def check(args: argparse.Namespace) -> None:
    """Raises ValueError for numbers below 1 and for methods that have no plain path."""
    methods = [m.__name__ for m in trainers.METHODS if m is not trainers.LinearProbe]
    if args.trainer not in methods:
        raise ValueError(f'--trainer is "{args.trainer}", choose one of {", ".join(methods)}')
    for name in ("n_classes", "batch_size", "threads", "repeat"):
        if getattr(args, name) < 1:
            raise ValueError(f"--{name.replace('_', '-')} is {getattr(args, name)}, choose 1 or more")


def render(result: dict) -> str:
    """A table and notes for people."""
    args, facts = result["options"], result["machine"]
    rows = [{HEADERS[key]: _text(key, value) for key, value in row.items()} for row in result["rows"]]
    used = [header for header in HEADERS.values() if any(row.get(header) for row in rows)]
    what = "Emoji, 16 shots" if args["work"] in ("epoch", "retest") else f"{args['n_classes']} classes"
    lines = [
        f"{args['trainer']} {args['work']}, {args['backbone']}, {what}, batch {args['batch_size']}",
        f"{facts['gpu'] or facts['cpu']}, {facts['threads']} of {facts['cores']} cores, load {facts['load']}, "
        f"torch {facts['torch']}, dassl: {facts['dassl']}\n",
        tabulate([[row.get(header, "") for header in used] for row in rows], used, disable_numparse=True),
    ]
    for precision, difference in result.get("max_logit_difference", {}).items():
        spread = f"of logits that span {result['logit_spread']:.3g}"
        lines.append(f"ours in {precision} and plain differ by at most {difference:.2g}, {spread}")
    return "\n".join(lines)


def _text(column: str, value: Any) -> str:
    if value is None:
        return "over --memory-limit" if column == "peak_gib" else ""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(column, one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return " - ".join(_text(column, one) for one in value)
    if column.startswith("of_"):
        return f"{100 * value:.0f} %"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    check(args)
    threads = torch.get_num_threads()
    torch.set_num_threads(args.threads)
    try:
        # The user's cache is neither used nor filled.
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, UPT_CACHE=folder):
            args.side = random_clip.image_side(args.backbone)
            args.checkpoint = random_clip.checkpoint(args.backbone, Path(folder))
            facts = machine(choose_device(args.device, use_cuda=True))
            result = {"options": vars(args), "machine": facts, **WORKS[args.work](args)}
    finally:
        torch.set_num_threads(threads)
    print(json.dumps(result, indent=2) if args.json else render(result))
    return 0
