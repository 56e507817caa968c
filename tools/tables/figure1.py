"""Figure 1 of the UPT paper: gains of CoOp and VPT over zero-shot CLIP against variances, with r, p and n."""

import warnings
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tabulate import tabulate

from upt_clip import config_files, messages
from upt_clip.tools.tables import cells, published
from upt_clip.tools.tables.results import Record

AXES = {"CoOp": ("intra", "intra-class visual variance"), "VPT": ("inter", "inter-class text variance")}
FEWEST = 3  # points that a correlation is printed for; with two, r is always 1 or -1


@dataclass
class Point:
    """A data set's variances, and the gains of the configs of CoOp and VPT in points."""

    name: str
    intra: float
    inter: float
    n_classes: int
    n_pictures: int
    gains: dict[tuple[str, str], float] = field(default_factory=dict)


def pearson(x: list[float], y: list[float]) -> str:
    """ "r = -0.31, p = 0.36, n = 11", or why there is none."""
    if len(x) < FEWEST:
        return f"no r: n = {len(x)}, and fewer than {FEWEST} data sets show no correlation"
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            r, p = stats.pearsonr(x, y)
        except RuntimeWarning as warning:  # all values equal
            return f"no r: n = {len(x)}, {str(warning).splitlines()[0]}"
    return f"r = {r:.3f}, p = {p:.3f}, n = {len(x)}"


def add_gains(points: list[Point], records: list[Record], stem: str, shots: int, seeds: list[int]) -> list[str]:
    """Fills in the gains of complete cells; returns a line for each that is missing or incomplete."""
    found = {key: cells.entries(key, records, seeds) for key in ("few_shot", "base2new")}
    missing = []
    for point in points:
        dataset, _, classes = point.name.partition(":")
        quantity = classes or "accuracy"
        mine = [
            e
            for e in found["base2new" if classes else "few_shot"]
            if (e.dataset, e.quantity) == (dataset, quantity) and (e.method.cfg + "_").startswith(stem + "_")
        ]
        zero = [e.cell.mean for e in mine if e.method.trainer == config_files.ZERO_SHOT and e.cell.mean is not None]
        for trainer in AXES:
            tuned = [e for e in mine if e.method.trainer == trainer and e.shots == shots]
            if not any(e.cell.values for e in tuned):
                missing.append(f"{point.name}: no run of {trainer} ({messages.shots_text(shots)})")
            elif not zero:
                missing.append(f"{point.name}: no run of {config_files.ZERO_SHOT}")
            for e in tuned if zero else ():
                if e.cell.mean is not None and e.cell.complete:
                    point.gains[(trainer, e.method.config)] = e.cell.mean - zero[0]
                elif e.cell.values:
                    missing.append(f"{point.name}: {trainer} {e.method.config} has {e.cell.seeds} seeds, left out")
    return missing


def published_points() -> list[Point]:
    """The paper's Figure 1, read off the picture: DIGITISED."""
    return [
        Point(
            row["dataset"], float(row["intra_class_visual_variance"]), float(row["inter_class_text_variance"]), 0, 0,
            {("CoOp", "published"): float(row["coop_gain"]), ("VPT", "published"): float(row["vpt_gain"])},
        )
        for row in published.read("figure1")
    ]  # fmt: skip


def series(points: list[Point]) -> dict[tuple[str, str], tuple[list[float], list[float], list[str]]]:
    """(trainer, config) -> the variances that belong to it, the gains, the names."""
    keys = sorted({key for point in points for key in point.gains}, key=lambda key: (list(AXES).index(key[0]), key[1]))
    made = {}
    for key in keys:
        mine = [point for point in points if key in point.gains]
        x = [getattr(point, AXES[key[0]][0]) for point in mine]
        made[key] = (x, [point.gains[key] for point in mine], [point.name for point in mine])
    return made


def text(points: list[Point]) -> str:
    """The table of all points, and a line with r, p and n for each series."""
    made = series(points)
    rows = [
        [p.name, p.n_classes or "", p.n_pictures or "", f"{p.intra:.4f}", f"{p.inter:.4f}"]
        + [f"{p.gains[key]:+.2f}" if key in p.gains else "" for key in made]
        for p in points
    ]
    head = ["data set", "classes", "pictures", "intra-class visual", "inter-class text"]
    head += [f"{trainer} gain ({cfg})" for trainer, cfg in made]
    lines = [tabulate(rows, head, disable_numparse=True, colalign=["left", *["right"] * (len(head) - 1)]), ""]
    lines += [f"{t} ({c}), gain against {AXES[t][1]}: {pearson(x, y)}" for (t, c), (x, y, _) in made.items()]
    return "\n".join(lines)


def plot(points: list[Point], path: Path, title: str):
    """Gain over variance with the least-squares line, as Figure 1; returns the figure."""
    import matplotlib
    from matplotlib.figure import Figure

    from upt_clip.tools.tables import plot_style as style

    made = series(points)
    with matplotlib.rc_context({**style.SETTINGS, "svg.hashsalt": "upt"}):
        figure = Figure((8.6, 3.9), layout="constrained")
        figure.suptitle(title, fontsize=9)
        for axes, (trainer, (_, label)) in zip(figure.subplots(1, 2), AXES.items(), strict=True):
            axes.set(xlabel=label, ylabel=f"{trainer}'s gain over zero-shot CLIP (points)")
            axes.axhline(0, color="#666666", linewidth=0.8)
            axes.margins(0.15)
            mine = {cfg: values for (name, cfg), values in made.items() if name == trainer}
            looks = [style.STYLES[trainer], *style.SPARE]
            for i, (cfg, (x, y, names)) in enumerate(mine.items()):
                colour, marker, line, _ = looks[i % len(looks)]
                axes.plot(x, y, marker=marker, linestyle="none", color=colour, markersize=7, label=cfg)
                for rank, at in enumerate(sorted(zip(x, y, names, strict=True))):  # neighbours: above, below, above ...
                    offset = (5, 4 if rank % 2 else -9)
                    axes.annotate(at[2], at[:2], offset, textcoords="offset points", fontsize=7, color="#333333")
                if len(set(x)) > 1 and len(x) >= FEWEST:
                    slope = torch.linalg.lstsq(torch.tensor([[v, 1.0] for v in x]), torch.tensor(y)[:, None]).solution
                    ends = [min(x), max(x)]
                    axes.plot(ends, [slope[0].item() * v + slope[1].item() for v in ends], color=colour, linestyle=line)
            axes.set_title("\n".join(f"{c}: {pearson(x, y).split(', and')[0]}" for c, (x, y, _) in mine.items()))
            axes.title.set_fontsize(8)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=200)
    return figure
