"""The classes of `Emoji`, as unions of CLDR subgroups, and the rules that pick and split its concepts."""

import random
from pathlib import Path

from upt_clip.tools.emoji.packs import FINE_ARTISTS, Concept, concepts

# Readable name -> CLDR subgroup numbers (emojibase-data, meta/groups.json): one subgroup, or a union of close ones,
# with at least 20 usable concepts; 16 are the shots. Names use words that pocket's captions contain (it has no other
# source of English), but no name is a caption: a model that was taught the classes leaves nothing to learn.
CLASSES: dict[str, tuple[int, ...]] = {
    "smiling face": (0, 1, 2), "sad face": (9,),
    "love heart": (14,), "hand gesture": (16, 17, 18, 19, 20, 21),
    "person at work": (25,), "person in sport": (27, 28),
    "farm or wild animal": (34,), "flying bird": (35,),
    "sea animal": (36, 37, 38), "plant or flower": (40, 41),
    "fruit or vegetable": (42, 43), "restaurant food": (44,),
    "hot or cold drink": (47,), "house or building": (51,),
    "car or train": (54,), "clock time": (58,),
    "sky and weather": (59,), "celebration party": (60,),
    "ball sport": (62,), "game or toy": (63,),
    "clothes and shoes": (65,), "office file": (76,),
    "tool or weapon": (78,), "home and bathroom": (81,),
    "direction arrow": (85,), "play or stop button": (88,),
    "letter button": (95,), "geometric shape": (96,),
}  # fmt: skip
FINE_SUBGROUPS = (34, 35, 36, 37, 38, 39)  # every animal
MIN_TRAIN, TRAIN_SHARE = 16, 0.4
MIN_VAL, VAL_SHARE, MAX_VAL = 2, 0.45, 8  # the share is of what train leaves


def is_variant(code: str) -> bool:
    """Tell a man/woman form or a left/right form of a concept that stands in the list without it."""
    parts = code.split("-")
    joined = set(parts[1:])
    return bool(joined & {"2640", "2642", "27a1"}) or ("200d" in joined and parts[0] in {"1f468", "1f469"})


def class_concepts(work: Path, drawn: set[str]) -> dict[str, list[Concept]]:
    """Return class name -> its concepts in CLDR's order: no variants, and what all of the bench's artists drew."""
    usable = [c for c in concepts(work) if c.code in drawn and not is_variant(c.code)]
    return {name: [c for c in usable if c.subgroup in groups] for name, groups in CLASSES.items()}


def split_concepts(by_class: dict[str, list[Concept]]) -> dict[str, list[tuple[str, int, str]]]:
    """Return `train`, `val`, `test` as lists of (code, label, class name); no concept is in two of them."""
    splits: dict[str, list[tuple[str, int, str]]] = {"train": [], "val": [], "test": []}
    for label, (name, members) in enumerate(by_class.items()):
        codes = sorted(c.code for c in members)
        random.Random(f"emoji {name}").shuffle(codes)
        n_train = max(MIN_TRAIN, round(TRAIN_SHARE * len(codes)))
        n_val = max(MIN_VAL, min(MAX_VAL, round(VAL_SHARE * (len(codes) - n_train))))
        if len(codes) - n_train <= n_val:
            raise ValueError(
                f"class {name!r} has {len(codes)} concepts; {MIN_TRAIN + MIN_VAL + 1} are needed: widen it in CLASSES"
            )
        bounds = {"train": (0, n_train), "val": (n_train, n_train + n_val), "test": (n_train + n_val, len(codes))}
        for part, (start, stop) in bounds.items():
            splits[part] += [(code, label, name) for code in sorted(codes[start:stop])]
    return splits


def split_fine(work: Path, drawn: dict[str, set[str]]) -> dict[str, list[tuple[str, str, int, str]]]:
    """Return `train`, `val`, `test` as lists of (artist, code, label, concept name): each animal is a class of its own.

    The parts differ by artist (`FINE_ARTISTS`), and no hand of train or val is in test. A concept counts if all the
    artists of train and val and the first of test have drawn it. `drawn` maps an artist to the codes drawn.
    """
    needed = (*FINE_ARTISTS["train"], *FINE_ARTISTS["val"], FINE_ARTISTS["test"][0])
    common = set.intersection(*(drawn[artist] for artist in needed))
    animals = [c for c in concepts(work) if c.subgroup in FINE_SUBGROUPS and c.code in common]
    splits: dict[str, list[tuple[str, str, int, str]]] = {}
    for part, artists in FINE_ARTISTS.items():
        pairs = [(artist, label, c) for label, c in enumerate(animals) for artist in artists]
        splits[part] = [(artist, c.code, label, c.name) for artist, label, c in pairs if c.code in drawn[artist]]
    return splits
