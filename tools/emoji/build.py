"""Build the emoji bench from npm packages: `python -m upt_clip.tools.emoji.build --work DIR`.

Needs npm and `pip install resvg-py`.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from upt_clip.tools.emoji.classes import class_concepts, split_concepts, split_fine
from upt_clip.tools.emoji.packs import BENCH_ARTISTS, SHIFTS, SOURCE, concepts, pictures


def distinct(found: dict[str, np.ndarray]) -> set[str]:
    """Return the codes whose picture is no exact copy of an earlier one (white circles in five sizes, say)."""
    first: dict[bytes, str] = {}
    for code in sorted(found):
        first.setdefault(found[code].tobytes(), code)
    return set(first.values())


def write_pictures(out: Path, artist: str, found: dict[str, np.ndarray], codes: set[str]) -> None:
    """Write `<artist>/<code>.png` for the given codes; an earlier build's folder is replaced."""
    shutil.rmtree(out / artist, ignore_errors=True)
    (out / artist).mkdir(parents=True)
    for code in sorted(codes):
        Image.fromarray(found[code]).save(out / artist / f"{code}.png", optimize=True)


def write_split(path: Path, splits: dict[str, list]) -> None:
    """Write a split file in CoOp's format, one picture a line."""
    parts = [f'"{name}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]" for name, rows in splits.items()]
    path.write_text("{" + ",\n".join(parts) + "}\n")


def build(work: Path, out: Path) -> dict[str, int]:
    """Write all pictures and split files below `out`; return the number of pictures in each split file's parts."""
    wanted = {c.code for c in concepts(work)}
    found = {artist: pictures(work, artist, wanted) for artist in BENCH_ARTISTS}
    bench = [SOURCE, *SHIFTS.values()]
    drawn = set.intersection(*(set(found[a]) for a in bench)) & distinct(found[SOURCE])
    splits = split_concepts(class_concepts(work, drawn))
    fine = split_fine(work, {a: set(found[a]) for a in BENCH_ARTISTS})
    used = {a: {code for rows in fine.values() for artist, code, *_ in rows if artist == a} for a in BENCH_ARTISTS}
    test_codes = {code for code, *_ in splits["test"]}
    used[SOURCE] |= {code for rows in splits.values() for code, *_ in rows}
    for artist in SHIFTS.values():
        used[artist] |= test_codes
    for artist, codes in used.items():
        write_pictures(out, artist, found[artist], codes)

    files = {"Emoji": {p: [(f"{SOURCE}/{c}.png", n, k) for c, n, k in rows] for p, rows in splits.items()}}
    for name, artist in SHIFTS.items():
        test = [(f"{artist}/{c}.png", n, k) for c, n, k in splits["test"]]
        files[f"Emoji{name}"] = {"train": [], "val": [], "test": test}
    files["EmojiFine"] = {p: [(f"{a}/{c}.png", n, k) for a, c, n, k in rows] for p, rows in fine.items()}
    for name, parts in files.items():
        write_split(out / f"split_{name}.json", parts)
    return {f"{name} {part}": len(rows) for name, parts in files.items() for part, rows in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for the npm packages")
    parser.add_argument("--out", type=Path, default=Path("assets/emoji"), help="where the bench goes")
    args = parser.parse_args()
    for part, count in build(args.work.resolve(), args.out).items():
        print(f"{part:24s} {count:5d}")


if __name__ == "__main__":
    main()
