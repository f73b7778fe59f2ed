"""Directives that read the package: ``lipop-rules`` (the table RULES), ``lipop-names`` and ``lipop-modules`` (API)."""

import importlib.util
import pkgutil
import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class RulesTable(SphinxDirective):
    """One row per registered rule: its name, what it is, its reference."""

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        for layer in ("core", "operators", "certify", "limit", "covering", "scaling"):
            import_tree(f"lipop.{layer}")
        rules = importlib.import_module("lipop.core.rule").RULES
        rows = [(name, summary(rule), rule.reference) for name, rule in sorted(rules.items())]
        return [table(("rule", "formula or certificate", "reference"), rows, widths=(2, 4, 5))]


class Names(SphinxDirective):
    """One row per name that a module exports: the name, where it is defined, its first sentence."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        module = importlib.import_module(self.arguments[0])
        values = [(name, getattr(module, name)) for name in module.__all__]
        rows = [(name, getattr(value, "__module__", ""), first_paragraph(value)) for name, value in values]
        return [table(("name", "defined in", "what it is"), rows, widths=(2, 3, 6))]


class Modules(SphinxDirective):
    """The documentation of a package, then of every public module in it under a heading of its own."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Expand to one ``automodule`` per module."""
        package, *modules = import_tree(self.arguments[0])
        text = [f".. automodule:: {package}", ""]
        for name in modules:
            text += [name, "-" * len(name), "", f".. automodule:: {name}"]
            if hasattr(importlib.import_module(name), "__path__"):  # its names are documented where they are defined
                text.append("   :no-members:")
            text.append("")
        return self.parse_text_to_nodes("\n".join(text), allow_section_headings=True)


def import_tree(package: str) -> list[str]:
    """Import a package with its public modules; the names that exist (none for a package that does not)."""
    if importlib.util.find_spec(package) is None:
        return []
    root = importlib.import_module(package)
    names = [package]
    for info in pkgutil.walk_packages(root.__path__, package + "."):
        private = any(part.startswith("_") for part in info.name.split("."))
        if not private and ".cuda" not in info.name:
            importlib.import_module(info.name)
            names.append(info.name)
    return names


def summary(rule) -> str:
    """What a formula's docstring says first, or what a leaf is worth."""
    if rule.function is None:
        return f"certificate ({rule.strength}, {rule.grid} bits)"
    return first_paragraph(rule.function)


def first_paragraph(value: object) -> str:
    """The first paragraph of a docstring, on one line and without markup."""
    paragraph = (value.__doc__ or "").strip().split("\n\n")[0]
    return re.sub(r":\w+:`~?([^`]+)`", r"\1", " ".join(paragraph.split())).replace("``", "")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]], widths: tuple[int, ...]) -> nodes.table:
    """A docutils table; the first column is set as code."""
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=w) for w in widths]
    header = nodes.thead()
    header += row([nodes.Text(h) for h in head])
    body = nodes.tbody()
    body += [row([nodes.literal(text=r[0]), *[nodes.Text(c) for c in r[1:]]]) for r in rows]
    group += [header, body]
    out = nodes.table()
    out += group
    return out


def row(cells: list[nodes.Node]) -> nodes.row:
    """One row of a table, a paragraph per cell."""
    out = nodes.row()
    for cell in cells:
        entry = nodes.entry()
        entry += nodes.paragraph("", "", cell)
        out += entry
    return out


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("lipop-rules", RulesTable)
    app.add_directive("lipop-names", Names)
    app.add_directive("lipop-modules", Modules)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
