"""Straight lines through measured costs, and their picture."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from upt_clip.tools.tables.plot_style import SETTINGS

LOOKS = {"plain": ("#0072B2", "s", "--"), "ours": ("#D55E00", "o", "-")}
MEANING = {"classes": "classes", "batch": "images in a batch", "prompts": "prompts in each prompted tower"}


def fit(values: Sequence[float], seconds: Sequence[float]) -> tuple[float, float, float]:
    """Slope, intercept and R² of the least-squares line."""
    slope, intercept = np.polyfit(values, seconds, 1)
    rest = np.var(np.asarray(seconds) - slope * np.asarray(values) - intercept)
    spread = np.var(seconds)
    return float(slope), float(intercept), float(1 - rest / spread) if spread else 1.0


def plot(sweeps: dict[str, dict[str, tuple[list, list]]], title: str, path: Path) -> None:
    """Writes a picture with a panel for each axis; `sweeps` is {axis: {path's label: (values, seconds)}}."""
    with matplotlib.rc_context(SETTINGS):
        figure = Figure((3.4 * len(sweeps), 3.1), layout="constrained")
        for axes, (axis, lines) in zip(figure.subplots(1, len(sweeps), squeeze=False)[0], sweeps.items(), strict=True):
            for label, (values, seconds) in lines.items():
                colour, marker, style = LOOKS[label.split()[0]]
                slope, intercept, _ = fit(values, seconds)
                ends = np.array([min(values), max(values)])
                axes.plot(ends, slope * ends + intercept, style, color=colour)
                axes.plot(values, seconds, marker, color=colour, label=f"{label}: {1000 * slope:.3g} ms each")
            axes.set_xlabel(MEANING[axis])
            axes.set_ylim(bottom=0)
            axes.legend()
        figure.axes[0].set_ylabel("seconds a training step")
        figure.suptitle(title, fontsize=9)
        figure.savefig(path)
