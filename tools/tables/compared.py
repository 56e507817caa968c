"""Our numbers beside the published ones."""

from upt_clip.tools.tables import published
from upt_clip.tools.tables.cells import AVERAGE, HEADINGS, Entry
from upt_clip.tools.tables.layout import Table


def numbers(protocol: str, e: Entry, h: str, counts: dict[tuple, int]) -> list[published.Number]:
    """What is published for an entry's number; nothing beside other backbones, changed keys and other averages."""
    if e.method.backbone != published.BACKBONE or e.method.variant or e.cell.mean is None:
        return []
    if e.dataset == AVERAGE and counts[(e.source, e.method.backbone)] != published.COUNT.get(protocol):
        return []  # an average over other data sets is no counterpart
    m = e.method
    return published.lookup(protocol, m.trainer, m.cfg, e.registry, e.shots, e.quantity, h)


def sizes(found: list[Entry]) -> dict[tuple, int]:
    """How many data sets an average is over, by source and backbone."""
    sets = {(e.source, e.method.backbone, e.dataset) for e in found if e.dataset not in (AVERAGE, e.source)}
    return {key: sum((s, b) == key for s, b, _ in sets) for key in {(s, b) for s, b, _ in sets}}


def section(protocol: str, found: list[Entry], h: str) -> Table:
    """The second table: our cell, the published number, the difference, the trust mark."""
    rows: list[dict] = []
    sources: dict[str, int] = {}
    without: dict[str, dict[str, None]] = {}
    counts = sizes(found)
    for e in found:
        ours, beside = e.cell.mean, numbers(protocol, e, h, counts)
        if ours is None:
            continue
        if not beside:
            label = f"{e.method.trainer} {e.method.config}"
            without.setdefault(label, {})[e.dataset] = None
        for number in beside:
            line: dict[str, object] = {"data set": e.dataset, "method": e.method.trainer, "config": e.method.config}
            line["shots"] = "-" if e.shots is None else e.shots
            line |= {} if protocol != "base2new" else {"quantity": HEADINGS[e.quantity]}
            difference = f"{ours - number.value:+.2f}" if number.comparable else "other rule of H"
            line |= {"ours": e.cell.text(2), "published": f"{number.value:.2f}", "difference": difference}
            recalled = " (not a fact)" if number.mark == "RECALLED" else ""
            line |= {"mark": number.mark + recalled, "published run": number.method}
            rows.append(line | {"source": f"({sources.setdefault(number.source, len(sources) + 1)})"})
    notes = [f"({i}) {source}" for source, i in sources.items()]
    notes += [f"{m}: {published.MARKS[m]}." for m in published.MARKS if any(r["mark"].startswith(m) for r in rows)]
    notes += ["Difference: ours minus published, in points."] if rows else []
    backbone = found[0].method.backbone
    if without and backbone != published.BACKBONE:
        notes.append(f"No published number for {backbone}: those at hand are for {published.BACKBONE}.")
    elif without:
        lacking = "; ".join(f"{label} ({', '.join(names)})" for label, names in without.items())
        notes.append(f"No published number for some or all cells of: {lacking}.")
    return Table(f"Published numbers beside ours; backbone {backbone}", rows, notes)
