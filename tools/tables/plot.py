"""Pictures of an output folder: few-shot curves, base/new bars, accuracy over trained parameters.

    upt-clip plot output --out pictures --format png svg

Colours are Okabe and Ito's, which colour-blind eyes tell apart; markers and lines differ, too, for grey print.
"""

import math
import re
from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure  # no pyplot: figures without a window and without a global state
from matplotlib.ticker import FuncFormatter, MaxNLocator

from upt_clip import cli, messages
from upt_clip.tools.tables import cells, results
from upt_clip.tools.tables import plot_style as style
from upt_clip.tools.tables.cells import AVERAGE, Cell, Entry
from upt_clip.tools.tables.results import Record

SPREAD = "± sample standard deviation over seeds (ddof 1)"

ZERO = 0.5  # where 0 shots stands on an axis of logarithms


def figures(records: list[Record], expected_seeds: list[int] | None = None) -> dict[str, Figure]:
    """File name without suffix -> picture: `few_shot`, `base2new`, `parameters`, each with the backbone's name.

    An average is drawn only where every data set has every seed; a data set's own points also with fewer seeds.
    """
    made = {}
    for protocol, draw in (("few_shot", curves), ("base2new", bars)):
        found = cells.entries(protocol, records, expected_seeds)
        for backbone, members in groupby(found, lambda entry: entry.method.backbone):
            group = list(members)
            tail = re.sub(r"[^\w-]+", "_", Path(backbone).stem if Path(backbone).is_absolute() else backbone)
            with matplotlib.rc_context(style.SETTINGS):
                made[f"{protocol}_{tail}"] = draw(group)
                if protocol == "few_shot" and (picture := parameters(group)):
                    made[f"parameters_{tail}"] = picture
    return made


def curves(found: list[Entry]) -> Figure:
    """Accuracy over shots. A curve is broken where there is no value, and hollow where seeds are missing."""
    figure, panels = style.panels(found)
    methods = [e.method for e in found]
    name_of, style_of = style.labels(methods), style.styles(methods)
    shots = sorted({e.shots for e in found if e.shots})
    handles: dict[str, Any] = {}
    for name, axes in panels:
        for method in name_of:
            points = {e.shots or 0: e.cell for e in found if (e.dataset, e.method) == (name, method)}
            if line := _curve(axes, points, shots, style_of[method], name_of[method]):
                handles.setdefault(name_of[method], line)
        axes.set_xscale("log", base=2)
        axes.set_xlim(ZERO * 0.8, max(shots, default=1) * 1.25)
        axes.set_xticks([ZERO, *shots], ["0", *map(str, shots)])
        axes.minorticks_off()
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("labelled pictures a class")
    missing = any(e.cell.values and not e.cell.complete for e in found)
    backbone = found[0].method.backbone
    title = f"Few-shot, {backbone}; bands: {SPREAD}" + ("; hollow: seeds are missing" if missing else "")
    return style.finish(figure, title, handles)


def _curve(axes, points: dict[int, Cell], shots: list[int], look: tuple, label: str):
    colour, marker, line, _ = look
    if 0 in points and points[0].values:  # zero-shot: a star, and a thin line across to compare with
        mean = points[0].mean
        axes.axhline(mean, color=colour, linestyle=line, linewidth=0.9, zorder=1)
        return axes.plot([ZERO], [mean], color=colour, marker=marker, linestyle="none", markersize=9, label=label)[0]
    values = [points[n] if n in points and points[n].values else None for n in shots]
    if not any(values):
        return None
    means: list[Any] = [cell.mean if cell else math.nan for cell in values]
    std = [(cell.std or 0) if cell else math.nan for cell in values]
    low, high = ([m + sign * s for m, s in zip(means, std, strict=True)] for sign in (-1, 1))
    axes.fill_between(shots, low, high, color=colour, alpha=0.18, linewidth=0)
    options = {"color": colour, "marker": marker, "label": label, "linewidth": 1.5, "markeredgewidth": 0.5}
    drawn = axes.plot(shots, means, linestyle=line, markeredgecolor="white", **options)[0]
    hollow = [(n, cell.mean) for n, cell in zip(shots, values, strict=True) if cell and not cell.complete]
    if hollow:
        axes.plot(
            *zip(*hollow, strict=True), marker=marker, linestyle="none", label="_hollow",
            markerfacecolor="white", markeredgecolor=colour, markeredgewidth=1.2, zorder=4,
        )  # fmt: skip
    return drawn


def bars(found: list[Entry]) -> Figure:
    """Base, New and H of each method, of the runs with the most shots; a dash where there is no value."""
    most = max((e.shots for e in found if e.shots), default=None)
    found = [e for e in found if e.shots in (None, most)]
    figure, panels = style.panels(found)
    name_of, style_of = style.labels([e.method for e in found]), style.styles([e.method for e in found])
    width = 0.8 / len(name_of)
    handles: dict[str, Any] = {}
    for name, axes in panels:
        for j, method in enumerate(name_of):
            cell_of = {e.quantity: e.cell for e in found if (e.dataset, e.method) == (name, method)}
            if not cell_of:
                continue
            colour, _, _, hatch = style_of[method]
            x = [k + (j - (len(name_of) - 1) / 2) * width for k in range(3)]
            chosen = [cell_of[quantity] for quantity in ("base", "new", "h")]
            handles[name_of[method]] = axes.bar(
                x, [cell.mean or 0 for cell in chosen], 0.94 * width, yerr=[cell.std or 0 for cell in chosen],
                color=colour, hatch=hatch, edgecolor="white", linewidth=0, label=name_of[method],
                error_kw={"elinewidth": 0.8, "ecolor": "#333333"},
            )  # fmt: skip
            for at, cell in zip(x, chosen, strict=True):
                if not cell.values:
                    axes.annotate("–", (at, 0), (0, 2), textcoords="offset points", ha="center", color=colour)
        axes.set_xticks(range(3), ["Base", "New", "H"])
        axes.grid(False, axis="x")
    shots = f", {messages.shots_text(most)}" if most else ""
    return style.finish(figure, f"Base to new, {found[0].method.backbone}{shots}; {SPREAD}", handles)


def parameters(found: list[Entry]) -> Figure | None:
    """Accuracy over trained parameters with the most shots; None if nothing was trained."""
    most = max((e.shots for e in found if e.shots), default=0)
    single = len({e.dataset for e in found}) == 2
    chosen = [e for e in found if (e.dataset != AVERAGE) == single and e.cell.values and e.shots in (None, most)]
    trained = [e for e in chosen if e.shots and min(e.parameters) > 0]
    if not trained:
        return None
    name_of, style_of = style.labels([e.method for e in chosen]), style.styles([e.method for e in chosen])
    figure = Figure((5.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xscale("log")
    counts = [n for e in trained for n in e.parameters]
    axes.set_xlim(min(counts) / 3, max(counts) * 3)  # before the points: they can have one count
    handles: dict[str, Any] = {}
    for e in chosen:
        mean: Any = e.cell.mean  # it has values
        colour, marker, line, _ = style_of[e.method]
        name = name_of[e.method]
        if e.shots is None:
            handles[f"{name} (none)"] = axes.axhline(mean, color=colour, linestyle=line, linewidth=0.9)
            continue
        n = math.exp(sum(map(math.log, e.parameters)) / len(e.parameters))  # linear probes: it depends on the classes
        handles[name] = axes.errorbar(
            n, mean, e.cell.std or 0, color=colour, marker=marker, markersize=8, elinewidth=1, linestyle="none",
            label=name, markeredgecolor="none",
        )  # fmt: skip
    axes.set_xlabel("trained parameters")
    axes.xaxis.set_major_formatter(FuncFormatter(_short))
    where = chosen[0].dataset if single else f"average of {len({e.dataset for e in found}) - 1} data sets"
    axes.set_ylabel("test accuracy (%)")
    axes.margins(y=0.12)
    return style.finish(figure, f"{where}, {messages.shots_text(most)}, {chosen[0].method.backbone}; {SPREAD}", handles)


def _short(n: float, _=None) -> str:
    return f"{n / 1e6:g} M" if n >= 1e6 else f"{n / 1e3:g} k" if n >= 1e3 else f"{n:g}"


def save(made: dict[str, Figure], folder: Path, formats: list[str]) -> list[Path]:
    """Writes the pictures; returns their paths. The same input gives the same SVG, byte for byte."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with matplotlib.rc_context({**style.SETTINGS, "svg.hashsalt": "upt"}):
        for name, figure in made.items():
            for suffix in formats:
                path = folder / f"{name}.{suffix}"
                figure.savefig(path, dpi=200, metadata={"Date": None} if suffix == "svg" else None)
                paths.append(path)
    return paths


def main(argv: list[str] | None = None) -> int:
    parser = cli.Parser("plot", __doc__)
    add = parser.add_argument
    add("output", metavar="OUTPUT", help="the folder of the runs")
    add("--out", default="", help="where the pictures go (default: OUTPUT/pictures)")
    add("--format", nargs="+", default=["png", "svg"], choices=["png", "svg", "pdf"], help="default: png svg")
    add("--seeds", default="1 2 3", help='the seeds that each point should have (default: "1 2 3")')
    args = parser.parse_args(argv)
    made = figures(results.scan(args.output), results.seeds(args.seeds))
    if not made:
        raise ValueError(f"no finished few-shot or base-to-new run below {args.output}")
    for path in save(made, Path(args.out or Path(args.output) / "pictures"), args.format):
        print(path)
    return 0
