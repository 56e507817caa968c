"""What the pictures have in common: one look for each method, and a panel for each data set."""

import itertools
import math
import textwrap
from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from upt_clip.tools.tables.cells import AVERAGE, Entry
from upt_clip.tools.tables.results import Method

NAMES = {"ZeroshotCLIP": "zero-shot CLIP", "LinearProbe": "linear probe"}
STYLES = {  # colour, marker, line, hatch
    "ZeroshotCLIP": ("#000000", "*", (0, (1, 2)), ""),
    "LinearProbe": ("#E69F00", "s", (0, (5, 1, 1, 1, 1, 1)), "///"),
    "CoOp": ("#56B4E9", "^", (0, (6, 2)), "..."),
    "CoCoOp": ("#CC79A7", "v", (0, (3, 1, 1, 1)), "\\\\\\"),
    "VPT": ("#009E73", "D", (0, (2, 1)), "xx"),
    "UPT": ("#D55E00", "o", "-", ""),
}
SPARE = [
    ("#0072B2", "P", (0, (4, 1)), "--"),
    ("#999999", "X", (0, (7, 2, 1, 2)), "++"),
    ("#B8A800", "h", (0, (1, 1)), "oo"),
]
SETTINGS: dict[Any, Any] = {
    "font.size": 9, "axes.titlesize": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "axes.axisbelow": True, "grid.color": "#E3E3E3", "grid.linewidth": 0.6, "axes.edgecolor": "#666666",
    "legend.frameon": False, "svg.fonttype": "none", "hatch.linewidth": 0.5, "lines.markersize": 5,
}  # fmt: skip


def labels(methods: Iterable[Method]) -> dict[Method, str]:
    """The trainer's name, with the config where a trainer has several; in the order of every table."""
    ordered = sorted(set(methods), key=lambda m: m.key)
    several = {m.trainer for m in ordered if sum(other.trainer == m.trainer for other in ordered) > 1}
    return {m: NAMES.get(m.trainer, m.trainer) + (f" ({m.config})" if m.trainer in several else "") for m in ordered}


def styles(methods: Iterable[Method]) -> dict[Method, tuple]:
    """Colour, marker, line and hatch: the trainer's for its first config; the others take a spare one."""
    taken: set[str] = set()
    chosen: dict[Method, tuple] = {}
    spare = itertools.cycle(SPARE)
    for m in sorted(set(methods), key=lambda m: m.key):
        chosen[m] = STYLES[m.trainer] if m.trainer in STYLES and m.trainer not in taken else next(spare)
        taken.add(m.trainer)
    return chosen


def panels(found: list[Entry]) -> tuple[Figure, Iterable[tuple[str, Axes]]]:
    """A figure, and a data set's name and axes for each panel: the average of several first."""
    names = list(dict.fromkeys(e.dataset for e in found))
    names = names[:1] if len(names) == 2 else [AVERAGE, *(n for n in names if n != AVERAGE)]
    n = len(names)
    columns = n if n <= 3 else 2 if n == 4 else 3 if n <= 9 else 4
    rows = math.ceil(n / columns)
    figure = Figure((3.1 * columns + 0.4 + 1.9 * (n == 1), 2.7 * rows + 0.8 + 0.7 * (n == 1)), layout="constrained")
    made = []
    for i, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.set_title(f"average of {n - 1} data sets" if name == AVERAGE else name)
        axes.title.set_fontweight("bold" if name == AVERAGE else "normal")
        if i % columns == 0:
            axes.set_ylabel("test accuracy (%)")
        made.append((name, axes))
    return figure, made


def finish(figure: Figure, title: str, handles: dict[str, Any]) -> Figure:
    """Adds the title and one legend below all panels, both no wider than the figure."""
    width, height = figure.get_size_inches()
    figure.suptitle(textwrap.fill(title, int(15 * width)), fontsize=9)
    columns = max(1, int(width / (0.075 * max(map(len, handles), default=0) + 0.5)))
    figure.set_size_inches(width, height + 0.2 * ((len(handles) - 1) // columns))
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=min(len(handles), columns))
    return figure
