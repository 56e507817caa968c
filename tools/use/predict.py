"""Classifies pictures with the prompts of a trained run.

    upt-clip predict output/pets/seed1 cat.jpg holidays/              files, folders (with all below)
    upt-clip predict RUN cat.jpg --classes "cat,dog,tea pot" --top 2
    find . -name "*.jpg" | upt-clip predict RUN - --json              a JSON object a line

Exit status: 0 all pictures were classified, 1 some could not be read (a line each on stderr), 2 a wrong command line.
"""

import argparse
import json
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from upt_clip import cli, trainers
from upt_clip.pictures import open_picture

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".avif"})

CLASSES_HELP = "class names with commas between them, or a text file with one a line (default: the run's)"


def picture_paths(given: Iterable[str]) -> list[str]:
    """Files as they are, of folders all pictures below them in order of their names, for "-" the lines of stdin.

    Raises:
        ValueError: there are none.
    """
    paths, given = [], list(given)
    for name in given:
        if name == "-":
            paths += [line for line in sys.stdin.read().splitlines() if line.strip()]
        elif Path(name).is_dir():
            paths += sorted(str(p) for p in Path(name).rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        else:
            paths.append(name)
    if not paths:
        raise ValueError(f"no pictures in {', '.join(given)}: looked for {', '.join(sorted(SUFFIXES))}")
    return paths


class Pictures:
    """Batches of pictures that can be read; the others are reported and counted in `failed`."""

    def __init__(self, paths: list[str], size: int):
        self.paths, self.size, self.failed = paths, size, 0

    def __iter__(self) -> Iterator[tuple[list[str], list[Image.Image]]]:
        """Up to `size` paths and their RGB pictures at a time; a bar shows the progress where there are many."""
        hidden = True if len(self.paths) <= self.size else None  # None: only a terminal gets one
        with ThreadPoolExecutor() as pool, tqdm(total=len(self.paths), unit="picture", disable=hidden) as bar:
            for start in range(0, len(self.paths), self.size):
                paths = self.paths[start : start + self.size]
                names, pictures = [], []
                for path, picture in zip(paths, pool.map(_picture_or_error, paths), strict=True):
                    if isinstance(picture, ValueError):
                        self.failed += 1
                        tqdm.write(f"error: {picture}", file=sys.stderr)
                    else:
                        names.append(path)
                        pictures.append(picture)
                if names:
                    yield names, pictures
                bar.update(len(paths))


def _picture_or_error(path: str) -> Image.Image | ValueError:
    try:
        return open_picture(path)
    except ValueError as error:
        return error


def add_model_options(parser: argparse.ArgumentParser, computing: bool = True) -> None:
    """The options that `load_model` reads; without `computing` it is fp32 on the CPU."""
    add = parser.add_argument
    if computing:
        add("--device", help="cpu, cuda, cuda:1 (default: a GPU if there is one)")
        add("--precision", help="auto, fp32, fp16, bf16, amp (default: the run's)")
    else:
        parser.set_defaults(device="cpu", precision="fp32")
    add("--backbone", help="CLIP's name or checkpoint, if the run's is no longer where it was")
    add("--any-backbone", action="store_true", help="even if its weights are others than those of the training")
    add("--epoch", type=int, help="take the Dassl checkpoint of this epoch (default: what the run tested last)")


def load_model(args: argparse.Namespace, run: str, batch_size: int = 32) -> trainers.Predictor:
    """The run with the parsed options; `--classes`, where the tool has it, names other classes than the run's."""
    how = (args.device, args.precision, args.backbone, args.epoch, args.any_backbone)
    model = trainers.load(run, batch_size, *how)
    if classes := getattr(args, "classes", ""):
        model.set_classes(class_names(classes))
    return model


def class_names(text: str) -> list[str]:
    """ "cat,dog" -> ["cat", "dog"]; of a text file the lines, whose names may have commas.

    Raises:
        ValueError: the file is no UTF-8 text.
    """
    if not os.path.isfile(text):  # unlike Path.is_file, False for what is too long to be the name of a file
        return [name.strip() for name in text.split(",")]
    try:
        return [line.strip() for line in Path(text).read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{text} is no UTF-8 text ({error.reason} at byte {error.start})") from None


def best(probabilities: list[float], classnames: list[str], top: int) -> list[dict]:
    """The `top` likeliest classes, the likeliest first, as {"class": name, "probability": p}."""
    ranked = sorted(zip(classnames, probabilities, strict=True), key=lambda pair: -pair[1])
    return [{"class": name, "probability": p} for name, p in ranked[:top]]


def show(path: str, found: list[dict], as_json: bool) -> str:
    """One line for one picture."""
    if as_json:
        return json.dumps({"image": path, "predictions": found})
    return "\t".join([path, *(f"{one['class']} {100 * one['probability']:.1f} %" for one in found)])


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = cli.Parser("predict", __doc__)
    add = parser.add_argument
    add("run", metavar="RUN", help="the run's output directory, or its prompts.safetensors")
    add("pictures", nargs="+", metavar="PICTURE", help="files, folders, or - for paths on stdin")
    add("--classes", default="", help=CLASSES_HELP)
    add("--top", type=int, default=5, help="how many classes to print for each picture (default: 5)")
    add("--json", action="store_true", help="print a JSON object a line")
    add("--batch-size", type=int, default=32, help="pictures at once (default: 32)")
    add_model_options(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """The exit status."""
    args = parse_args(argv)
    if args.top < 1:
        raise ValueError(f"--top is {args.top}, choose 1 or more")
    paths = picture_paths(args.pictures)
    warnings.filterwarnings("ignore", module="PIL")  # its remarks on odd files do not name them
    model = load_model(args, args.run, args.batch_size)
    what = f"{model.cfg.TRAINER.NAME} on {model.cfg.MODEL.BACKBONE.NAME}"
    print(f"{what}, {len(model.classnames)} classes, {model.precision} on {model.device}", file=sys.stderr)
    pictures = Pictures(paths, args.batch_size)
    for names, images in pictures:
        for name, row in zip(names, model.predict(images).tolist(), strict=True):
            print(show(name, best(row, model.classnames, args.top), args.json), flush=True)
    return 1 if pictures.failed else 0
