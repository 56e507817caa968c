"""Reading result.json files: the only source of every table."""

import json
import math
import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SPREAD = "mean ± sample standard deviation (ddof 1) over seeds"
TRAINER_ORDER = ("ZeroshotCLIP", "LinearProbe", "CoOp", "CoCoOp", "VPT", "UPT")
CLASSES = {"train_base": "base", "test_base": "base", "test_new": "new"}
# The directories of an output folder, relative to it; a run in any other place is not the protocols' and not read.
_TRAINER, _VARIANT, _SEED = r"(?P<trainer>[^/]+)", r"(?:/(?P<variant>[^/]+))?", r"seed(?P<seed>\d+)"
_CFG = rf"(?P<cfg>[^/]+){_VARIANT}"
_SHOTS = rf"{_TRAINER}/(?P<cfg>[^/]+)_(?P<shots>\d+)shots{_VARIANT}"
_ZERO_SHOT = rf"(?P<trainer>ZeroshotCLIP)/{_CFG}"
_PART = r"base2new/(?P<part>train_base|test_new)/(?P<dataset>.+)"
LAYOUT = [
    ("evaluation", rf"evaluation/{_SHOTS}/(?P<dataset>[^/]+)/{_SEED}"),
    ("base2new", rf"{_PART}/shots_(?P<shots>\d+)/{_TRAINER}/{_CFG}/{_SEED}"),
    ("base2new", rf"{_PART.replace('train_base', 'test_base')}/{_ZERO_SHOT}"),
    ("zero_shot", rf"{_ZERO_SHOT}/(?P<dataset>[^/]+)"),
    ("few_shot", rf"(?P<dataset>.+)/{_SHOTS}/{_SEED}"),
]


@dataclass(frozen=True)
class Record:
    """One finished run, named by its directory. `shots` and `seed` are None for zero-shot CLIP.

    `dataset` is the YAML's name (`oxford_pets`), `result` the content of result.json, where "dataset" is the registry's
    name (`OxfordPets`). `classes` is "base" or "new" in base2new, else what result.json says (mostly "all").
    """

    protocol: str
    dataset: str
    trainer: str
    cfg: str
    variant: str
    shots: int | None
    seed: int | None
    classes: str
    result: dict = field(compare=False, repr=False)
    directory: Path


def scan(output: Path | str) -> list[Record]:
    """The finished runs below an output folder, sorted by directory; an empty list if there are none.

    Raises:
        ValueError: a result.json is damaged, or was not made by the run that its directory names.
    """
    output = Path(output)
    directories = sorted(path.parent for path in output.rglob("result.json"))
    return [record for path in directories if (record := _record(output, path))]


def _record(output: Path, directory: Path) -> Record | None:
    relative = directory.relative_to(output).as_posix()
    found = ((protocol, re.fullmatch(pattern, relative)) for protocol, pattern in LAYOUT)
    protocol, match = next((pair for pair in found if pair[1]), ("", None))
    if not match or (result := read(directory)) is None:
        return None
    groups = match.groupdict()
    shots, seed = (int(groups[name]) if groups.get(name) else None for name in ("shots", "seed"))
    classes = CLASSES.get(groups.get("part") or "", result.get("classes", "all"))
    said = {"trainer": groups["trainer"], "classes": classes, "seed": seed}
    if protocol == "few_shot":
        said["shots"] = shots
    for key, value in said.items():
        if value is not None and result.get(key, value) != value:
            raise ValueError(
                f"{directory / 'result.json'} says {key} {result[key]}, but its directory says {value}: "
                "delete that directory and run again"
            )
    names = (groups["dataset"], groups["trainer"], groups["cfg"], groups["variant"] or "")
    return Record(protocol, *names, shots, seed, classes, result, directory)


def seeds(text: str) -> list[int]:
    """ "1 2 3" or "1,2,3" as numbers. ValueError if it is anything else."""
    try:
        return [int(word) for word in text.replace(",", " ").split()]
    except ValueError:
        raise ValueError(f'--seeds is "{text}", give whole numbers like "1 2 3"') from None


def trainer_key(trainer: str) -> tuple[int, str]:
    """Sorts trainers as every table and picture shows them."""
    known = trainer in TRAINER_ORDER
    return (TRAINER_ORDER.index(trainer) if known else len(TRAINER_ORDER), trainer)


def read(directory: Path) -> dict | None:
    """A run's result with its directory as "directory", or None if the run has not finished.

    Raises:
        ValueError: the file is no result.
    """
    path = Path(directory) / "result.json"
    if not path.is_file():
        return None
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        wrong = [name for name, good in FIELDS.items() if name in result and not good(result[name])]
        reason = f"{wrong[0]} is {result[wrong[0]]!r}" if wrong else "" if "accuracy" in result else "no accuracy"
    except (ValueError, TypeError, RecursionError) as error:
        reason = str(error)
    if reason:
        raise ValueError(f"{path} is no result of a run ({reason}): delete it and run again")
    return result | {"directory": str(directory)}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_percent(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 100


def _is_text(value: object) -> bool:
    return isinstance(value, str)


FIELDS = {  # what the tools compute with or show; not every version writes all of it
    **dict.fromkeys(("accuracy", "error_rate", "macro_f1"), _is_percent),
    **dict.fromkeys(("n_test", "n_classes", "trainable_parameters", "shots", "seed", "train_seconds"), _is_number),
    **dict.fromkeys(("trainer", "dataset", "backbone", "classes", "precision", "few_shot_sha256"), _is_text),
}


def mean_and_spread(values: Iterable[float]) -> tuple[float, float | None]:
    """Mean, and the sample standard deviation (ddof 1) or None for a single value."""
    values = list(values)
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def cell(values: Iterable[float]) -> str:
    """ "46.3 ± 1.2", or "46.3" for a single value."""
    mean, spread = mean_and_spread(values)
    return f"{mean:.1f}" if spread is None else f"{mean:.1f} ± {spread:.1f}"


@dataclass(frozen=True)
class Method:
    """A row's trainer with its config, the keys changed in it, and the backbone: what must never be pooled."""

    trainer: str
    cfg: str
    variant: str
    backbone: str

    @property
    def config(self) -> str:
        return f"{self.cfg}, {readable(self.variant)}" if self.variant else self.cfg

    @property
    def key(self) -> tuple:
        """Sorts by backbone, then as TRAINER_ORDER says, then configs; 2 stands before 16."""
        changed = [int(word) if word.isdigit() else word for word in re.split(r"(\d+)", self.variant)]
        return (self.backbone, *trainer_key(self.trainer), self.cfg, changed)


def method(record: Record) -> Method:
    return Method(record.trainer, record.cfg, record.variant, record.result.get("backbone", ""))


def readable(variant: str) -> str:
    """ "MIXER-joint_N_CTX-8" as "MIXER joint, N_CTX 8"."""
    pairs = re.findall(r"([A-Z][A-Z0-9_]*)-(.+?)(?=_[A-Z][A-Z0-9_]*-|$)", variant)
    whole = "_".join(f"{key}-{value}" for key, value in pairs) == variant
    return ", ".join(f"{key} {value}" for key, value in pairs) if pairs and whole else variant
