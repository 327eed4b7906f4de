"""Tables that a benchmark prints, and writes into the section of docs/benchmarks.md or docs/trust.rst that is marked as its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

__all__ = ["PAGE", "TRUST", "MarkedTable", "as_run", "conclude", "write_section"]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
TRUST = PAGE.with_name("trust.rst")


@dataclass
class MarkedTable:
    """Rows under a header, with a title above and remarks below; widths of the columns in percent, for `rst`."""

    title: str
    header: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    widths: Sequence[int] = ()

    def print(self) -> None:
        """Print for the terminal."""
        table = Table(*self.header, title=self.title)
        for row in self.rows:
            table.add_row(*row)
        console = Console(width=150)
        console.print(table)
        for remark in self.remarks:
            console.print(remark, highlight=False, markup=False)

    def markdown(self) -> str:
        """Return the same as Markdown."""
        lines = [f"### {self.title}", "", _line(self.header), "|" + "---|" * len(self.header)]
        lines += [_line(row) for row in self.rows]
        for remark in self.remarks:
            lines += ["", remark]
        return "\n".join(lines)

    def rst(self) -> str:
        """Return the rows as reStructuredText, without the title, which a page there has as its own."""
        lines = [".. list-table::", "   :header-rows: 1"]
        if self.widths:
            lines.append("   :widths: " + " ".join(map(str, self.widths)))
        lines.append("")
        for row in (self.header, *self.rows):
            lines += [f"   {'*' if k == 0 else ' '} - {cell}" for k, cell in enumerate(row)]
        for remark in self.remarks:
            lines += ["", remark]
        return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def write_section(name: str, text: str, page: Path = PAGE) -> None:
    """Put `text` between the marks of a section of the page; raise ValueError where a mark is missing."""
    opening, closing = ("<!-- ", " -->") if page.suffix == ".md" else (".. ", "")
    begin, end = (f"{opening}{name}: {what}{closing}" for what in ("begin", "end"))
    whole = page.read_text(encoding="utf-8")
    if whole.count(begin) != 1 or whole.count(end) != 1 or whole.index(begin) > whole.index(end):
        raise ValueError(f"{page.name} must hold the marks {begin} and {end} once, in this order")
    before, rest = whole.split(begin)
    _, after = rest.split(end)
    gap = "\n" if page.suffix == ".md" else "\n\n"  # a comment of reStructuredText ends at a blank line
    page.write_text(f"{before}{begin}{gap}{text.strip()}{gap}{end}{after}", encoding="utf-8")


def as_run() -> str:
    """Return the command that is running, as it stands beside its numbers."""
    return " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])


def conclude(section: str, table: MarkedTable, notes: Sequence[str], *, write: bool) -> None:
    """Print a table of docs/trust.rst and what is to be said beside it, and write the table if asked to."""
    table.print()
    for line in notes:
        print(line)
    if write:
        write_section(section, table.rst(), TRUST)
