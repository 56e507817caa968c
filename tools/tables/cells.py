"""From records to the cells of a protocol's table: means over seeds, H, and averages that are refused if incomplete."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from upt_clip.tools.tables import results, selection
from upt_clip.tools.tables.results import Method, Record, method

PROTOCOLS = ("few_shot", "base2new", "domain_generalization", "cross_dataset", "ablation")
RULES = ("of-means", "mean-of-h")
AVERAGE = "average"
HEADINGS = {"accuracy": "accuracy", "base": "Base", "new": "New", "h": "H"}


@dataclass(frozen=True)
class Cell:
    """Percent by seed (the only seed of zero-shot CLIP is None). `center` is given where it is not the plain mean."""

    values: dict[int | None, float]
    expected: tuple[int | None, ...]
    center: float | None = None
    reason: str = ""  # why there is no value

    @property
    def mean(self) -> float | None:
        if not self.values:
            return None
        return statistics.fmean(self.values.values()) if self.center is None else self.center

    @property
    def std(self) -> float | None:
        """Sample standard deviation (ddof 1) over seeds; None below two."""
        return results.mean_and_spread(self.values.values())[1] if self.values else None

    @property
    def complete(self) -> bool:
        return set(self.values) == set(self.expected)

    def text(self, digits: int = 1) -> str:
        """ "41.2 ± 0.3", with " [2 of 3]" if seeds are missing; a dash if there is nothing."""
        if self.mean is None:
            return "—"
        spread = "" if self.std is None else f" ± {self.std:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread}" + ("" if self.complete else f" [{self.seeds}]")

    @property
    def seeds(self) -> str:
        if self.expected == (None,):
            return "-"
        n, asked = len(self.values), len(self.expected)
        return str(n) if self.complete else f"{n} of {asked}"


@dataclass(frozen=True)
class Entry:
    """One number of a table. `source` is the data set of the training in domain_generalization and cross_dataset."""

    source: str
    dataset: str
    registry: str
    method: Method
    shots: int | None
    quantity: str
    cell: Cell
    parameters: tuple[int, ...]


def entries(
    protocol: str, records: list[Record], expected_seeds: Iterable[int] | None = None, h: str = "of-means"
) -> list[Entry]:
    """All numbers of a protocol, also the empty ones, method by method, the averages last.

    `expected_seeds` None stands for all seeds that any run of the protocol has.

    Raises:
        ValueError: unknown protocol or rule.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f'unknown protocol "{protocol}", choose one of {", ".join(PROTOCOLS)}')
    if h not in RULES:
        raise ValueError(f'the rule of H is "{h}", choose one of {", ".join(RULES)}')
    found = []
    for source, columns, chosen in selection.tables(protocol, records):
        own_seeds = sorted({r.seed for r in chosen if r.seed is not None})
        seeds = tuple(expected_seeds) if expected_seeds else tuple(own_seeds)
        rows: dict[tuple, list[Record]] = {}
        for record in chosen:
            rows.setdefault((method(record), record.shots), []).append(record)
        for row in sorted(rows, key=lambda row: (row[0].key, row[1] or 0)):
            found += _row(protocol, source, columns, row, rows[row], seeds, h)
    return found


def _row(protocol, source, columns, row, records, seeds, h) -> list[Entry]:
    kind, shots = row
    asked = (None,) if all(r.seed is None for r in records) else seeds
    quantities = ("base", "new") if protocol == "base2new" else ("accuracy",)
    parameters = tuple(sorted({r.result.get("trainable_parameters", 0) for r in records}))
    registry = {r.dataset: r.result.get("dataset", r.dataset) for r in records}

    def cell(dataset: str, quantity: str) -> Cell:
        fitting = [r for r in records if r.dataset == dataset and quantity in ("accuracy", r.classes)]
        return Cell({r.seed: r.result["accuracy"] for r in fitting if r.seed in asked}, asked)

    table = {name: {quantity: cell(name, quantity) for quantity in quantities} for name in columns}
    over = {name: cells for name, cells in table.items() if name != source}
    mean = {quantity: average({name: cells[quantity] for name, cells in over.items()}) for quantity in quantities}
    if protocol == "base2new":
        for cells in table.values():
            cells["h"] = harmonic(cells["base"], cells["new"])
        by_set = average({name: cells["h"] for name, cells in over.items()})
        mean["h"] = by_set if h == "mean-of-h" or not by_set.values else harmonic(mean["base"], mean["new"])
    return [
        Entry(source, name, registry.get(name, name), kind, shots, quantity, cell, parameters)
        for name, cells in [*table.items(), (AVERAGE, mean)]
        for quantity, cell in cells.items()
    ]


def average(cells: dict[str, Cell]) -> Cell:
    """Over data sets: each seed's mean over them, so that the spread is that of the average. Refused if any lacks."""
    expected = next(iter(cells.values())).expected
    lacking = [f"{name} {cell.seeds if cell.values else 'none'}" for name, cell in cells.items() if not cell.complete]
    if lacking:
        return Cell({}, expected, reason=", ".join(lacking))
    by_seed = {seed: statistics.fmean(cell.values[seed] for cell in cells.values()) for seed in expected}
    means = [cell.mean for cell in cells.values() if cell.mean is not None]
    return Cell(by_seed, expected, statistics.fmean(means))  # an H is no mean of seeds' H


def harmonic(base: Cell, new: Cell) -> Cell:
    """H of the mean base and the mean new accuracy over the seeds that have both; by seed, H of that seed's two."""
    both = [seed for seed in base.values if seed in new.values]
    if not both:
        return Cell({}, base.expected)

    def rule(a: float, b: float) -> float:
        return 2 * a * b / (a + b) if a + b else 0.0

    means = (statistics.fmean(cell.values[seed] for seed in both) for cell in (base, new))
    return Cell({seed: rule(base.values[seed], new.values[seed]) for seed in both}, base.expected, rule(*means))
