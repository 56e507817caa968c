"""The tables of tools.table as parts that a page can be made of."""

import re
from dataclasses import dataclass, field

from tools import cells, table
from tools.results import Record

NUMBERS_ALIGN = re.compile(r"-+:")


@dataclass
class Table:
    """A titled table: `right` says for each column whether it holds numbers. Any part may be empty."""

    title: str = ""
    head: list[str] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def tables(records: list[Record], seeds: list[int]) -> dict[str, list[Table]]:
    """The tables of each protocol that has runs, published numbers beside them; `seeds`: what a cell should have."""
    texts = {
        protocol: table.render(protocol, records, "md", compare=True, expected_seeds=seeds)
        for protocol in cells.PROTOCOLS
    }
    return {protocol: parse(text) for protocol, text in texts.items() if text}


def parse(text: str) -> list[Table]:
    """Reads the Markdown of table.render: paragraphs "**title**", pipe tables and "- " notes."""
    found: list[Table] = []
    for paragraph in filter(None, text.strip().split("\n\n")):
        if paragraph.startswith("**"):
            found.append(Table(paragraph.strip("*")))
            continue
        if not found or found[-1].notes:
            found.append(Table())
        if paragraph.startswith("|"):
            head, rule, *rows = (_cells(line) for line in paragraph.splitlines())
            found[-1].head, found[-1].rows = head, rows
            found[-1].right = [bool(NUMBERS_ALIGN.fullmatch(mark)) for mark in rule]
        else:
            found[-1].notes = [line.removeprefix("- ") for line in paragraph.splitlines()]
    return found


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
