"""``lipop scaling fit`` and ``lipop scaling plan``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lipop.errors import DomainError
from lipop.report.plain import printable

if TYPE_CHECKING:
    from lipop.scaling.law import ScalingLaw

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=False,
    help="Fit scaling laws to runs, and plan with them.",
)

LawOption = Annotated[str, typer.Option("--law", help="chinchilla, kaplan, limit, two-phase, ...")]
BudgetOption = Annotated[list[float] | None, typer.Option("--budget", help="in the law's cost unit; may be repeated")]


@app.command()
def fit(
    runs: Annotated[Path, typer.Argument(help="CSV file, its first line the names of its columns")],
    law: LawOption,
    x: Annotated[list[str], typer.Option("--x", help="VARIABLE=COLUMN, once for each variable of the law")],
    y: Annotated[str, typer.Option("--y", help="the column of the measured quantity")],
    fix: Annotated[list[str] | None, typer.Option("--fix", help="PARAMETER=VALUE, which is not fitted")] = None,
    bootstrap: Annotated[int, typer.Option("--bootstrap", min=0, help="resamples; 0: profile likelihood")] = 0,
    delta: Annotated[float, typer.Option("--delta", help="width of Huber's loss; 0: squares")] = 1e-3,
    level: Annotated[float, typer.Option("--level", help="of the intervals")] = 0.95,
    starts: Annotated[str | None, typer.Option("--starts", help='a number, or "grid"')] = None,
    compare: Annotated[list[str] | None, typer.Option("--compare", help="another law; may be repeated")] = None,
    budget: BudgetOption = None,
    duplicates: Annotated[bool, typer.Option("--duplicates", help="keep rows that are the same")] = False,
    seed: Annotated[int, typer.Option("--seed", help="of resamples and random starts")] = 0,
    out: Annotated[Path | None, typer.Option("--out", help="folder for fit.json and fit.html")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="print errors only")] = False,
) -> None:
    """Fit a law to measured runs."""
    from lipop.report import files
    from lipop.report.scaling import document, plan
    from lipop.report.scaling_page import render
    from lipop.scaling import comparison
    from lipop.scaling.fitting import fit as run
    from lipop.scaling.laws import by_name
    from lipop.scaling.table import read_csv

    chosen = _fixed(by_name(law), fix or [])
    mapping = {**_pairs(x, "--x"), chosen.target: y}
    table = read_csv(runs, mapping)
    others = [by_name(name) for name in compare or []]
    options: dict[str, Any] = {
        "delta": delta or None,
        "starts": _starts(starts),
        "seed": seed,
        "duplicates": duplicates,
    }
    wanted = {v.name for v in chosen.variables} | {chosen.target}
    used = {v.name for o in others for v in o.variables} | wanted
    strange = sorted(table.keys() - used)
    if strange:
        raise DomainError(f"--x {strange[0]}: law {chosen.name!r} has no such variable; it has {_variables(chosen)}")
    own = {n: c for n, c in table.items() if n in wanted}
    fitted = run(chosen, own, bootstrap=bootstrap, level=level, **options)
    compared = comparison.compare([chosen, *others], table, **options) if others else None
    plans = [plan(fitted.allocate(b)) for b in budget or []]
    data = document(
        fitted, source=str(runs), mapping=mapping, comparison=compared, plans=plans, command=("lipop", *sys.argv[1:])
    )
    text = json.dumps(data, indent=1, allow_nan=False) + "\n"
    if out is not None:
        files.replace(out / "fit.json", lambda f: f.write(text.encode()))
        files.replace(out / "fit.html", lambda f: f.write(render(data).encode()))
    if as_json and not quiet:
        typer.echo(text, nl=False)
    elif not quiet:
        _print_fit(data)
        if out is not None:
            typer.echo(printable(f"{out / 'fit.json'} and fit.html"))


@app.command(name="plan")
def make_plan(
    budget: Annotated[list[float], typer.Option("--budget", help="in the law's cost unit; may be repeated")],
    law: Annotated[str | None, typer.Option("--law", help="a law, with --set for its parameters")] = None,
    given: Annotated[list[str] | None, typer.Option("--set", help="PARAMETER=VALUE, once for each parameter")] = None,
    fitted: Annotated[Path | None, typer.Option("--fit", help="fit.json of `lipop scaling fit --out`")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """The compute-optimal choice of a law's variables at a budget."""
    from lipop.report.scaling import plan, read_fit
    from lipop.scaling.laws import by_name

    if (law is None) == (fitted is None):
        raise DomainError("say either --law NAME with --set, or --fit fit.json")
    if fitted is not None:
        chosen, params = read_fit(fitted)
        if given:
            raise DomainError("--set goes with --law; the parameters of --fit are those of its file")
    else:
        chosen = by_name(str(law))
        params = chosen.check(_numbers(given or [], "--set"))
    plans = [plan(chosen.allocate(params, b)) for b in budget]
    if as_json:
        typer.echo(json.dumps({"law": chosen.name, "params": params, "plans": plans}, indent=1, allow_nan=False))
    else:
        _print_plans(plans, chosen.target)


# ---- arguments ----


def _pairs(values: Sequence[str], option: str) -> dict[str, str]:
    """``NAME=TEXT`` arguments; nothing in them is evaluated."""
    out: dict[str, str] = {}
    for text in values:
        name, sign, rest = text.partition("=")
        if not (sign and name and rest):
            raise DomainError(
                f"{option} must look like NAME={'COLUMN' if option == '--x' else 'VALUE'}, found {text!r}"
            )
        if name in out:
            raise DomainError(f"{option} {name} is given twice")
        out[name] = rest
    return out


def _numbers(values: Sequence[str], option: str) -> dict[str, float]:
    out: dict[str, float] = {}
    for name, text in _pairs(values, option).items():
        try:
            out[name] = float(text)
        except ValueError:
            raise DomainError(f"{option} {name}: {text!r} is no number") from None
    return out


def _fixed(law: ScalingLaw, values: Sequence[str]) -> ScalingLaw:
    found = _numbers(values, "--fix")
    return law.fix(**found) if found else law


def _starts(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else text


def _variables(law: ScalingLaw) -> str:
    return ", ".join(f"{v.name} ({v.meaning}, in {v.unit})" for v in law.variables)


# ---- tables ----


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console().print(table)


def _print_fit(data: Mapping[str, Any]) -> None:
    from lipop.report.scaling_page import shown

    fitted = data["fit"]
    rows = [
        (p["name"], shown(p["value"]), f"{shown(p['low'])} .. {shown(p['high'])}", p["unit"])
        for p in fitted["parameters"]
    ]
    _print_table((fitted["law"], "estimate", f"{fitted['level']:.0%}, {fitted['intervals']}", "unit"), rows)
    typer.echo(f"{fitted['rows']} runs, residuals of {fitted['spread']:.3g} (log, root mean square)")
    for warning in fitted["warnings"]:
        typer.echo(printable(f"! {warning}"))
    if data["comparison"]:
        keys = ("law", "aicc", "weight", "extrapolation")
        cells = [[r[k] if isinstance(r[k], str) else shown(r[k], 4) for k in keys] for r in data["comparison"]]
        _print_table(("law", "AICc", "weight", "error on the largest runs"), cells)
    if data["plans"]:
        _print_plans(data["plans"], data["fit"]["target"])


def _print_plans(plans: Sequence[Mapping[str, Any]], target: str) -> None:
    from lipop.report.scaling_page import shown

    names = [f"{v['name']} ({v['unit']})" for v in plans[0]["values"]]
    rows = [
        (
            f"{p['budget']:.4g}",
            *(
                shown(v["value"]) + ("" if v["low"] is None else f" [{shown(v['low'])} .. {shown(v['high'])}]")
                for v in p["values"]
            ),
            shown(p["predicted"]),
            "closed form" if p["closed"] else "numerical",
        )
        for p in plans
    ]
    _print_table((plans[0]["cost_unit"], *names, target, "by"), rows)


__all__ = ["app"]
