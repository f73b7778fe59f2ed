"""A survey for the terminal: the table of its matrices, and the progress bar of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lipop.report.numbers import read
from lipop.report.plain import printable
from lipop.report.terminal import colour, outward

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One line a matrix under the name of its block: shape, bracket of the norm, status, stable rank, seconds.

    Parameters
    ----------
    rows : sequence of mapping
        Entries of a survey. Their strings are printed as they are, never as markup.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("matrix", "shape", "|A|", "status", "stable rank", "s"):
        left = name in ("matrix", "status")
        out.add_column(name, justify="left" if left else "right", overflow="fold", no_wrap=name != "matrix")
    block = None
    for row in rows:
        if row["block"] != block:
            out.add_section()
            block = row["block"]
            if block is not None:
                out.add_row(Text(printable(str(block)), style="bold"))
        norm, rank = row["norm"], row["stable_rank"]
        status = str(norm["status"])
        name = str(row["name"])
        out.add_row(
            Text(printable(name if block is None else name.removeprefix(f"{block}.").removesuffix(".weight"))),
            Text("x".join(str(n) for n in row["shape"])),
            Text(_ends(norm)),
            Text(status.partition("(")[0].lower(), style=colour(status)),
            Text("-" if rank is None else _ends(rank, digits=3)),
            Text(f"{row['seconds']:.2f}"),
        )
    return out


def _ends(entry: Mapping[str, Any], digits: int = 5) -> str:
    low, high = read(entry["lower"]), read(entry["upper"])
    return f"{outward(low, down=True, digits=digits)} .. {outward(high, down=False, digits=digits)}"


def summary(rows: Sequence[Mapping[str, Any]], taken: int = 0) -> str:
    """One line: how many matrices, their bytes, the time spent on them, and how often and how fast they were read."""
    nbytes, seconds = sum(r["bytes"] for r in rows), sum(r["seconds"] for r in rows)
    reads = sum(r["bytes"] * r["passes"] for r in rows)
    often = f", each byte read {reads / nbytes:.0f} times at {speed(reads, seconds)}" if nbytes and seconds else ""
    earlier = f"; {taken} taken from an earlier run" if taken else ""
    sure = sorted({str(r["norm"]["status"]).lower() for r in rows}, reverse=True)
    return f"{len(rows)} matrices, {' and '.join(sure)}: {_bytes(nbytes)}, {seconds:.1f} s{often}{earlier}"


def _bytes(count: float) -> str:
    """Bytes in words.

    >>> _bytes(16.1e9), _bytes(350)
    ('16.1 GB', '350 B')
    """
    scale, unit = next(((s, u) for s, u in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if count >= s), (1.0, "B"))
    return f"{count / scale:.1f} {unit}" if scale > 1 else f"{count:.0f} B"


def progress(console: Console) -> Progress:
    """A bar in bytes of the file, with the matrix in progress, the speed at which matrices are read, and the time left.

    Tasks carry the fields ``matrix`` (a name) and ``speed`` (a text).
    """
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Field(ProgressColumn):
        """A field of the task as plain text."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def render(self, task: Any) -> Text:
            return Text(printable(str(task.fields[self.name])), style="dim")

    class Done(ProgressColumn):
        """Bytes done and to do."""

        def render(self, task: Any) -> Text:
            return Text(f"{_bytes(task.completed)} of {_bytes(task.total or 0)}")

    left = TextColumn("left", style="dim")
    columns = (BarColumn(), Done(), Field("speed"), TimeRemainingColumn(), left, Field("matrix"))
    shown = console.is_terminal and not console.quiet
    return Progress(*columns, console=console, transient=True, disable=not shown)


def speed(nbytes: float, seconds: float) -> str:
    """How fast, or nothing before anything is known.

    >>> speed(3e9, 2.0), speed(0, 0.0)
    ('1.5 GB/s', '')
    """
    return f"{_bytes(nbytes / seconds)}/s" if seconds > 0 else ""


__all__ = ["progress", "speed", "summary", "table"]
