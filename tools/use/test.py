"""Tests a trained run's prompts again, on its own data or on other data.

    upt-clip test output/pets/seed1                                its own data and classes
    upt-clip test RUN --data oxford_pets --root DATA               another data set, whose names the prompts get
    upt-clip test RUN --data ~/photos --output output/on_photos    a folder of pictures; result.json and more are kept
    upt-clip test RUN --classes new                                the classes that a base-to-new run has not seen

Without --output nothing is left behind.
"""

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path

import yaml

from upt_clip import cli, data_words, train
from upt_clip.tools.use.predict import add_model_options
from upt_clip.tools.use.rerun import config_arguments
from upt_clip.trainers.core.runs.run_reader import PROMPTS, read_config


def arguments(args: argparse.Namespace, config_file: Path, output: Path) -> list[str]:
    """What follows `python train.py` to test the run as asked; `config_file` gets its config."""
    run = Path(args.run)
    config = yaml.safe_load(read_config(run).dump())
    root = config["DATASET"].get("ROOT", "")
    root = args.root or (root if root and Path(root).is_dir() else os.environ.get("DATA") or "data")
    data: list[str] = []
    keys: list[str] = []
    if args.data:
        data, keys = data_words.arguments(data_words.find(args.data, root))
        config["DATASET"] = {"NUM_SHOTS": config["DATASET"].get("NUM_SHOTS", -1)}  # the rest is of the other data
    keys += ["DATASET.SUBSAMPLE_CLASSES", args.classes] if args.classes else []
    tested = run / PROMPTS if args.epoch is None and (run / PROMPTS).is_file() else run
    argv = ["--root", root, *data, *config_arguments(config, config_file), "--output-dir", str(output)]
    argv += ["--eval-only", "--model-dir", str(tested), *(["--any-backbone"] if args.any_backbone else [])]
    argv += ["--backbone", args.backbone] if args.backbone else []
    argv += ["--load-epoch", str(args.epoch)] if args.epoch is not None else []
    return [*argv, *keys, *args.opts]


def summary(result: dict) -> str:
    """One line."""
    data = Path(result["folder"]).name or result["dataset"]
    classes = "" if result["classes"] == "all" else f" {result['classes']}"
    return (
        f"{result['trainer']} on {data}: accuracy {result['accuracy']:.2f} %, macro F1 {result['macro_f1']:.2f} % "
        f"({result['n_test']} pictures of {result['n_classes']}{classes} classes)"
    )


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = cli.Parser("test", __doc__, usage="%(prog)s RUN [options] [KEY VALUE ...]")
    add = parser.add_argument
    add("run", metavar="RUN", help="the run's output directory, or its prompts.safetensors")
    add("--data", default="", metavar="DATASET|PHOTOS", help="a data set or a folder of pictures (default: the run's)")
    add("--root", default="", help="folder of the data sets (default: the run's, else $DATA, else ./data)")
    add("--classes", default="", metavar="all|base|new", help="which classes (default: the run's; of other data all)")
    add("--output", default="", help="keep result.json, predictions.csv and the log there")
    add_model_options(parser, computing=False)
    words, opts = cli.config_keys(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(words)
    args.opts = opts
    return args


def main(argv: list[str] | None = None) -> int:
    """The exit status."""
    args = parse_args(argv)
    run = Path(args.run).resolve()
    if args.output and data_words.absolute(args.output).resolve() == (run.parent if run.is_file() else run):
        raise ValueError(f"--output is {args.output}, where the run itself is: choose another folder")
    with tempfile.TemporaryDirectory(prefix="upt-test-") as temporary:
        output = data_words.absolute(args.output or Path(temporary) / "run")
        words = arguments(args, Path(temporary) / "config.yaml", output)
        with contextlib.redirect_stdout(io.StringIO()) as said:
            status = train.cli(words)
        if status:
            return status
        lines = said.getvalue()
        if "*val* set" in lines:  # TEST.SPLIT val, which leaves no result.json
            print(lines[lines.rindex("=> result") :].rstrip())
        else:
            print(summary(json.loads((output / "result.json").read_text(encoding="utf-8"))))
    return 0
