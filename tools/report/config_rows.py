"""Configs and versions of the runs, for the report: what differs between methods, and what made the numbers."""

from collections import Counter, defaultdict
from pathlib import Path

import yaml

from upt_clip.tools.report.settings import by_method
from upt_clip.tools.tables.results import Record

# Not what a method's runs have in common; the trainer's name is in the heading.
OF_A_RUN = ("TRAINER.NAME", "OUTPUT_DIR", "SEED", "RESUME", "VERBOSE", "DATASET.ROOT", "DATALOADER.NUM_WORKERS")
VERSIONS = ("project", "python", "torch", "torchvision", "clip", "dassl")
NONE = "–"


def read(directory: Path) -> tuple[str, dict[str, str]]:
    """The text of config.yaml and its keys as "OPTIM.LR": "0.002", other trainers' nodes left out; empty if damaged."""
    path = directory / "config.yaml"
    if not path.is_file():
        return "", {}
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError:
        return text, {}
    if not isinstance(config, dict):
        return text, {}
    trainers = config.get("TRAINER")
    if isinstance(trainers, dict):
        own = ("NAME", str(trainers.get("NAME", "")).upper())
        config["TRAINER"] = {key: value for key, value in trainers.items() if key in own}
    return text, _flat(config)


def _flat(config: dict, prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = "(empty)" if value == "" else str(value)
    return flat


def overview(records: list[Record], output: Path) -> dict:
    """Everything about configs that the page shows.

    Returns:
        "methods": names; "differences": rows [key, value of each method] where methods differ;
        "runs": {method: [(directory, config.yaml's text or None, what differs from the first run)]}.
    """
    groups = by_method(records)
    values: dict[str, dict[str, str]] = {}
    runs: dict[str, list[tuple]] = {}
    for name, members in groups.items():
        texts, configs = zip(*(read(record.directory) for record in members), strict=True)
        seen: dict[str, set[str]] = defaultdict(set)
        for key, value in (item for config in configs for item in config.items() if item[0] not in OF_A_RUN):
            seen[key].add(value)
        values[name] = {key: " / ".join(sorted(found, key=_natural)) for key, found in seen.items()}
        directories = [record.directory.relative_to(output).as_posix() for record in members]
        others = zip(directories[1:], configs[1:], strict=True)
        runs[name] = [(directories[0], texts[0], [])]
        runs[name] += [(directory, None, _changes(configs[0], config)) for directory, config in others]
    keys = sorted({key for of_method in values.values() for key in of_method})
    rows = [[key, *(values[name].get(key, NONE) for name in groups)] for key in keys]
    return {"methods": list(groups), "differences": [row for row in rows if len(set(row[1:])) > 1], "runs": runs}


def _natural(value: str) -> tuple[int, str]:
    return (len(value), value) if value.isdigit() else (0, value)


def _changes(first: dict[str, str], other: dict[str, str]) -> list[str]:
    keys = sorted(first.keys() | other.keys())
    kept = [key for key in keys if key not in ("OUTPUT_DIR", "DATASET.ROOT")]
    return [f"{key} {other.get(key, NONE)}" for key in kept if first.get(key) != other.get(key)]


def versions(records: list[Record]) -> list[tuple[str, list[tuple[str, int]]]]:
    """(what, [(version, number of runs that say so)]) for the project's commit, the packages and the devices."""
    rows = []
    for name in (*VERSIONS, "device", "precision", "backbone"):
        told = (record.result.get("versions", {}) if name in VERSIONS else record.result for record in records)
        rows.append((name, Counter(str(said.get(name) or "unknown") for said in told).most_common()))
    return rows
