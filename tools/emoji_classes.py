"""The classes of `Emoji`, as unions of CLDR subgroups, and the rules that pick and split its concepts."""

from __future__ import annotations

import random
from pathlib import Path

from tools.emoji_packs import FINE_ARTISTS, Concept, concepts

# Readable name -> CLDR subgroup numbers (emojibase-data, meta/groups.json). A union is taken where one subgroup alone
# has too few concepts for 16 shots and a test set. Left out: flags, key caps, clock faces, word buttons, families and
# what fits no union. Names use words that pocket's captions contain (it has no other source of English), but no name is
# a caption; nor are the plainer names in UNCAPTIONED.
CLASSES: dict[str, tuple[int, ...]] = {
    "smiling face": (0, 1, 2),
    "neutral or sleepy face": (3, 4, 5),
    "worried face": (9,),
    "heart": (14,),
    "hand gesture": (16, 17, 18, 19, 20, 21),
    "person or worker": (25,),
    "person in sport or dance": (27, 28, 29),
    "farm, pet or wild animal": (34,),
    "bird": (35,),
    "sea animal or reptile": (36, 37, 38),
    "flower or tree": (40, 41),
    "fruit or vegetable": (42, 43),
    "restaurant food": (44, 45),
    "drink or tableware": (47, 48),
    "place in nature or city": (49, 50, 53),
    "building": (51, 52),
    "land vehicle": (54,),
    "sky and weather": (59,),
    "celebration or award": (60, 61),
    "sports equipment": (62,),
    "game or craft": (63, 64),
    "clothes or shoes": (65,),
    "music and sound": (66, 67, 68),
    "phone, computer or camera": (69, 70, 71),
    "paper or mail": (72, 74),
    "office supply": (75, 76),
    "tool or weapon": (78,),
    "bathroom or home object": (81,),
    "traffic or warning sign": (83, 84),
    "geometric shape": (96,),
}
UNCAPTIONED = (
    "profession or role",
    "physical activity",
    "mammal",
    "plant",
    "meal",
    "scenery",
    "clothing",
    "electronic device",
    "tool",
    "household object",
)
FINE_SUBGROUPS = (34, 35, 36, 37, 38, 39)  # every animal
MIN_TRAIN, TRAIN_SHARE, MAX_VAL = 16, 0.4, 4


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
        n_val = min(MAX_VAL, (len(codes) - n_train) // 2)
        if n_val < 1:
            raise ValueError(
                f"class {name!r} has {len(codes)} concepts; {MIN_TRAIN + 2} are needed: widen it in CLASSES"
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
    return {
        part: [
            (artist, c.code, label, c.name)
            for label, c in enumerate(animals)
            for artist in artists
            if c.code in drawn[artist]
        ]
        for part, artists in FINE_ARTISTS.items()
    }
