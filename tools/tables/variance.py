"""Do the gains of CoOp and VPT follow the variance of CLIP's features, as Figure 1 of the UPT paper says?

    upt-clip variance emoji emoji_fine --output output --plot variance.png
    upt-clip variance oxford_pets dtd eurosat --root data --backbone ViT-B/16 --output output --compare

On L2-normalised features z of pictures and w of class names:

    intra-class visual variance = 1/C sum_c 1/N_c sum_i |z_i - mean of class c|^2
    inter-class text variance   = 1/C sum_c |w_c - mean of all w|^2

The paper gives no formula. This one is a public re-implementation's, whose values fit the published axes. One error of
it is put right: it never empties its list of squared distances between two classes, so that each class's "variance" is
an average over all classes before it, too. Here each class counts for itself, and once. As there, all pictures of
train, val and test are used, and class names stand without a sentence (--sentences puts them into the data set's).

The gain is the mean test accuracy over seeds minus zero-shot CLIP's, in points, from the runs in --output.
DATASET:base means the base classes, with the gains from the base-to-new runs. r is Pearson's, p its two-sided test.
"""

import contextlib
import io
import os
from collections import Counter
from pathlib import Path

import torch
import yaml
from torch.utils.data import DataLoader
from tqdm import tqdm

from upt_clip import cli, config_files, data_words, messages
from upt_clip.tools.tables import figure1, results
from upt_clip.tools.tables.figure1 import Point


def intra_class_variance(features: torch.Tensor, labels: torch.Tensor) -> float:
    """Mean over the classes that occur of the mean squared distance to the class's mean.

    Args:
        features: (N, E), normalised by the caller.
        labels: (N,) class of each row.
    """
    features = features.double()
    each = [features[labels == label] for label in labels.unique()]
    return torch.stack([(rows - rows.mean(0)).square().sum(1).mean() for rows in each]).mean().item()


def inter_class_variance(features: torch.Tensor) -> float:
    """Mean squared distance of the class features (C, E) to their mean."""
    features = features.double()
    return (features - features.mean(0)).square().sum(1).mean().item()


def config_of(backbone: str) -> str:
    """The zero-shot config of a backbone, named as CLIP does (ViT-B/16) or as the configs do (vit_b16).

    Raises:
        ValueError: there is none.
    """
    paths = sorted((config_files.CONFIGS / "trainers" / config_files.ZERO_SHOT).glob("*.yaml"))
    names = {yaml.safe_load(path.read_text())["MODEL"]["BACKBONE"]["NAME"]: path.stem for path in paths}
    for name, stem in names.items():
        if backbone in (name, stem):
            return stem
    raise ValueError(f'unknown backbone "{backbone}", choose one of {", ".join(names)}')


def measure(name: str, backbone: str, root: str, sentences: bool = False, limit: int = 0) -> Point:
    """The variances of a data set or folder of pictures, or of its base classes, as in emoji:base.

    `limit` > 0 takes the first so many pictures of a class.

    Raises:
        ValueError, FileNotFoundError: unknown data set or backbone, or its pictures are missing.
    """
    from upt_clip import train  # late: torch's and Dassl's own imports take seconds

    # isort: split
    from dassl.data.data_manager import DatasetWrapper
    from dassl.data.datasets import build_dataset
    from dassl.data.transforms import build_transform

    from upt_clip.trainers.core import PromptedCLIP, Prompts, template_sentences
    from upt_clip.trainers.core.clip.loader import load_clip
    from upt_clip.trainers.templates import template
    from upt_clip.trainers.zsclip import NoPrompts

    dataset, _, classes = name.partition(":")
    if classes not in ("", "base"):
        raise ValueError(f'"{name}": what may follow the colon is base, since nothing is trained on other classes')
    config = config_files.config_file(config_files.ZERO_SHOT, config_of(backbone))
    told, keys = data_words.arguments(data_words.find(dataset, root))
    options = ["--root", root, "--trainer", config_files.ZERO_SHOT, "--config-file", str(config), *told]
    opts = ["DATASET.NUM_SHOTS", "-1", "DATASET.SUBSAMPLE_CLASSES", classes or "all", *keys]
    cfg = train.setup_cfg(train.parse_args([*options, *opts]))
    with contextlib.redirect_stdout(io.StringIO()):  # Dassl's lists of what it loads
        data = build_dataset(cfg)
        transform = build_transform(cfg, is_train=False)
    items = _once([*data.train_x, *(data.val or []), *data.test], limit)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sentence = template(cfg) if sentences else "{}"
    model = PromptedCLIP(load_clip(cfg.MODEL.BACKBONE.NAME), NoPrompts(), template_sentences(data.classnames, sentence))
    model = model.to(device).eval()
    loader = DataLoader(DatasetWrapper(cfg, items, transform), 64, num_workers=cfg.DATALOADER.NUM_WORKERS)
    with torch.no_grad():
        text = model.text_features().cpu()
        batches = tqdm(loader, desc=name, unit="batch", leave=False, disable=None)
        image = torch.cat([model.image_features(batch["img"].to(device), Prompts()).cpu() for batch in batches])
    labels = torch.tensor([item.label for item in items])
    return Point(name, intra_class_variance(image, labels), inter_class_variance(text), len(text), len(items))


def _once(items: list, limit: int) -> list:
    """Each picture once (val can be test), and at most `limit` of a class."""
    counts: Counter = Counter()
    chosen = []
    for item in {item.impath: item for item in items}.values():
        counts[item.label] += 1
        if not limit or counts[item.label] <= limit:
            chosen.append(item)
    return chosen


def main(argv: list[str] | None = None) -> int:
    parser = cli.Parser("variance", __doc__)
    add = parser.add_argument
    add("datasets", metavar="DATASET", nargs="+", help="e.g. emoji, emoji:base, oxford_pets, ~/photos")
    add("--root", default="", help="folder of the data sets (default: $DATA, else ./data)")
    add("--backbone", default="pocket", help="pocket, ViT-B/16, ... (default: pocket)")
    add("--output", default="", help="the folder of the runs, for the gains (default: none)")
    add("--shots", type=int, default=16, help="of the runs (default: 16; the paper does not say)")
    add("--seeds", default="1 2 3", help='the seeds that a gain is over (default: "1 2 3")')
    add("--sentences", action="store_true", help="class names in the data set's sentence, not bare")
    add("--limit", type=int, default=0, help="at most so many pictures a class (default: all)")
    add("--plot", default="", metavar="FILE", help="a picture of gain over variance (.png or .svg)")
    add("--compare", action="store_true", help="the paper's Figure 1, read off the picture, too")
    args = parser.parse_args(argv)
    root = args.root or os.environ.get("DATA", "") or "data"
    stem, seeds = config_of(args.backbone), results.seeds(args.seeds)
    records = results.scan(args.output) if args.output else []  # first, since measuring takes long
    points = [measure(name, args.backbone, root, args.sentences, args.limit) for name in args.datasets]
    for point in points:  # as their runs are named
        dataset, colon, classes = point.name.partition(":")
        point.name = data_words.run_name(data_words.find(dataset, root), root, Path(args.output)) + colon + classes
    missing = figure1.add_gains(points, records, stem, args.shots, seeds)
    shots = messages.shots_text(args.shots)
    print(f"Variances of normalised features, backbone {args.backbone}; gains at {shots} in points\n")
    print(figure1.text(points))
    for line in missing if args.output else ["No gains: --output names the folder of the runs."]:
        print(line)
    if args.compare:
        print("\nFigure 1 of the paper, DIGITISED: read off the picture, ViT-B/16; the shots are not stated\n")
        print(figure1.text(figure1.published_points()))
    if args.plot:
        figure1.plot(points, Path(args.plot), f"{args.backbone}, {shots}, mean over seeds {args.seeds}")
        print(args.plot)
    return 0
