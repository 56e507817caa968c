"""Which data sets a protocol has, and which runs belong into its tables."""

from collections.abc import Iterable

from upt_clip.tools.tables.results import Record, method

PAPER_SETS = (
    "imagenet", "caltech101", "oxford_pets", "stanford_cars", "oxford_flowers", "food101", "fgvc_aircraft", "sun397",
    "dtd", "eurosat", "ucf101",
)  # fmt: skip
SHIFTS = {
    "imagenet": ("imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r"),
    "emoji": ("emoji_openmoji", "emoji_fluent"),
}
CROSS = {"imagenet": PAPER_SETS[1:], "emoji": ("emoji_fine",)}
TARGETS = {"domain_generalization": SHIFTS, "cross_dataset": CROSS}


def without_variants(records: list[Record]) -> list[Record]:
    """Drops the runs with changed keys of a config that also ran as it is: these belong to the ablation."""
    plain = {(r.trainer, r.cfg) for r in records if not r.variant}
    return [r for r in records if not r.variant or (r.trainer, r.cfg) not in plain]


def tables(protocol: str, records: list[Record]) -> Iterable[tuple[str, list[str], list[Record]]]:
    """For each backbone (and source): the source, the data sets in order, the records."""
    for backbone in sorted({r.result.get("backbone", "") for r in records}):
        mine = [r for r in records if r.result.get("backbone", "") == backbone]
        trained = [r for r in mine if r.protocol == "few_shot"]
        zero_shot = [r for r in mine if r.protocol == "zero_shot"]
        if protocol in TARGETS:
            for source, targets in TARGETS[protocol].items():
                moved = [r for r in mine if r.protocol == "evaluation" and r.dataset in targets]
                rows = {(method(r), r.shots) for r in moved}
                start = [r for r in trained if r.dataset == source and (method(r), r.shots) in rows]
                fixed = [r for r in zero_shot if r.dataset in (source, *targets)] if moved else []
                if moved:
                    yield source, [source, *targets], fixed + start + moved
            continue
        if protocol == "base2new":
            chosen = [r for r in mine if r.protocol == "base2new"]
        elif protocol == "ablation":
            varied = {(r.dataset, r.trainer, r.shots) for r in trained if r.variant}
            chosen = [r for r in trained if (r.dataset, r.trainer, r.shots) in varied]
        else:
            chosen = without_variants(trained)
            sets = {r.dataset for r in chosen}
            chosen = without_variants([r for r in zero_shot if r.dataset in sets or not trained]) + chosen
        if chosen:
            yield "", sorted({r.dataset for r in chosen}), chosen


def left_out(protocol: str, records: list[Record], expected_seeds: Iterable[int] | None) -> list[str]:
    """What a reader may look for in the table in vain, one sentence each."""
    notes = []
    if protocol == "few_shot":
        trained = [r for r in records if r.protocol == "few_shot"]
        n = len({(method(r), r.dataset) for r in trained} - {(method(r), r.dataset) for r in without_variants(trained)})
        notes += [f"Not in this table but in the ablation's: {n} x a config with changed keys."] if n else []
    seeds = {r.seed for r in records if r.seed is not None} - set(expected_seeds or ()) if expected_seeds else ()
    notes += [f"Not asked for and left out: seeds {' '.join(map(str, sorted(seeds)))} (--seeds)."] if seeds else []
    return notes
