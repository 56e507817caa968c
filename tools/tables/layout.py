"""A titled table and how it is laid out as text, Markdown or LaTeX."""

from dataclasses import dataclass

from tabulate import tabulate

LAYOUTS = {"text": "simple", "md": "pipe", "latex": "latex_booktabs"}  # tabulate's names for them
WORDS = ("data set", "method", "config", "change", "mark", "published run")  # columns that hold no numbers


@dataclass
class Table:
    """A title, one dict a row by heading, and the notes below; without rows it is notes alone."""

    title: str
    rows: list[dict]
    notes: list[str]

    @property
    def right(self) -> list[bool]:
        """Whether a column stands at the right, as numbers do."""
        return [word not in WORDS for word in self.rows[0]] if self.rows else []

    def text(self, layout: str) -> str:
        """The table in one of `LAYOUTS`."""
        title, notes, aligned = self.title, self.notes, ["right" if right else "left" for right in self.right]
        table = tabulate(self.rows, "keys", LAYOUTS[layout], disable_numparse=True, colalign=aligned or None)
        if layout == "md":
            title, notes = title and f"**{title}**", [f"- {note}" for note in notes]
        if layout == "latex":
            lines = [title and f"\\noindent {_tex(title)}\\par", _symbols(table)]
            return "\n".join(filter(None, [*lines, *(f"\\par\\noindent{{\\footnotesize {_tex(n)}}}" for n in notes)]))
        return "\n\n".join(filter(None, [title, table, "\n".join(notes)]))


def _tex(text: str) -> str:
    return _symbols("".join(f"\\{c}" if c in "&%$#_{}" else c for c in text))


def _symbols(text: str) -> str:
    """The characters beyond ASCII that tables hold, as LaTeX writes them."""
    return text.replace("±", r"$\pm$").replace("—", "--")
