"""One page that tells all about an output folder: report.html, which needs no other file and no network.

    upt-clip report output                             writes output/report.html
    upt-clip report output --out page.html --open

Everything on it comes from result.json, predictions.csv and config.yaml of the finished runs.
"""

import base64
import hashlib
import io
import webbrowser
from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from pathlib import Path

from upt_clip import cli
from upt_clip.files import write_atomically
from upt_clip.tools.report import config_rows, matrix, missing, samples, settings
from upt_clip.tools.report.settings import KINDS, Setting
from upt_clip.tools.tables import results
from upt_clip.tools.tables.layout import Table
from upt_clip.tools.tables.results import Record
from upt_clip.tools.tables.table import TITLES, tables

HERE = Path(__file__).parent
PAIRS, PAIRS_WITHOUT_MATRIX = 8, 20  # the most confused pairs that are listed


def build(output: Path, seeds: list[int], samples: int) -> str:
    """The page's HTML.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it has no finished run, or a damaged result.json.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    if not output.is_dir():
        raise FileNotFoundError(f"no folder {output}: give the output folder of the runs")
    everything = results.scan(output)
    records = [record for record in everything if record.seed is None or record.seed in seeds]
    if not records:
        raise ValueError(f"no finished run (result.json) below {output}: run scripts/upt/main.sh first, or see --seeds")
    style = (HERE / "style.css").read_text(encoding="utf-8")
    views = [view(setting, samples) for setting in settings.settings(records)]
    page = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = page.get_template("template.html")
    return template.render(
        title=f"Report of {output.absolute().name}",
        made=datetime.now().astimezone(),
        style=style,
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        summary=_summary(records, everything),
        missing=missing.missing(records, set(seeds)),
        unfinished=missing.unfinished(output),
        headings={protocol: title.split(",")[0] for protocol, title in TITLES.items()},
        tables=_tables(records, seeds),
        figures=_figures(records, seeds),
        datasets=[(name, list(group)) for name, group in groupby(views, lambda view: view["setting"].dataset)],
        configs=config_rows.overview(records, output),
        versions=config_rows.versions(records),
    )


def _summary(records: list[Record], everything: list[Record]) -> list[tuple[str, str]]:
    """What was run, as (term, description)."""
    shots = sorted({record.shots for record in records if record.shots})
    lines = [
        ("Runs", f"{len(records)} finished"),
        ("Protocols", ", ".join(KINDS[kind] for kind in KINDS if any(r.protocol == kind for r in records))),
        ("Data sets", ", ".join(sorted({record.dataset for record in records}))),
        ("Methods", ", ".join(settings.by_method(records))),
        ("Backbones", ", ".join(sorted({str(record.result.get("backbone", "unknown")) for record in records}))),
        ("Shots a class", ", ".join(map(str, shots)) or "none (zero-shot)"),
        ("Seeds", ", ".join(map(str, sorted({r.seed for r in records if r.seed is not None}))) or "none (zero-shot)"),
    ]
    if other := sorted({r.seed for r in everything if r not in records and r.seed is not None}):
        lines.append(("Seeds left out", ", ".join(map(str, other)) + " (not asked for by --seeds)"))
    return lines


def _tables(records: list[Record], seeds: list[int]) -> dict[str, list[Table]]:
    """Each protocol's tables, published numbers beside them; notes without a table go to the one before."""
    found: dict[str, list[Table]] = {}
    for protocol in TITLES:
        for one in tables(protocol, records, compare=True, seeds=seeds):
            if one.rows:
                found.setdefault(protocol, []).append(one)
            else:
                found[protocol][-1].notes += one.notes
    return found


def _figures(records: list[Record], seeds: list[int]) -> list[tuple[str, str, int]]:
    """(name, data URI of an SVG, width in CSS pixels) of upt_clip.tools.tables.plot's pictures."""
    import matplotlib

    from upt_clip.tools.tables import plot, plot_style

    made = []
    with matplotlib.rc_context({**plot_style.SETTINGS, "svg.fonttype": "path", "svg.hashsalt": "upt"}):
        for name, figure in plot.figures(records, seeds).items():
            file = io.BytesIO()
            figure.savefig(file, format="svg", metadata={"Date": None})
            uri = f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"
            made.append((name.replace("_", " "), uri, round(96 * figure.get_size_inches()[0])))
    return made


def view(setting: Setting, count: int) -> dict:
    """All that the template shows of a setting, with up to `count` sample pictures."""
    shown, notes = samples.samples(setting, count)
    classes = setting.class_list()
    methods = []
    for method in setting.methods:
        drawn = matrix.matrix(method, classes)
        pairs = matrix.confused_pairs(method, PAIRS if drawn else PAIRS_WITHOUT_MATRIX)
        methods.append({"method": method, "matrix": drawn, "pairs": pairs})
    return {
        "setting": setting,
        "n_classes": len(classes),
        "per_class": _per_class(setting, classes),
        "methods": methods,
        "samples": [(group, list(members)) for group, members in groupby(shown, lambda sample: sample.group)],
        "notes": [*(note for method in setting.methods for note in method.notes), *notes],
    }


def _per_class(setting: Setting, classes: Iterable) -> list[tuple[str, int, list[tuple[float | None, bool]]]]:
    """(class, test pictures, [(percent, whether it is the best) for each method]), the hardest class first."""
    columns = [method.per_class() for method in setting.methods]
    pictures = [{true: n // max(1, m.tested) for true, n in m.totals().items()} for m in setting.methods]
    rows = []
    for key in classes:
        values = [column.get(key) for column in columns]
        there = [value for value in values if value is not None]
        best = max(there) if min(there) < max(there) else None
        n = max(counts.get(key, 0) for counts in pictures)
        rows.append((sum(there) / len(there), key, n, [(value, value == best) for value in values]))
    return [(key[1], n, values) for _, key, n, values in sorted(rows, key=lambda row: row[:2])]


def main(argv: list[str] | None = None) -> int:
    parser = cli.Parser("report", __doc__)
    add = parser.add_argument
    add("output", metavar="OUTPUT", type=Path, help="the folder of the runs")
    add("--out", type=Path, help="the page to write (default: OUTPUT/report.html)")
    add("--samples", type=int, default=12, help="sample pictures of each data set and protocol (default: 12)")
    add("--seeds", default="1 2 3", help='the seeds that each cell should have (default: "1 2 3")')
    add("--open", action="store_true", help="show the page in the browser")
    args = parser.parse_args(argv)
    if args.samples < 0:
        raise ValueError(f"--samples is {args.samples}, give 0 or more")
    path = args.out or args.output / "report.html"
    text = build(args.output, results.seeds(args.seeds), args.samples)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} for the report: make it, or give another --out")
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8", errors="replace"))
    print(path)
    if args.open:
        webbrowser.open(path.absolute().as_uri())
    return 0
