"""Committed results to the tables and plots of the documentation; nobody types a number.

    python benchmarks/figures.py [RESULTS [PAGE.html]]

writes a page to look at. `docs/_ext/lipop_benchmarks.py` makes the documentation's page from the same functions.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bandwidth import READ
from harness import RESULTS, duration

from lipop.report.axes import Scale, round_range
from lipop.report.markup import Markup, join, tag
from lipop.report.svg import figure, line, path, words

Row = Mapping[str, Any]
STYLE = """
.bench { font: 12px sans-serif; max-width: 100%; height: auto; }
.bench text { fill: currentColor; } .bench .grid { stroke: currentColor; opacity: 0.15; }
.bench .title { font-weight: 600; } .bench path { fill: none; stroke-width: 1.6; } .bench path.thin { stroke-width: 1; }
.bench .roof { stroke: currentColor; stroke-dasharray: 5 3; }
""" + "".join(
    f".bench .c{i} {{ stroke: {c}; }} .bench circle.c{i} {{ fill: {c}; }}\n"
    for i, c in enumerate(["#1f77d0", "#d55e00", "#0a9470", "#b8559a", "#c28a00", "#3fa7d6", "#8a6f4d", "#808080"])
)
LEFT, TOP, WIDTH, HEIGHT, LEGEND = 70.0, 30.0, 480.0, 300.0, 15.0


BYTES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column names contenders, or sizes where there are many."""

    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]


@dataclass(frozen=True)
class Series:
    """One contender at several sizes: (size, q1, median, q3)."""

    name: str
    points: list[tuple[float, float, float, float]]


# ---- reading ----


def load(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Every document in the common format, by name."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    return [document for document in found if document.get("format") == 1]


def groups(rows: Sequence[Row]) -> dict[tuple, list[Row]]:
    """Rows that belong into one table (or plot): all that differ in sizes and contender only."""
    out: dict[tuple, list[Row]] = {}
    for row in rows:
        out.setdefault(tuple(row.get(key) for key in ("question", "case", "dtype", "rtol")), []).append(row)
    return out


def title(row: Row) -> str:
    """What the rows of a group are about."""
    about = [str(row["case"])] + [str(row[k]) for k in ("dtype",) if row.get(k)]
    about += [f"to {row['rtol']:g}"] if row.get("rtol") else []
    return f"{row['question']}: {', '.join(about)}"


def size(row: Row) -> str:
    """The sizes of a row in words.

    >>> size({"n": 768, "m": 3072}), size({"n": 64, "m": 64}), size({"n": 384, "T": 16})
    ('3072 x 768', 'n = 64', 'n = 384, T = 16')
    """
    m, n = row.get("m"), row.get("n")
    parts = [f"{m} x {n}" if m is not None and m != n else f"n = {n}"] if n is not None else []
    return ", ".join(parts + ([f"T = {row['T']}"] if row.get("T") is not None else []))


def environment(document: Mapping[str, Any]) -> str:
    """Machine, versions, commit, threads in one sentence."""
    m = document["machine"]
    libraries = ("numpy", "scipy", "numba", "torch", "scikit-learn", "eclipse-nn")
    parts = [
        f"{m['cpu']}, {m['cores']} cores, {m['memory_gb']:g} GB",
        ", ".join(f"{count} {name} threads" for name, count in m["threads"].items()),
        ", ".join([f"python {m['python']}", *(f"{k} {m[k]}" for k in libraries if m.get(k)), *m["blas"]]),
        f"commit {str(m['commit'])[:10]}{' with changes' if m['dirty'] else ''}, {m['date']}, load {m['load'][0]:g}",
    ]
    return "; ".join(parts) + ("." if document["size"] == "full" else f"; a {document['size']} run, not for quoting.")


# ---- tables ----


def tables(document: Mapping[str, Any]) -> Iterator[Table]:
    """For every group the ratios by contender and size, with quartiles; then the fitted exponents, if there are any."""
    for rows in groups(document["rows"]).values():
        sizes = list(dict.fromkeys(size(r) for r in rows))
        cells = {(r["contender"], size(r)): ratio(r) for r in rows}
        names = list(dict.fromkeys(r["contender"] for r in rows))
        if len(sizes) > max(len(names), 4):  # one row for each size
            yield Table(title(rows[0]), ("", *names), [(s, *(cells.get((c, s), "") for c in names)) for s in sizes])
        else:
            yield Table(title(rows[0]), ("", *sizes), [(c, *(cells.get((c, s), "") for s in sizes)) for c in names])
    fits = document["extra"].get("fits", [])
    if fits:
        head = ("", "measured exponent (95 %)", "larger half of the sizes", "theory")
        yield Table("Exponents", head, [exponent(f) for f in fits])


def ratio(row: Row) -> str:
    """A cell: the ratio to the baseline with its quartiles; the baseline's own time."""
    if row["median"] is None:
        return f"failed ({row['failed'].partition(':')[0]})"
    if row["contender"] == row["baseline"]:
        return f"{duration(row['median'])} ({duration(row['q1'])} – {duration(row['q3'])})"
    return f"x {short(row['ratio'])} ({short(row['ratio_q1'])} – {short(row['ratio_q3'])})"


def short(value: float) -> str:
    """Three digits, or all before the point.

    >>> short(0.01234), short(12.34), short(1234.5)
    ('0.0123', '12.3', '1234')
    """
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def byte_count(value: float) -> str:
    """A number of bytes.

    >>> byte_count(262144), byte_count(5e9)
    ('262 kB', '5 GB')
    """
    return next(f"{short(value / unit)} {name}" for unit, name in BYTES if value >= unit or unit == 1.0)


def per_second(value: float) -> str:
    """A rate of reading."""
    return f"{byte_count(value)}/s"


def exponent(fit: Mapping[str, Any]) -> tuple[str, ...]:
    """A row of the table of exponents."""
    tail = "" if fit["tail"] is None else f"{fit['tail']:.2f}"
    measured = f"{fit['exponent']:.2f} ({fit['low']:.2f} – {fit['high']:.2f})"
    return f"{fit['contender']}, {fit['case']}, in {fit['variable']}", measured, tail, f"{fit['theory']:.2f}"


# ---- plots ----


def plots(document: Mapping[str, Any]) -> Iterator[Markup]:
    """Time against size for every group with three sizes or more; the roofline of those that say what they read."""
    for number, rows in enumerate(groups(document["rows"]).values()):
        name = f"{document['name']}-{number}"
        variable = "T" if len({r.get("T") for r in rows}) > 1 else "n"
        square = variable == "T" or all(r.get("m") in (None, r.get("n")) for r in rows)
        done = [r for r in rows if r["median"] is not None and r.get(variable) is not None]
        if square and len({r[variable] for r in done}) >= 3:
            series = by_contender((r["contender"], r[variable], r["q1"], r["median"], r["q3"]) for r in done)
            yield chart(f"{name}-time", f"Time against {variable}. {title(rows[0])}", series, variable, duration)
        reads = [r for r in rows if r.get("bytes") and r["median"]]
        if len({r["contender"] for r in reads}) > 1 and any(r["contender"] == READ for r in reads):
            rates = [[r["bytes"] / r[q] for q in ("q3", "median", "q1")] for r in reads]
            series = by_contender((r["contender"], r["bytes"], *rate) for r, rate in zip(reads, rates, strict=True))
            heading = f"Roofline: bytes read a second. {title(rows[0])}"
            yield chart(f"{name}-roofline", heading, series, "read at least", per_second, byte_count)


def by_contender(points: Iterator[tuple[str, float, float, float, float]]) -> list[Series]:
    """Points collected by name, in order of size."""
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for name, *point in points:
        found.setdefault(name, []).append((point[0], point[1], point[2], point[3]))
    return [Series(name, sorted(p)) for name, p in found.items()]


def chart(
    name: str,
    heading: str,
    series: Sequence[Series],
    variable: str,
    tick: Callable[[float], str],
    x_tick: Callable[[float], str] = "{:.6g}".format,
) -> Markup:
    """Medians joined by lines, quartiles as bars, both axes logarithmic; one read of the data is dashed: the roof."""
    points = [p for s in series for p in s.points]
    right, bottom = LEFT + WIDTH, TOP + HEIGHT
    sizes = sorted({p[0] for p in points})
    x = Scale(sizes[0] / 1.15, sizes[-1] * 1.15, LEFT, right, log=True)
    y = round_range(min(p[1] for p in points), max(p[3] for p in points), bottom, TOP)
    parts: list[Markup] = [words(LEFT, TOP - 12, heading, "title")]
    parts += [join((line(LEFT, y(v), right, y(v), "grid"), words(LEFT - 6, y(v) + 4, tick(v), anchor="end")))
              for v in y.ticks(7)]  # fmt: skip
    shown = sizes if len(sizes) <= 9 else x.ticks(9)
    parts += [join((line(x(v), TOP, x(v), bottom, "grid"), words(x(v), bottom + 16, x_tick(v), anchor="middle")))
              for v in shown]  # fmt: skip
    parts.append(words(right, bottom + 32, variable, anchor="end"))
    for i, s in enumerate(series):
        style = "roof" if s.name == READ else f"c{i % 8}"
        thin = "" if s.name.startswith("lipop") or s.name == READ else " thin"
        at = bottom + 52 + LEGEND * i
        drawn = [path([(x(p[0]), y(p[2])) for p in s.points], style + thin) if len(s.points) > 1 else None]
        drawn += [line(x(p[0]), y(p[1]), x(p[0]), y(p[3]), style) for p in s.points]
        drawn += [tag("circle", cx=x(p[0]), cy=y(p[2]), r=2.6, class_=style) for p in s.points]
        parts.append(tag("g", tag("title", f"{s.name}: {', '.join(tick(p[2]) for p in s.points)}"), *drawn))
        parts += [line(LEFT, at - 4, LEFT + 22, at - 4, style + thin), words(LEFT + 28, at, s.name)]
    text = f"{len(series)} contenders at {len(sizes)} sizes; medians with quartiles; the table holds the ratios."
    height = bottom + 60 + LEGEND * len(series)
    return figure(name, heading, text, right + 30, height, *parts, class_="bench")


# ---- a page to look at ----


def page(documents: Sequence[Mapping[str, Any]]) -> Markup:
    """All tables and plots as one HTML page."""
    parts = [tag("style", Markup(STYLE))]
    for document in documents:
        parts += [tag("h2", document["title"] or document["name"]), tag("p", environment(document))]
        for t in tables(document):
            body = [tag("tr", *(tag("td", c) for c in row)) for row in t.rows]
            parts += [tag("h3", t.title), tag("table", tag("tr", *(tag("th", c) for c in t.head)), *body)]
        parts += plots(document)
    return join([Markup("<!doctype html><meta charset='utf-8'>"), *parts])


def main(argv: Sequence[str]) -> None:
    """Write the page."""
    folder = Path(argv[0]) if argv else RESULTS
    out = Path(argv[1]) if len(argv) > 1 else Path("build") / "benchmarks.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(load(folder)))
    print(out)


if __name__ == "__main__":
    main(sys.argv[1:])
