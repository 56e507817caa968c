"""Reading result.json files: the only source of every table."""

import json
import statistics
from collections.abc import Iterable
from pathlib import Path

SPREAD = "mean ± sample standard deviation (ddof 1) over seeds"


def read(directory: Path) -> dict | None:
    """A run's result with its directory as "directory", or None if the run has not finished.

    Raises:
        ValueError: the file is no result.
    """
    path = Path(directory) / "result.json"
    if not path.is_file():
        return None
    try:
        result = json.loads(path.read_text())
        result["accuracy"] + 0.0
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no result of a run ({error}): delete it and run again") from error
    return result | {"directory": str(directory)}


def mean_and_spread(values: Iterable[float]) -> tuple[float, float | None]:
    """Mean, and the sample standard deviation (ddof 1) or None for a single value."""
    values = list(values)
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def cell(values: Iterable[float]) -> str:
    """ "46.3 ± 1.2", or "46.3" for a single value."""
    mean, spread = mean_and_spread(values)
    return f"{mean:.1f}" if spread is None else f"{mean:.1f} ± {spread:.1f}"
