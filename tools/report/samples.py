"""Sample pictures of the report: which are shown, and small copies of them as data URIs."""

import base64
import hashlib
import io
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from upt_clip.tools.report.settings import Prediction, Setting

LONGEST_SIDE = 96  # pixels
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")  # none that starts another program to be read
GROUPS = ("The methods differ", "Wrong by all", "Right by all")


@dataclass(frozen=True)
class Sample:
    """A test picture and what each method took it for."""

    group: str
    uri: str
    class_name: str
    predictions: dict[str, Prediction]


def samples(setting: Setting, count: int) -> tuple[list[Sample], list[str]]:
    """Up to `count` pictures, as evenly as possible from GROUPS and over classes; and notes on what was left out.

    The same pictures come back for the same files: the choice follows a hash of the path.
    """
    methods = [method for method in setting.methods if method.first]
    if not methods or count < 1:
        return [], []
    found = [{row.path: row for row in method.first} for method in methods]
    names = [method.name for method in methods]
    queues: dict[str, list[tuple[str, dict]]] = {group: [] for group in GROUPS}
    for path in set.intersection(*map(set, found)):
        predictions = dict(zip(names, (rows[path] for rows in found), strict=True))
        queues[_group(predictions)].append((path, predictions))
    folders = list(dict.fromkeys(str(r.result.get("image_dir") or "") for method in methods for r in method.records))
    picked: list[Sample] = []
    left_out: Counter[str] = Counter()
    ordered = {group: iter(_spread(queue)) for group, queue in queues.items()}
    while ordered and len(picked) < count:
        for group in list(ordered):
            sample = _next_sample(group, ordered[group], folders, left_out)
            if sample is None:
                del ordered[group]
            elif len(picked) < count:
                picked.append(sample)
    picked.sort(key=lambda sample: (GROUPS.index(sample.group), sample.class_name))
    return picked, [f"{n} sample picture{'s' * (n > 1)} left out: {why}" for why, n in left_out.items()]


def _group(predictions: dict[str, Prediction]) -> str:
    right = [prediction.right for prediction in predictions.values()]
    return "Right by all" if all(right) else "The methods differ" if any(right) else "Wrong by all"


def _spread(queue: list[tuple[str, dict]]) -> list[tuple[str, dict]]:
    """First one picture of each class, then a second one of each, and so on."""
    turn: Counter = Counter()
    keyed = []
    for item in sorted(queue, key=lambda item: hashlib.sha256(item[0].encode("utf-8", "surrogatepass")).hexdigest()):
        true = next(iter(item[1].values())).true_class
        keyed.append((turn[true], item))
        turn[true] += 1
    return [item for _, item in sorted(keyed, key=lambda pair: pair[0])]


def _next_sample(group: str, queue, folders: list[str], left_out: Counter) -> Sample | None:
    for path, predictions in queue:
        if not is_inside(path):
            left_out["their paths lead out of the folder of pictures"] += 1
            continue
        try:
            uri = thumbnail(folders, path)
        except FileNotFoundError:
            left_out["the file is not on this machine"] += 1
            continue
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
            left_out["the file is no picture that can be read"] += 1
            continue
        return Sample(group, uri, next(iter(predictions.values())).class_name, predictions)
    return None


def is_inside(path: str) -> bool:
    """Whether a path of predictions.csv stays below the folder that it is told from.

    Symbolic links in that folder are the user's own (ImageNet's folders often are links), so the name alone counts.
    """
    strange = not path or any(character in path for character in "\\:\0")  # Windows' ways out
    return not strange and not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts


def thumbnail(folders: list[str], path: str) -> str:
    """A data URI of the picture, its longest side at most 96 pixels: PNG if it is see-through, else JPEG.

    Raises:
        FileNotFoundError: no folder has it.
        OSError, ValueError, SyntaxError, DecompressionBombError or -Warning: it cannot be read as a picture.
    """
    files = (Path(folder) / path for folder in folders if folder)
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise FileNotFoundError(path)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), Image.open(file, formats=FORMATS) as opened:
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        opened.draft("RGB", (4 * LONGEST_SIDE, 4 * LONGEST_SIDE))  # a large JPEG is decoded at a fraction of its size
        clear = opened.mode in ("RGBA", "LA", "PA") or "transparency" in opened.info
        image = opened.convert("RGBA" if clear else "RGB")
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        kind = "png" if clear else "jpeg"
        image.save(buffer, kind, optimize=clear, quality=82)  # PNG has no quality
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
