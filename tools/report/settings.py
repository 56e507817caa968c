"""What the report says of the runs: methods side by side in each setting, from their predictions.csv."""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from upt_clip import messages
from upt_clip.tools.tables import results
from upt_clip.tools.tables.results import Record

KINDS = {"few_shot": "Few-shot", "base2new": "Base to new", "evaluation": "Transfer", "zero_shot": "Zero-shot"}
COLUMNS = ("path", "label", "predicted", "confidence", "class_name", "predicted_name")

Class = tuple[int, str]  # label and name: two classes may bear one name


class Prediction(NamedTuple):
    """A line of predictions.csv. `confidence` is in 0..1."""

    path: str
    label: int
    predicted: int
    confidence: float
    class_name: str
    predicted_name: str

    @property
    def right(self) -> bool:
        return self.label == self.predicted

    @property
    def true_class(self) -> Class:
        return (self.label, self.class_name)


def setting_title(kind: str, classes: str, shots: int | None = None) -> str:
    """ "Base to new, new classes, 16 shots"."""
    parts = [KINDS[kind], "" if classes == "all" else f"{classes} classes"]
    return ", ".join(filter(None, [*parts, messages.shots_text(shots) if shots else ""]))


@dataclass
class Method:
    """A method's runs in one setting: counts over all seeds, single predictions of the first."""

    name: str
    records: list[Record]
    confusion: Counter[tuple[Class, Class]] = field(default_factory=Counter)  # (true, predicted): pictures
    first: list[Prediction] = field(default_factory=list)
    tested: int = 0  # runs that these counts are of
    notes: list[str] = field(default_factory=list)

    @property
    def accuracy(self) -> str:
        return results.cell(record.result["accuracy"] for record in self.records)

    @property
    def seeds(self) -> list[int]:
        return sorted(record.seed for record in self.records if record.seed is not None)

    def totals(self) -> Counter[Class]:
        total: Counter[Class] = Counter()
        for (true, _), n in self.confusion.items():
            total[true] += n
        return total

    def per_class(self) -> dict[Class, float]:
        """Accuracy of each class in percent; every seed tests the same pictures, so this is the mean over seeds."""
        return {true: 100 * self.confusion[true, true] / n for true, n in self.totals().items()}


@dataclass
class Setting:
    """What can be compared: one data set, one part of its classes, one protocol, one number of shots."""

    dataset: str
    kind: str
    classes: str
    shots: int | None
    methods: list[Method]

    @property
    def title(self) -> str:
        return setting_title(self.kind, self.classes, self.shots)

    def class_list(self) -> list[Class]:
        return sorted({true for method in self.methods for true in method.totals()})


def settings(records: list[Record]) -> list[Setting]:
    """One setting for each data set, protocol and part of the classes: the number of shots with most methods and shots.

    A trainer's changed variants (ablations) are left to the tables where its plain runs are there.
    """
    groups: dict[tuple, list[Record]] = defaultdict(list)
    for record in records:
        groups[record.dataset, record.protocol, record.classes].append(record)
    zero_shot = {key[0]: groups.pop(key) for key in list(groups) if key[1] == "zero_shot" and key[2] == "all"}
    for dataset, found in zero_shot.items():
        keys = [key for key in groups if key[0] == dataset and key[2] == "all"] or [(dataset, "zero_shot", "all")]
        for key in keys:
            groups[key] = [*groups[key], *found]
    made = []
    for (dataset, kind, classes), members in groups.items():
        methods = Counter(n for n, _ in {(record.shots, record.trainer) for record in members} if n is not None)
        shots = max(methods, key=lambda n: (methods[n], n), default=None)
        chosen = [record for record in members if record.shots in (None, shots)]
        made.append(Setting(dataset, kind, classes, shots, _methods(chosen)))
    return sorted(made, key=lambda s: (s.dataset, list(KINDS).index(s.kind), s.classes))


def by_method(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records of each trainer, config, variant and backbone, in the order of every table, by a name that tells."""
    groups: dict[results.Method, list[Record]] = defaultdict(list)
    for record in records:
        groups[results.method(record)].append(record)
    configs = Counter(trainer for trainer, _ in {(kind.trainer, kind.cfg) for kind in groups})
    labels = {}
    for kind in groups:
        parts = (kind.cfg if configs[kind.trainer] > 1 else "", results.readable(kind.variant))
        said = ", ".join(filter(None, parts))
        labels[kind] = f"{kind.trainer} ({said})" if said else kind.trainer
    twice = {label for label, n in Counter(labels.values()).items() if n > 1}
    ordered = sorted(groups, key=lambda kind: kind.key[1:] + kind.key[:1])  # by backbone last
    return {f"{labels[k]} on {k.backbone}" if labels[k] in twice else labels[k]: groups[k] for k in ordered}


def _methods(records: list[Record]) -> list[Method]:
    plain = {record.trainer for record in records if not record.variant}
    kept = [record for record in records if not record.variant or record.trainer not in plain]
    return [_method(name, members) for name, members in by_method(kept).items()]


def _method(name: str, records: list[Record]) -> Method:
    method = Method(name, sorted(records, key=lambda record: record.seed or 0))
    for record in method.records:
        try:
            rows = read_predictions(record.directory / "predictions.csv")
        except (FileNotFoundError, ValueError) as error:
            method.notes.append(f"{_run_name(name, record)} is not in the classes' numbers: {error}")
            continue
        accuracy = 100 * sum(row.right for row in rows) / len(rows)
        if abs(accuracy - record.result["accuracy"]) > 0.01:
            method.notes.append(
                f"{_run_name(name, record)}: predictions.csv gives {accuracy:.2f} %, "
                f"but result.json says {record.result['accuracy']:.2f} %"
            )
        method.confusion += Counter((row.true_class, (row.predicted, row.predicted_name)) for row in rows)
        method.first = method.first or rows
        method.tested += 1
    return method


def _run_name(name: str, record: Record) -> str:
    return name if record.seed is None else f"{name}, seed {record.seed}"


def read_predictions(path: Path) -> list[Prediction]:
    """The test pictures of a run, in test order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is empty or a line is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"it has no {path.name}")
    rows = []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        table = csv.DictReader(file)
        try:
            for row in table:
                picture, label, predicted, confidence, *names = (row[column] for column in COLUMNS)
                rows.append(Prediction(picture, int(label), int(predicted), float(confidence), *map(str, names)))
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise ValueError(f"line {table.line_num} of its {path.name} is damaged ({error!r})") from error
    if not rows:
        raise ValueError(f"its {path.name} is empty")
    return rows
