"""Says which datasets are complete below a data root, and what exactly is missing or wrong with the others.

    upt-clip data check --root DATA                      all fifteen
    upt-clip data check oxford_pets dtd --root DATA      these two
    upt-clip data check ~/photos                         a folder of pictures

Exit status: 0 all of them are complete, 1 something is missing or wrong, 2 the command line makes no sense.
"""

import argparse
import contextlib
import csv
import io
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dassl.config import get_cfg_default
from dassl.data.datasets import DATASET_REGISTRY

from upt_clip import cli, dassl_compat, data_words, datasets

SIZES = Path(datasets.__file__).with_name("dataset_sizes.csv")


def published_sizes() -> dict[str, dict[str, int]]:
    """Registry name -> {"classes": n, "train": n, "val": n, "test": n} of CoOp's splits, where such a list exists."""
    with open(SIZES, newline="", encoding="utf-8") as file:
        return {row.pop("dataset"): {key: int(n) for key, n in row.items() if n} for row in csv.DictReader(file)}


def find_dataset(name: str) -> Any:
    """The class for a registry name or the name of a YAML file, in any case; None if there is none."""

    def plain(text):
        return text.lower().replace("_", "")

    own = [DATASET_REGISTRY.get(registered) for registered in DATASET_REGISTRY.registered_names()]
    own = [cls for cls in own if cls.__module__.startswith(f"{datasets.__name__}.")]
    for cls in own:
        if plain(name) == plain(cls.__name__):
            return cls
    for cls in own:
        if plain(name) == plain(cls.__module__.rpartition(".")[2]):
            return cls
    return None


def unreadable(paths: list[Path]) -> list[str]:
    """Those of the picture files that cannot be decoded."""

    def is_bad(path):
        try:
            dassl_compat.read_image(path)
        except ValueError:
            return True
        return False

    with ThreadPoolExecutor() as pool:
        return [str(path) for path, bad in zip(paths, pool.map(is_bad, paths), strict=True) if bad]


def split_problems(split, expected: dict[str, int], published: Counter) -> list[str]:
    """What is wrong with a split that could be read: counts, pictures in two parts, odd class names.

    `published` counts the class names of the published list, where there is one: CLIP's gives ImageNet two missiles.
    """
    names = {item.label: item.name for part in split for item in part}
    found = {"classes": len(names)} | {part: len(items) for part, items in split._asdict().items()}
    problems = [f"{found[key]} {key} instead of {n}" for key, n in expected.items() if found[key] != n]
    shared = datasets.split.shared_pictures(split)
    if shared:
        problems.append(f"pictures in more than one of train, val and test: {len(shared)}, first {shared[0]}")
    problems += [f"class name {name!r} has stray blanks" for name in names.values() if name != " ".join(name.split())]
    twice = [name for name, count in Counter(names.values()).items() if count > max(1, published[name])]
    problems += [f"{len(twice)} class names belong to two labels, first {twice[0]!r}"] if twice else []
    return problems


def name_notes(split, folder: Path, published: Counter) -> list[str]:
    """What is worth knowing about class names that stand in a published list, if anything."""
    names = Counter({item.label: item.name for part in split for item in part}.values())
    twice = [name for name, count in names.items() if 1 < count <= published[name]]
    others = sorted(names.keys() - published.keys())
    notes = [] if (folder / "classnames.txt").is_file() else ["no classnames.txt: the project's copy of it is used"]
    notes += [f"class names of two labels, as in the published list: {', '.join(twice)}"] if twice else []
    more = f"class names that are not the published ones: {len(others)}, first {others[0]!r}" if others else ""
    return [*notes, more] if more else notes


def check(cls, cfg, full: bool = False):
    """(split or None, problems, notes) of one dataset; `full` decodes every picture, not just each class's first."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            split = cls.load_split(cfg)
    except (ValueError, OSError) as error:
        return None, [str(error)], []
    listed = cls.published_names
    published = Counter(line.partition(" ")[2] for line in (datasets.text.read_lines(listed) if listed else ()))
    problems = split_problems(split, published_sizes().get(cls.__name__, {}), published)
    items = [item for part in split for item in part]
    chosen = items if full else {item.label: item for item in reversed(items)}.values()
    bad = unreadable([cls.folder(cfg) / cls.images / item.path for item in chosen])
    if bad:
        problems.append(f"pictures that cannot be read: {len(bad)}, first {bad[0]}")
    return split, problems, name_notes(split, cls.folder(cfg), published) if published else []


def report(name: str, split, problems: list[str], notes: list[str], with_hash: bool):
    """Print the lines of one dataset."""
    sizes = "" if split is None else ", ".join(f"{len(items)} {part}" for part, items in split._asdict().items())
    print(f"{name:20} {'INCOMPLETE' if problems else 'ok':10} {sizes}".rstrip())
    for line in (*problems, *(f"note: {note}" for note in notes)):
        print(f"  {line}")
    if with_hash and split is not None:
        print(f"  split {datasets.split.fingerprint(*split)}")


def parse_args(argv=None) -> argparse.Namespace:
    parser = cli.Parser("data check", __doc__)
    parser.add_argument("dataset", nargs="*", help="data sets or folders of pictures (default: the fifteen)")
    parser.add_argument("--root", default=os.environ.get("DATA") or "data", help="default: $DATA, else ./data")
    parser.add_argument("--folder", default="", help="DATASET.FOLDER, for the dataset `folder`")
    parser.add_argument("--hash", action="store_true", help="print the SHA-256 of each split, to compare machines")
    parser.add_argument("--full", action="store_true", help="decode every picture, not just one a class (slow)")
    return parser.parse_args(argv)


def main(argv=None) -> int:
    """The exit status."""
    args = parse_args(argv)
    names = args.dataset or list(published_sizes())
    known = {name: find_dataset(name) for name in names}
    folders = {name: args.folder if cls else data_words.find(name, args.root) for name, cls in known.items()}
    cfg = get_cfg_default()
    datasets.extend_cfg(cfg)
    complete = 0
    for name in names:
        cls = known[name] or datasets.folder.FolderDataset
        cfg.DATASET.ROOT, cfg.DATASET.FOLDER = args.root, folders[name]
        split, problems, notes = check(cls, cfg, args.full)
        report(cls.__name__ if known[name] else name, split, problems, notes, args.hash)
        complete += not problems
    print(f"{complete} of {len(names)} complete")
    return 0 if complete == len(names) else 1
