"""The table of a protocol, from the result.json files below an output folder; nothing incomplete is averaged.

upt-clip table few_shot output                         also base2new, domain_generalization, cross_dataset
upt-clip table base2new output --format latex          and ablation
upt-clip table few_shot output --compare               with the published numbers and their trust marks
"""

import csv
import io
from itertools import groupby
from pathlib import Path

from upt_clip import cli, messages
from upt_clip.tools.tables import cells, compared, results, selection
from upt_clip.tools.tables.cells import AVERAGE, HEADINGS, Entry
from upt_clip.tools.tables.layout import LAYOUTS, Table
from upt_clip.tools.tables.results import Record

FORMATS = (*LAYOUTS, "csv")
CSV_HEAD = [
    *("protocol", "backbone", "source", "dataset", "method", "config", "variant", "shots", "quantity"),
    *("mean", "std", "seeds", "expected_seeds", "complete", "trainable_parameters"),
]
CSV_PUBLISHED = ["published", "difference", "mark", "published_method", "published_source"]
TITLES = {
    "few_shot": "Few-shot, test accuracy in percent by shots a class (0: zero-shot)",
    "base2new": "Base to new, accuracy in percent on the base and the new classes, and their harmonic mean H",
    "domain_generalization": "Domain generalization, accuracy in percent, trained on {source}",
    "cross_dataset": "Cross-dataset transfer, accuracy in percent, trained on {source}",
    "ablation": "Ablation, few-shot test accuracy in percent",
}
H_NOTES = {
    "of-means": "H: harmonic mean of the mean Base and the mean New, also on average; its ± is that of the seeds' H.",
    "mean-of-h": "H: harmonic mean of the mean Base and the mean New, on average the mean of the data sets' H; "
    "its ± is that of the seeds' H.",
}


def tables(
    protocol: str, records: list[Record], compare: bool = False, seeds: list[int] | None = None, h: str = "of-means"
) -> list[Table]:
    """A table for each backbone and source, with `compare` the published numbers behind it; none if there is no run.

    The arguments are those of `render`; `seeds` is its `expected_seeds`.
    """
    found = cells.entries(protocol, records, seeds, h)
    blocks = []
    for (backbone, source), members in groupby(found, lambda entry: (entry.method.backbone, entry.source)):
        group = list(members)
        title = f"{TITLES[protocol].format(source=source)}; backbone {backbone or 'unknown'}"
        blocks.append(Table(title, _pivot(protocol, group), _notes(protocol, group, h)))
        if compare:
            blocks.append(compared.section(protocol, group, h))
    if blocks and (left_out := selection.left_out(protocol, records, seeds)):
        blocks.append(Table("", [], left_out))
    return blocks


def render(
    protocol: str,
    records: list[Record],
    fmt: str = "text",
    compare: bool = False,
    expected_seeds: list[int] | None = None,
    h: str = "of-means",
) -> str:
    """The table of a protocol as text, md, csv (tidy, unrounded) or latex (booktabs); "" if there is no run of it.

    `expected_seeds` None stands for all seeds found. `h` "mean-of-h" averages the data sets' H.

    Raises:
        ValueError: unknown protocol, format or rule.
    """
    if fmt not in FORMATS:
        raise ValueError(f'unknown format "{fmt}", choose one of {", ".join(FORMATS)}')
    if fmt == "csv":
        return _csv(protocol, cells.entries(protocol, records, expected_seeds, h), compare, h)
    blocks = tables(protocol, records, compare, expected_seeds, h)
    return "\n\n".join(block.text(fmt) for block in blocks) + "\n" * bool(blocks)


def _pivot(protocol: str, found: list[Entry]) -> list[dict]:
    """One dict a row, by heading."""
    single = len({e.dataset for e in found} - {AVERAGE, found[0].source}) == 1
    found = [e for e in found if not (single and e.dataset == AVERAGE)]
    names = list(dict.fromkeys(e.dataset for e in found))
    by_shots, by_set = protocol == "few_shot", protocol not in ("few_shot", "base2new")
    columns = sorted({e.shots or 0 for e in found}) if by_shots else names if by_set else ["Base", "New", "H"]
    rows: dict[tuple, dict] = {}
    for e in sorted(found, key=lambda e: 0 if by_set else names.index(e.dataset)):  # stable: the methods keep order
        row = (e.method, e.shots) if by_set else (e.dataset, e.method) if by_shots else (e.dataset, e.method, e.shots)
        rows.setdefault(row, {})[e.dataset if by_set else e.shots or 0 if by_shots else HEADINGS[e.quantity]] = e
    return [_line(protocol, members, columns) for members in rows.values()]


def _line(protocol: str, members: dict, columns: list) -> dict:
    e = next(iter(members.values()))
    line = {} if protocol in (*selection.TARGETS, "ablation") else {"data set": e.dataset}
    line["method"] = e.method.trainer
    if protocol == "ablation":
        line |= {"config": e.method.cfg, "change": results.readable(e.method.variant) or "none"}
    else:
        line["config"] = e.method.config
    if protocol != "few_shot":
        line["shots"] = "-" if e.shots is None else e.shots
    if protocol == "ablation":
        line["trained parameters"] = " to ".join(f"{n:,}" for n in sorted({e.parameters[0], e.parameters[-1]}))
    line |= {str(column): members[column].cell.text() if column in members else "" for column in columns}
    seeds = [m.cell for m in members.values() if m.dataset != AVERAGE or m.cell.values]
    counts = sorted({len(cell.values) for cell in seeds} or {0})
    asked = e.cell.expected
    whole = counts[0] == counts[-1] == len(asked)
    count = " to ".join(map(str, sorted({counts[0], counts[-1]})))
    line["seeds"] = "-" if asked == (None,) else count if whole else f"{count} of {len(asked)}"
    return line


def _notes(protocol: str, found: list[Entry], h: str) -> list[str]:
    asked = next((e.cell.expected for e in found if e.cell.expected != (None,)), ())
    notes = [
        f"Cells: {results.SPREAD} {' '.join(map(str, asked))}; [n of m]: n of m seeds are there, the rest is missing; "
        "a dash: no run, or no average. Zero-shot CLIP has no seed.",
        "Average: over the data sets" + (" without the source" if found[0].source else "") + ", only where every "
        "data set has every seed; its ± is that of the seeds' averages.",
    ]
    notes += [H_NOTES[h]] if protocol == "base2new" else []
    refused: dict[tuple[str, str], list[str]] = {}
    for e in found:
        if e.dataset == AVERAGE and e.cell.reason:
            shots = "" if e.shots is None else f" at {messages.shots_text(e.shots)}"
            refused.setdefault((f"{e.method.trainer} {e.method.config}{shots}", e.cell.reason), []).append(e.quantity)
    for (label, reason), quantities in refused.items():
        only = f" {HEADINGS[quantities[0]]}" if quantities == ["base"] or quantities == ["new"] else ""
        notes.append(f"No average{only} of {label}, seeds there: {reason}.")
    return notes


def _csv(protocol: str, found: list[Entry], compare: bool, h: str) -> str:
    """One line a number; with `compare` one line for each published number beside it, or one without."""
    if not found:
        return ""
    file = io.StringIO()
    head = CSV_HEAD + (CSV_PUBLISHED if compare else [])
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    sizes = compared.sizes(found)
    for e in found:
        m, c = e.method, e.cell
        line: list = [protocol, m.backbone, e.source, e.dataset, m.trainer, m.cfg, m.variant, e.shots, e.quantity]
        asked = "" if c.expected == (None,) else len(c.expected)
        line += [c.mean, c.std, "" if asked == "" else len(c.values), asked, str(c.complete and c.mean is not None)]
        line.append(e.parameters[0] if len(e.parameters) == 1 else "")
        numbers: list = compared.numbers(protocol, e, h, sizes) if compare else []
        for n in numbers or [None]:
            difference = c.mean - n.value if n and n.comparable and c.mean is not None else ""
            extra = [n.value, difference, n.mark, n.method, n.source] if n else [""] * 5
            writer.writerow(line + (extra if compare else []))
    return file.getvalue()


def main(argv: list[str] | None = None) -> int:
    parser = cli.Parser("table", __doc__)
    add = parser.add_argument
    add("protocol", metavar="PROTOCOL", help=", ".join(cells.PROTOCOLS))
    add("output", metavar="OUTPUT", help="the folder of the runs")
    add("--format", default="text", help=f"{', '.join(FORMATS)} (default: text)")
    add("--compare", action="store_true", help="the published number, its source and trust mark, the difference")
    add("--seeds", default="1 2 3", help='the seeds that each cell should have (default: "1 2 3")')
    add("--h", default="of-means", help=f"{' or '.join(cells.RULES)}: the average's H in base2new")
    args = parser.parse_args(argv)
    seeds = results.seeds(args.seeds)
    if not Path(args.output).is_dir():
        raise FileNotFoundError(f"no folder {args.output}: give the output folder of the runs")
    text = render(args.protocol, results.scan(args.output), args.format, args.compare, seeds, args.h)
    if not text:
        raise ValueError(f"no finished {args.protocol} run below {args.output}: run scripts/upt/reproduce.sh first")
    print(text, end="")
    return 0
