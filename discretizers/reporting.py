"""How the reports of this package show themselves: plain text, rich, HTML, JSON."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from filippov.storing.whole_files import replacing

if TYPE_CHECKING:
    from rich.table import Table as RichTable

__all__ = ["Report", "Rows", "number"]


def number(value: float) -> str:
    """Return a number with three digits; "-" for nan, which stands for "does not apply"."""
    return "-" if np.isnan(value) else f"{value:.3g}"


@dataclass(frozen=True)
class Rows:
    """A table before it is drawn.

    Attributes
    ----------
    title : str
    header : sequence of str
        Empty for a list of names and values.
    rows : sequence of sequences of str
    notes : sequence of str
        Sentences below the table.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


class Report(ABC):
    """A result that shows itself: one table, one dictionary."""

    @abstractmethod
    def rows(self) -> Rows:
        """Return what the tables show."""

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""

    def table(self) -> str:
        """Return the report as a plain text table."""
        shown = self.rows()
        lines = [list(row) for row in ([shown.header, *shown.rows] if shown.header else shown.rows)]
        widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))] if lines else []
        body = [
            "  " + "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        if shown.header:
            body.insert(1, "  " + "  ".join("-" * w for w in widths))
        return "\n".join([shown.title, *body, *shown.notes])

    def rich_table(self) -> RichTable:
        """Return the report as a `rich.table.Table`, for ``rich.print``."""
        from rich.markup import escape as literal
        from rich.table import Table

        shown = self.rows()
        caption = literal("\n".join(shown.notes)) or None
        drawn = Table(title=literal(shown.title), caption=caption, show_header=bool(shown.header))
        for name in shown.header or [""] * len(shown.rows[0]):
            drawn.add_column(literal(name))
        for row in shown.rows:
            drawn.add_row(*(literal(cell) for cell in row))
        return drawn

    def to_json(self, path: str | PathLike[str]) -> Path:
        """Write `as_dict` as JSON (null where a number is not finite) and return the path."""
        target = Path(path)
        text = json.dumps(_plain(self.as_dict()), indent=2, allow_nan=False) + "\n"
        with replacing(target) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return target

    def __repr__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        shown = self.rows()
        head = "".join(f"<th>{escape(name)}</th>" for name in shown.header)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in shown.rows
        )
        notes = "".join(f"<p>{escape(note)}</p>" for note in shown.notes)
        return f"<table><caption>{escape(shown.title)}</caption><tr>{head}</tr>{body}</table>{notes}"


def _plain(value: Any) -> Any:
    """Return nested values with numpy's turned into Python's, and numbers that are not finite into None."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, bool | np.bool_):
        return bool(value)
    return int(value) if isinstance(value, np.integer) else value
