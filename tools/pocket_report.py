"""Measure pocket on the emoji bench, zero-shot and by a 16-shot linear probe: `python -m tools.pocket_report`."""

from __future__ import annotations

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

from tools.pocket_checkpoint import load_pocket
from tools.pocket_data import MEAN, STD, TEMPLATES

STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)  # candidates for the probe's C; the val split chooses
Rows = list[tuple[str, int, str]]


@torch.no_grad()
def image_features(model: CLIP, root: Path, rows: Rows) -> np.ndarray:
    """Return unit-norm image features `(N, D)`."""
    size = model.visual.input_resolution
    pictures = [
        Image.open(root / path).convert("RGB").resize((size, size), Image.Resampling.BICUBIC) for path, *_ in rows
    ]
    batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    features = [model.encode_image((part - MEAN) / STD) for part in batch.split(128)]
    return torch.nn.functional.normalize(torch.cat(features), dim=-1).numpy()


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
    rng, positions = random.Random(seed), {}
    for i, (_, label, _) in enumerate(rows):
        positions.setdefault(label, []).append(i)
    return [i for members in positions.values() for i in rng.sample(members, min(shots, len(members)))]


def probe(train: np.ndarray, labels: np.ndarray, val: np.ndarray, val_rows: Rows) -> LogisticRegression:
    """Return the logistic regression whose C is best on val; features are scaled to unit variance overall."""
    scale = float(train.std())
    fits = [LogisticRegression(C=c, max_iter=2000).fit(train / scale, labels) for c in STRENGTHS]
    best = max(fits, key=lambda fit: accuracy(fit.predict(val / scale), val_rows))
    best.coef_ = best.coef_ / scale
    return best


def report(checkpoint: Path, root: Path, shots: int = 16, seeds: tuple[int, ...] = (1, 2, 3)) -> dict:
    """Return the chosen template, the accuracies (percent) on each test set, and the commonest confusions."""
    model = load_pocket(checkpoint)
    splits = {p: [tuple(r) for r in rows] for p, rows in json.loads((root / "split_Emoji.json").read_text()).items()}
    tests = {"Emoji": splits["test"]}
    for path in sorted(root.glob("split_Emoji?*.json")):
        other = json.loads(path.read_text())
        if not other["train"]:
            tests[path.stem.removeprefix("split_")] = [tuple(r) for r in other["test"]]
    names = [name for _, name in sorted({(label, name) for _, label, name in splits["train"]})]
    features = {p: image_features(model, root, rows) for p, rows in splits.items() if p != "test"}
    seen = {name: image_features(model, root, rows) for name, rows in tests.items()}

    # Zero-shot uses no training picture, so train and val together choose its template.
    pool_rows, pool = splits["train"] + splits["val"], np.concatenate([features["train"], features["val"]])
    weights = {t: class_features(model, names, t) for t in TEMPLATES}
    template = max(TEMPLATES, key=lambda t: accuracy((pool @ weights[t].T).argmax(1), pool_rows))
    zero_shot = {name: (x @ weights[template].T).argmax(1) for name, x in seen.items()}
    result = {"template": template, "classes": len(names), "tests": {name: len(rows) for name, rows in tests.items()}}
    result["zero_shot"] = {name: accuracy(p, tests[name]) for name, p in zero_shot.items()}

    labels = np.array([label for _, label, _ in splits["train"]])
    probes = {name: [] for name in tests}
    for seed in seeds:
        drawn = few_shot(splits["train"], shots, seed)
        fit = probe(features["train"][drawn], labels[drawn], features["val"], splits["val"])
        for name, x in seen.items():
            probes[name].append(accuracy(fit.predict(x), tests[name]))
    result["probe"] = {name: (float(np.mean(v)), float(np.std(v))) for name, v in probes.items()}
    truth = [label for _, label, _ in tests["Emoji"]]
    right = Counter(t for t, p in zip(truth, zero_shot["Emoji"], strict=True) if t == p)
    result["per_class"] = {names[i]: f"{right[i]}/{n}" for i, n in sorted(Counter(truth).items())}
    wrong = Counter((names[t], names[p]) for t, p in zip(truth, zero_shot["Emoji"], strict=True) if t != p)
    result["confusions"] = [f"{t} -> {p}: {n}" for (t, p), n in wrong.most_common(12)]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=Path("assets/pocket/pocket.pt"))
    parser.add_argument("--root", type=Path, default=Path("assets/emoji"), help="folder of the bench's split files")
    args = parser.parse_args()
    print(json.dumps(report(args.checkpoint, args.root), indent=2))


if __name__ == "__main__":
    main()
