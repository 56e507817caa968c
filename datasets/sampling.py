"""Few-shot draws and base/new classes, equal to CoOp's for the same split and seed."""

import math
import random

from upt_clip.cache import cache_dir, read_json, write_json

from .make_split import group_by_label
from .split import Item, Split, fingerprint

VAL_SHOTS = 4  # CoOp validates on at most four pictures a class


def few_shot(split: Split, shots: int, seed: int, dataset: str) -> Split:
    """`shots` pictures a class for train, min(shots, 4) for val, test unchanged; -1 shots: the split as it is.

    The draw of seed >= 0 is kept as JSON in the cache, under a name that holds the hash of the lists it was drawn from.
    A negative seed draws anew each time. Raises ValueError for 0 and for less than -1 shots.
    """
    if shots == -1:
        return split
    if shots < 1:
        raise ValueError(f"DATASET.NUM_SHOTS is {shots}; it must be 1 or more, or -1 for all pictures")
    drawn: Split | None
    if seed < 0:
        drawn = _draw(split, shots, random.Random())
    else:
        key = fingerprint(split.train, split.val)[:16]
        path = cache_dir() / "few_shot" / dataset / f"shot_{shots}-seed_{seed}-{key}.json"
        drawn = _read(path, split, shots)
        if drawn is None:
            drawn = _draw(split, shots, random.Random(seed))
            if write_json(path, {"train": drawn.train, "val": drawn.val}):
                print(f"Saving preprocessed few-shot data to {path}")
        else:
            print(f"Loading preprocessed few-shot data from {path}")
    _announce_short_classes(drawn.train, shots)
    return drawn


def _draw(split: Split, shots: int, rng: random.Random) -> Split:
    """Train first, then val, from one generator: the order fixes the draw."""
    train = _sample(split.train, shots, rng)
    val = _sample(split.val, min(shots, VAL_SHOTS), rng) if split.val else []
    return Split(train, val, split.test)


def _sample(items: list[Item], shots: int, rng: random.Random) -> list[Item]:
    print(f"Creating a {shots}-shot dataset")
    drawn = []
    for group in group_by_label(items).values():
        drawn.extend(rng.sample(group, shots) if len(group) >= shots else group)
    return drawn


def _read(path, split: Split, shots: int) -> Split | None:
    """The cached draw, or None if there is none or if it is not a draw from this split."""
    content = read_json(path)
    try:
        train, val = ([Item(*entry) for entry in content[part]] for part in ("train", "val"))
    except (TypeError, KeyError):
        return None
    for drawn, full, n in zip((train, val), split[:2], (shots, min(shots, VAL_SHOTS)), strict=True):
        expected = sum(min(n, len(group)) for group in group_by_label(full).values())
        if len(drawn) != expected or not set(drawn) <= set(full):
            return None
    return Split(train, val, split.test)


def _announce_short_classes(train: list[Item], shots: int):
    short = [f"{group[0].name} ({len(group)})" for group in group_by_label(train).values() if len(group) < shots]
    if short:
        more = f" and {len(short) - 10} more" if len(short) > 10 else ""
        print(f"Fewer than {shots} train pictures, all are used: {', '.join(short[:10])}{more}")


def select_classes(split: Split, subsample: str) -> Split:
    """`base`: the first ceil(n/2) of the sorted train labels, `new`: the rest, both relabelled 0..; `all`: as it is."""
    if subsample not in ("all", "base", "new"):
        raise ValueError(f"DATASET.SUBSAMPLE_CLASSES is {subsample!r}; it must be all, base or new")
    if subsample == "all":
        return split
    print(f"SUBSAMPLE {subsample.upper()} CLASSES!")
    labels = sorted({item.label for item in split.train})
    half = math.ceil(len(labels) / 2)
    selected = labels[:half] if subsample == "base" else labels[half:]
    new = {label: i for i, label in enumerate(selected)}
    return Split(*([item._replace(label=new[item.label]) for item in part if item.label in new] for part in split))
