"""What an output folder lacks: cells without all seeds, places where a method did not run, killed runs."""

from collections import defaultdict
from pathlib import Path

from upt_clip.tools.report.settings import KINDS, setting_title
from upt_clip.tools.tables import results
from upt_clip.tools.tables.results import Record


def missing(records: list[Record], seeds: set[int]) -> list[str]:
    """One line for each cell of the tables that lacks some of the seeds, or has no run at all."""
    lines = []
    for kind in KINDS:
        cells: dict[tuple, set[int]] = defaultdict(set)
        for r in records:
            if r.protocol == kind and r.seed is not None:
                cells[r.dataset, r.classes, r.shots, r.trainer, r.cfg, r.variant].add(r.seed)
        for key in sorted(cells, key=str):
            dataset, classes, shots, *method = key
            if absent := sorted(seeds - cells[key]):
                where = setting_title(kind, classes, shots)
                lines.append(
                    f"{dataset}, {where}, {' '.join(filter(None, method))}: {len(cells[key])} of {len(seeds)} seeds, "
                    f"without {', '.join(map(str, absent))}"
                )
        lines += _not_run(kind, {key[:4] for key in cells})
    return lines


def _not_run(kind: str, cells: set[tuple]) -> list[str]:
    """Lines for trainers that ran in one place of a protocol but not in another."""
    lines = []
    for dataset, classes in sorted({cell[:2] for cell in cells}):
        places = {cell[2] for cell in cells if cell[:2] == (dataset, classes)}
        for trainer in sorted({cell[3] for cell in cells}, key=results.trainer_key):
            if absent := sorted(n for n in places if (dataset, classes, n, trainer) not in cells):
                where = setting_title(kind, classes)
                lines.append(f"{dataset}, {where}, {trainer}: not run with {', '.join(map(str, absent))} shots")
    return lines


def unfinished(output: Path) -> list[str]:
    """Directories with a config.yaml but no result.json: runs that were killed, failed, or are still going on."""
    started = (path.parent for path in output.rglob("config.yaml"))
    return sorted(path.relative_to(output).as_posix() for path in started if not (path / "result.json").is_file())
