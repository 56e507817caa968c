"""Published numbers of CLIP ViT-B/16 with where they come from and how far they can be trusted.

The files in published/ hold percent, the registry's data set names, and in `mark` one of MARKS. Runs of other
authors carry them in brackets in the method's name. Nothing is listed for UPT itself but what its authors' release says
about development variants and what is remembered of its paper, whose tables could not be had.
"""

import csv
import functools
import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).with_name("published")
BACKBONE = "ViT-B/16"
SHOTS = 16  # of the base-to-new and domain generalization tables
AVERAGE = "average"
COUNT = {"few_shot": 11, "base2new": 11, "domain_generalization": 4}  # data sets that a published average is over
MARKS = {
    "VERIFIED": "checked against the source's text",
    "DERIVED": "computed from verified numbers",
    "DIGITISED": "read off a figure",
    "RECALLED": "from memory, NOT A FACT",
}
# Which published methods a run stands beside: trainer, what its config's name must contain, their names.
METHODS = [
    ("ZeroshotCLIP", "", r"CLIP"),
    ("CoOp", "", r"CoOp( \(.*\))?"),
    ("CoCoOp", "", r"CoCoOp"),
    ("VPT", "", r"VPT \(LoGoPrompt\)"),
    ("VPT", "shallow", r"VPT-shallow \(UPT .*\)"),
    ("VPT", "deep", r"VPT-deep \(.*\)"),
    ("UPT", "paper|released|deep", r"UPT|UPT development v5 .*"),
]


@dataclass(frozen=True)
class Number:
    """A published number in percent. `comparable` is False for an average H that was made by the other rule."""

    method: str
    value: float
    mark: str
    source: str
    comparable: bool = True


@functools.cache
def read(name: str) -> list[dict[str, str]]:
    """The rows of tools/tables/published/NAME.csv."""
    with open(FOLDER / f"{name}.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def lookup(
    protocol: str, trainer: str, cfg: str, dataset: str, shots: int | None, quantity: str = "accuracy", h="of-means"
) -> list[Number]:
    """What is published for one cell of a ViT-B/16 table: none, one, or the runs of several authors.

    `dataset` is the registry's name or "average"; `quantity` is "base", "new" or "h" in base2new, else "accuracy".
    """
    if protocol == "few_shot" and shots is None:
        rows = [{**row, "method": "CLIP"} for row in read("zero_shot")]
    elif protocol == "few_shot":
        rows = [row for row in read("few_shot") if row["shots"] == str(shots)]
    elif protocol in COUNT and shots in (None, SHOTS):
        rows = read(protocol)
    else:
        return []
    patterns = [names for name, part, names in METHODS if name == trainer and re.search(part, cfg)]
    column = "target_dataset" if protocol == "domain_generalization" else "dataset"
    return [
        _number(row, quantity, h)
        for row in rows
        if row[column] == dataset and row[quantity] and any(re.fullmatch(p, row["method"]) for p in patterns)
    ]


def _number(row: dict[str, str], quantity: str, h: str) -> Number:
    tokens = f", {row['n_ctx']} context tokens" if row.get("n_ctx") else ""
    is_average_h = quantity == "h" and row["dataset"] == AVERAGE
    other_rule = is_average_h and (h == "mean-of-h") != ("mean of the" in row["source"])
    return Number(row["method"] + tokens, float(row[quantity]), row["mark"], row["source"], not other_rule)
