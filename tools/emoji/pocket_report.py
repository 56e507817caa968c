"""Measure pocket on the emoji bench, zero-shot and by a 16-shot linear probe.

python -m upt_clip.tools.emoji.pocket_report
"""

import argparse
import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from clip import tokenize
from clip.model import CLIP
from PIL import Image
from sklearn.linear_model import LogisticRegression

from upt_clip.tools.emoji.pocket_checkpoint import load_pocket
from upt_clip.tools.emoji.pocket_data import MEAN, STD, TEMPLATES

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # candidates for the probe's C; the val split chooses
Rows = list[tuple[str, int, str]]


@torch.no_grad()
def image_features(model: CLIP, root: Path, rows: Rows) -> np.ndarray:
    """Return unit-norm image features `(N, D)`."""
    size = model.visual.input_resolution
    pictures = (Image.open(root / path).convert("RGB") for path, *_ in rows)
    pixels = [np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC)) for picture in pictures]
    batch = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
    features = [model.encode_image((part - MEAN) / STD) for part in batch.split(128)]
    return torch.nn.functional.normalize(torch.cat(features), dim=-1).numpy()


def pixel_features(root: Path, rows: Rows) -> np.ndarray:
    """Return 16 x 16 pictures as unit-norm vectors `(N, 768)`: what a probe reaches without any model."""
    pixels = np.stack([np.asarray(Image.open(root / path).resize((16, 16))).ravel() / 255.0 for path, *_ in rows])
    pixels -= pixels.mean(1, keepdims=True)
    return pixels / np.linalg.norm(pixels, axis=1, keepdims=True)


@torch.no_grad()
def class_features(model: CLIP, names: list[str], template: str) -> np.ndarray:
    """Return unit-norm text features `(classes, D)`."""
    features = model.encode_text(tokenize([template.format(name) for name in names]))
    return torch.nn.functional.normalize(features, dim=-1).numpy()


def accuracy(predicted: np.ndarray, rows: Rows) -> float:
    """Return the percentage of rows whose label is predicted."""
    return 100 * float(np.mean(predicted == np.array([label for _, label, _ in rows])))


def few_shot(rows: Rows, shots: int, seed: int) -> list[int]:
    """Return the positions of `shots` rows of each class, drawn with a private generator."""
    rng = random.Random(seed)
    labels = [label for _, label, _ in rows]
    groups = ([i for i, one in enumerate(labels) if one == label] for label in dict.fromkeys(labels))
    return [i for members in groups for i in rng.sample(members, min(shots, len(members)))]


def probe(train: np.ndarray, labels: np.ndarray, val: np.ndarray, val_rows: Rows) -> LogisticRegression:
    """Return the logistic regression whose C is best on val."""
    fits = [LogisticRegression(C=c, max_iter=2000).fit(train, labels) for c in STRENGTHS]
    return max(fits, key=lambda fit: accuracy(fit.predict(val), val_rows))


def probe_accuracies(features: dict, parts: dict[str, Rows], tests: dict[str, Rows], shots: int, seeds: tuple) -> dict:
    """Return test set -> (mean, standard deviation over the seeds' draws) of a few-shot linear probe, in percent."""
    labels = np.array([label for _, label, _ in parts["train"]])
    draws = [few_shot(parts["train"], shots, seed) for seed in seeds]
    fits = [probe(features["train"][drawn], labels[drawn], features["val"], parts["val"]) for drawn in draws]
    values = {name: [accuracy(fit.predict(features[name]), rows) for fit in fits] for name, rows in tests.items()}
    return {name: (float(np.mean(v)), float(np.std(v))) for name, v in values.items()}


def read_bench(root: Path, name: str) -> tuple[dict[str, Rows], dict[str, Rows], list[str]]:
    """Return a set's train and val, its test sets (and the shifted ones), and its class names."""
    parts = json.loads((root / f"split_{name}.json").read_text())
    tests = {name: parts.pop("test")}
    for path in sorted(root.glob(f"split_{name}?*.json")):
        other = json.loads(path.read_text())
        if not other["train"]:
            tests[path.stem.removeprefix("split_")] = other["test"]
    return parts, tests, [name for _, name in sorted({(label, name) for _, label, name in parts["train"]})]


def report(model: CLIP, root: Path, name: str, shots: int, seeds: tuple[int, ...] = (1, 2, 3)) -> dict:
    """Return the chosen template, the accuracies (percent) on each test set, and the commonest confusions."""
    parts, tests, names = read_bench(root, name)
    features = {part: image_features(model, root, rows) for part, rows in (parts | tests).items()}
    # Zero-shot uses no training picture, so train and val together choose its template.
    pool_rows, pool = parts["train"] + parts["val"], np.concatenate([features["train"], features["val"]])
    weights = {t: class_features(model, names, t) for t in TEMPLATES}
    template = max(TEMPLATES, key=lambda t: accuracy((pool @ weights[t].T).argmax(1), pool_rows))
    zero_shot = {test: (features[test] @ weights[template].T).argmax(1) for test in tests}
    pixels = {part: pixel_features(root, rows) for part, rows in (parts | tests).items()}
    pairs = [(label, guess) for (_, label, _), guess in zip(tests[name], zero_shot[name].tolist(), strict=True)]
    wrong = Counter((names[label], names[guess]) for label, guess in pairs if label != guess)
    return {
        "set": name,
        "classes": len(names),
        "test_pictures": {test: len(rows) for test, rows in tests.items()},
        "template": template,
        "zero_shot": {test: accuracy(zero_shot[test], rows) for test, rows in tests.items()},
        f"probe_{shots}_shots": probe_accuracies(features, parts, tests, shots, seeds),
        f"pixel_probe_{shots}_shots": probe_accuracies(pixels, parts, tests, shots, seeds),
        "confusions": [f"{label} -> {guess}: {n}" for (label, guess), n in wrong.most_common(8)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=Path("assets/pocket/pocket.pt"))
    parser.add_argument("--root", type=Path, default=Path("assets/emoji"), help="folder of the bench's split files")
    args = parser.parse_args()
    model = load_pocket(args.checkpoint)
    for name, shots in (("Emoji", 16), ("EmojiFine", 3)):
        print(json.dumps(report(model, args.root, name, shots), indent=2))


if __name__ == "__main__":
    main()
