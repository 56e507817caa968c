"""The npm packages behind the emoji bench: fetching, Unicode's names, and each artist's pictures as 64-pixel RGB.

Every package is pinned. Licences were read in the packages themselves; `assets/README.md` lists them.
"""

import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 64
DATA_PACKAGE = ("emojibase-data", "17.0.0")
# Mapping from a character to Iconify's name for it; the older Iconify sets use the same names but ship no mapping.
NAME_PACKAGES = (("@iconify-json/twemoji", "1.2.5"), ("@iconify-json/openmoji", "1.2.29"))
SHORTCODES = ("cldr", "emojibase", "github", "joypixels", "iamcal")


@dataclass(frozen=True)
class Artist:
    """One artist and where the pictures are.

    `kind` is `bitmap` (files named by code point), `svg` (drawings of emoji) or `named` (found by name).
    `hand` groups the artists that draw alike.
    """

    name: str
    package: str
    version: str
    licence: str
    kind: str
    hand: str
    suffix: str = ""


ARTISTS = {
    a.name: a
    for a in (
        Artist("noto", "emoji-datasource-google", "16.0.0", "Apache-2.0", "bitmap", "google"),
        Artist("noto-v1", "@iconify-json/noto-v1", "1.2.5", "Apache-2.0", "svg", "google"),
        Artist("openmoji", "@iconify-json/openmoji", "1.2.29", "CC-BY-SA-4.0", "svg", "openmoji"),
        Artist("fluent-3d", "@lobehub/fluent-emoji-3d", "1.1.0", "MIT", "bitmap", "microsoft"),
        Artist("fluent-flat", "@iconify-json/fluent-emoji-flat", "1.2.6", "MIT", "svg", "microsoft"),
        Artist("fluent-contrast", "@iconify-json/fluent-emoji-high-contrast", "1.2.6", "MIT", "svg", "microsoft"),
        Artist("twemoji", "emoji-datasource-twitter", "16.0.0", "CC-BY-4.0", "bitmap", "twitter"),
        Artist("emojione", "@iconify-json/emojione", "1.2.3", "CC-BY-4.0", "svg", "emojione"),
        Artist("emojione-v1", "@iconify-json/emojione-v1", "1.2.3", "CC-BY-SA-4.0", "svg", "emojione"),
        Artist("emojione-mono", "@iconify-json/emojione-monotone", "1.2.1", "CC-BY-4.0", "svg", "emojione"),
        Artist("fxemoji", "@iconify-json/fxemoji", "1.2.2", "Apache-2.0", "named", "mozilla"),
        Artist("streamline", "@iconify-json/streamline-emojis", "1.2.4", "CC-BY-4.0", "named", "streamline"),
        Artist("game-icons", "@iconify-json/game-icons", "1.2.4", "CC-BY-3.0", "named", "game-icons"),
        Artist("phosphor", "@iconify-json/ph", "1.2.2", "MIT", "named", "phosphor", "-duotone"),
    )
}
# The bench's pictures. A hand is on one side only: nothing by these three is in pocket's training.
SOURCE = "noto"
SHIFTS = {"OpenMoji": "openmoji", "Fluent": "fluent-3d"}
FINE_ARTISTS = {
    "train": ("openmoji", "fluent-3d", "fluent-contrast"),
    "val": ("fluent-flat",),
    "test": ("noto", "noto-v1"),
}
BENCH_ARTISTS = tuple(artist for artists in FINE_ARTISTS.values() for artist in artists)
BENCH_HANDS = {ARTISTS[artist].hand for artist in BENCH_ARTISTS}
TRAINING_ARTISTS = tuple(name for name, artist in ARTISTS.items() if artist.hand not in BENCH_HANDS)


@dataclass(frozen=True)
class Concept:
    """One Unicode emoji: its code (hexadecimal, no variation selector), CLDR name, keywords and subgroup number."""

    code: str
    name: str
    keywords: tuple[str, ...]
    subgroup: int
    version: float


def normal_code(text: str) -> str:
    """Return a hexadecimal code without variation selectors, lower case: `2600-FE0F` -> `2600`."""
    return "-".join(p for p in text.lower().split("-") if p != "fe0f")


def normal_name(text: str) -> str:
    """Return a name as letters and digits alone, so that `t-rex`, `T_Rex` and `trex` meet."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def fetch(work: Path, package: str, version: str) -> Path:
    """Return the path of the package's tarball in `work`, after `npm pack` if it is not there yet."""
    work.mkdir(parents=True, exist_ok=True)
    tarball = work / f"{package.lstrip('@').replace('/', '-')}-{version}.tgz"
    if not tarball.exists():
        command = ["npm", "pack", "--silent", f"{package}@{version}"]
        subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)
    return tarball


def _content(tar: tarfile.TarFile, member: str | tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return file.read() if file else b""  # a folder has none


@lru_cache(maxsize=64)
def read_json(tarball: Path, member: str):
    """Return a JSON file of a package."""
    with tarfile.open(tarball) as tar:
        return json.loads(_content(tar, f"package/{member}"))


def concepts(work: Path) -> list[Concept]:
    """Return CLDR's emoji in CLDR's order, without skin tones, hair, regional letters and flags of places."""
    tarball = fetch(work, *DATA_PACKAGE)
    skip = {32, 33, 98, 99}
    return [
        Concept(normal_code(e["hexcode"]), e["label"], tuple(e.get("tags", ())), e["subgroup"], e["version"])
        for e in read_json(tarball, "en/data.json")
        if e.get("subgroup") is not None and e["subgroup"] not in skip
    ]


@lru_cache(maxsize=2)
def name_index(work: Path) -> dict[str, str]:
    """Return normalised name -> code: CLDR names come first, then Iconify's names, then short codes."""
    index: dict[str, str] = {}
    for concept in concepts(work):
        index.setdefault(normal_name(concept.name), concept.code)
    for package in NAME_PACKAGES:
        for code, name in read_json(fetch(work, *package), "chars.json").items():
            index.setdefault(normal_name(name), normal_code(code))
    for kind in SHORTCODES:
        for code, names in read_json(fetch(work, *DATA_PACKAGE), f"en/shortcodes/{kind}.json").items():
            for name in [names] if isinstance(names, str) else names:
                index.setdefault(normal_name(name), normal_code(code))
    return index


def on_white(picture: Image.Image, size: int) -> np.ndarray:
    """Return a picture on a white ground as `(size, size, 3)` uint8; non-square ones are centred."""
    picture = picture.convert("RGBA")
    side = max(picture.size)
    ground = Image.new("RGBA", (side, side), "white")
    ground.alpha_composite(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    ground = ground.convert("RGB")
    return np.asarray(ground if side == size else ground.resize((size, size), Image.Resampling.LANCZOS))


def _bitmaps(tarball: Path, wanted: set[str]) -> Iterator[tuple[str, Image.Image]]:
    with tarfile.open(tarball) as tar:
        for member in tar:
            path = Path(member.name)
            if path.suffix in {".png", ".webp"} and path.parent.name in {"64", "assets"}:
                code = normal_code(path.stem)
                if code in wanted:
                    yield code, Image.open(io.BytesIO(_content(tar, member)))


def _drawings(artist: Artist, tarball: Path, work: Path, wanted: set[str]) -> Iterator[tuple[str, Image.Image]]:
    import resvg_py  # needed to rebuild the assets only

    icons, index = read_json(tarball, "icons.json"), name_index(work)
    by_code = read_json(tarball, "chars.json") if artist.kind == "svg" else {}
    codes = {name: normal_code(code) for code, name in by_code.items()}
    done = set()
    for name, icon in icons["icons"].items():
        if not name.endswith(artist.suffix):
            continue
        code = codes.get(name) or index.get(normal_name(name.removesuffix(artist.suffix)))
        if code not in wanted or code in done:
            continue
        done.add(code)
        width, height = icon.get("width", icons.get("width", 16)), icon.get("height", icons.get("height", 16))
        box = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
        body = icon["body"].replace("currentColor", "#000")
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box}" '
        svg += f'width="{width}" height="{height}">{body}</svg>'
        png = resvg_py.svg_to_bytes(svg_string=svg, width=2 * SIZE)
        yield code, Image.open(io.BytesIO(bytes(png)))


def pictures(work: Path, artist: str, wanted: set[str], size: int = SIZE) -> dict[str, np.ndarray]:
    """Return code -> `(size, size, 3)` uint8 for the wanted codes that this artist has drawn."""
    hand = ARTISTS[artist]
    tarball = fetch(work, hand.package, hand.version)
    found = _bitmaps(tarball, wanted) if hand.kind == "bitmap" else _drawings(hand, tarball, work, wanted)
    return {code: on_white(picture, size) for code, picture in found}
