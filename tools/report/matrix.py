"""Where the rectangles and the names of a confusion matrix stand, for an inline SVG; and the most confused pairs."""

from dataclasses import dataclass

from upt_clip.tools.report.settings import Class, Method

LARGEST = 60  # classes; with more of them a cell is too small to be seen
LETTER = 5.6  # pixels, the mean width of one in the names' size
LONGEST_NAME = 26  # letters


@dataclass(frozen=True)
class Cell:
    """One of the pictures' shares: its place in pixels, `share` of the true class in 0..1, and what hovering says."""

    x: int
    y: int
    share: float
    right: bool
    said: str


@dataclass(frozen=True)
class Matrix:
    """Rows are true classes, columns are predicted ones; empty cells are left out. Lengths are in pixels."""

    side: int
    left: int
    top: int
    right: int
    names: list[tuple[str, str, int]]  # short, whole, distance from the corner
    cells: list[Cell]

    @property
    def size(self) -> int:
        return self.side * len(self.names)


def matrix(method: Method, classes: list[Class]) -> Matrix | None:
    """Row-normalised confusions of all seeds; None if there are too many classes or none."""
    if not method.confusion or not 0 < len(classes) <= LARGEST:
        return None
    side = 20 if len(classes) <= 20 else 14 if len(classes) <= 40 else 11
    short = [name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…" for _, name in classes]
    names = [(short[i], name, side * i + side // 2) for i, (_, name) in enumerate(classes)]
    left = round(LETTER * max(map(len, short))) + 12
    place = {key[0]: left + side * i for i, key in enumerate(classes)}
    top = round(0.78 * left) + 8  # the columns' names stand aslant
    totals = method.totals()
    cells = []
    for (true, predicted), n in sorted(method.confusion.items()):
        if predicted[0] not in place:  # never a true class: no column
            continue
        share = n / totals[true]
        said = f"{true[1]} taken for {predicted[1]}: {100 * share:.1f} % ({n} of {totals[true]})"
        x, y = place[predicted[0]], place[true[0]] - left + top
        cells.append(Cell(x, y, round(share, 3), true[0] == predicted[0], said))
    return Matrix(side, left, top, round(0.6 * left), names, cells)


def confused_pairs(method: Method, most: int) -> list[tuple[str, str, float, int, int]]:
    """(true class, predicted class, percent of the true class's pictures, that many, of how many), most often first."""
    totals = method.totals()
    wrong = [(true, said, n) for (true, said), n in method.confusion.items() if true[0] != said[0]]
    wrong.sort(key=lambda item: (-item[2] / totals[item[0]], -item[2], item[:2]))
    return [(true[1], said[1], 100 * n / totals[true], n, totals[true]) for true, said, n in wrong[:most]]
