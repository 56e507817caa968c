"""The tables of upt-clip table as parts that a page can be made of."""

import re
from dataclasses import dataclass, field

from upt_clip.tools.tables import cells, table
from upt_clip.tools.tables.results import Record

NUMBERS_ALIGN = re.compile(r"-+:")


@dataclass
class Table:
    """A titled table: `right` says for each column whether it holds numbers."""

    title: str
    head: list[str]
    right: list[bool]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)


def tables(records: list[Record], seeds: list[int]) -> dict[str, list[Table]]:
    """The tables of each protocol that has runs, published numbers beside them; `seeds`: what a cell should have."""
    texts = {
        protocol: table.render(protocol, records, "md", compare=True, expected_seeds=seeds)
        for protocol in cells.PROTOCOLS
    }
    return {protocol: parse(text) for protocol, text in texts.items() if text}


def parse(text: str) -> list[Table]:
    """Reads the Markdown of table.render: paragraphs "**title**", pipe tables and "- " notes.

    Notes that no table stands above go to the table before them, without their title.
    """
    found: list[Table] = []
    title = ""
    for paragraph in filter(None, text.strip().split("\n\n")):
        lines = paragraph.splitlines()
        if paragraph.startswith("**"):
            title = paragraph.strip("*")
        elif paragraph.startswith("|"):
            head, rule, *rows = map(_cells, lines)
            found.append(Table(title, head, [bool(NUMBERS_ALIGN.fullmatch(mark)) for mark in rule], rows))
        else:
            found[-1].notes += [line.removeprefix("- ") for line in lines]
    return found


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
