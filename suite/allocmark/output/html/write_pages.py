# SPDX-License-Identifier: BSD-3-Clause
"""Writes the pages: which there are, how they link to one another, and where their scripts come from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from allocmark import __version__
from allocmark.errors import AllocmarkError
from allocmark.output import write_whole
from allocmark.output.html.assets import LICENCES, asset
from allocmark.output.html.charts import Link, commit_charts, series
from allocmark.output.html.pages.backend_page import backend_page
from allocmark.output.html.pages.comparison_page import choices, comparison_page, of_run
from allocmark.output.html.pages.fleet_page import fleet_page
from allocmark.output.html.pages.method_page import method_page
from allocmark.output.html.pages.overview_page import headline, overview
from allocmark.output.html.pages.workload_page import workload_page
from allocmark.output.html.run_view import View
from allocmark.output.text.figures import plain
from allocmark.output.text.fleet_rows import FleetSummary, fleet_workloads
from allocmark.results.store import Run

if TYPE_CHECKING:
    from allocmark.asv.history import History

_HERE = Path(__file__).parent
_SCRIPTS = ("d3.min.js", "plot.umd.min.js")
_OWN = ("site.css", "site.js")

Page = tuple[str, str]  # kind and name, such as ("workload", "burst"); the name is "" for kinds of one page


def write_report(
    run: Run,
    path: Path,
    *,
    before: Run | None = None,
    baseline: str | None = None,
    conformance: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write one self-contained HTML file about a run: it opens from disk and makes no request.

    ``before`` is an earlier run to compare with, ``baseline`` as in `allocmark.results.summary.summarise`,
    ``conformance`` what ``allocmark conform NAME --json`` printed. The file is written whole or not at all.

    Raises UsageError for a run without timings (``--verify``) and for an unknown baseline, AssetError when the
    plotting scripts have not been fetched, OSError when the file cannot be written.
    """
    earlier = View.of(before, baseline) if before else None
    write_whole(path, _report(View.of(run, baseline), None, earlier=earlier, conformance=conformance))


def write_fleet_report(summary: FleetSummary, path: Path) -> None:
    """Write one self-contained HTML file about the runs of a fleet, whole or not at all. OSError when it cannot be."""
    workloads = slugs(workload.name for workload in fleet_workloads(summary.found))
    site = _Site(workloads, {}, comparison=False, method=False, machines=True)
    page = fleet_page(summary)
    html = _render("fleet.html", site, site.anchor, None, charts=False, title=page["headline"], series=[], page=page)
    write_whole(path, html)


def write_size_report(page: Mapping[str, Any], path: Path) -> None:
    """Write one self-contained HTML file of the sizes that `allocmark.sizing.size_page` has, whole or not at all.

    Raises OSError when it cannot be written; AssetError as `write_report` does, where there is a chart.
    """
    site = _Site({}, {}, comparison=False, method=False, cases=slugs(case.title for case in page["cases"]))
    charts = any(case.chart for case in page["cases"])
    head = {"title": page["headline"], "series": page["series"]}
    write_whole(path, _render("size.html", site, site.anchor, None, charts=charts, page=page, **head))


def build_site(
    runs: Sequence[Run],
    output: Path,
    *,
    history: Sequence[History] = (),
    baseline: str | None = None,
    conformance: Sequence[Mapping[str, Any]] = (),
    asv: str | None = None,
    notes: Sequence[str] = (),
) -> list[Path]:
    """Write our pages into the folder ``output`` and return their paths; every link is relative.

    The newest run makes the overview and the pages of workloads and backends, every older one a page of its own.
    Either of ``runs`` and ``history`` may be empty. ``asv`` is the path of asv's own page from the root of the site,
    ``notes`` are lines about what was left out, shown on the overview.

    Raises AssetError and OSError as `write_report` does.
    """
    # A run that is given twice, or was copied, is one run.
    different = {run.header.id: run for run in runs}.values()
    views = [View.of(run, baseline) for run in sorted(different, key=lambda run: run.header.created, reverse=True)]
    newest, older = (views[0], views[1:]) if views else (None, [])
    sources = choices(views, history)
    backends = [backend.name for backend in newest.backends] if newest else []
    backends += [series.backend for each in history for series in each.series]
    runs_ = slugs(view.run.header.id for view in older)
    site = _Site(
        workloads=slugs(workload.name for workload in newest.workloads) if newest else {},
        backends=slugs(dict.fromkeys(backends)),
        comparison=bool(sources),
        method=newest is not None,
        asv=asv,
    )
    writer = _Writer(output, site, series(newest) if newest else [])
    link = site.files("")
    writer.page(
        ("overview", ""),
        "Overview",
        {
            **overview(newest, link),
            "newest_commits": [] if newest else commit_charts.newest(history),
            "steps": commit_charts.steps(history, link),
            "older": [(view.title, runs_[view.run.header.id]) for view in older],
            "notes": [plain(note) for note in (*notes, *(note for each in history for note in each.notes))],
        },
    )
    for workload in newest.workloads if newest else ():
        assert newest
        writer.page(("workload", workload.name), workload.name, workload_page(newest, workload))
    for name in site.backends:
        context = backend_page(newest, name, conformance, history, f"../{asv}" if asv else None)
        writer.page(("backend", name), name, context)
    if site.comparison:
        writer.page(("comparison", ""), "Comparison", comparison_page(newest, sources))
    if newest:
        writer.page(("method", ""), "Method and machine", method_page(newest))
    for view in older:
        writer.write(f"run/{runs_[view.run.header.id]}.html", _report(view, "../"))
    return writer.written


def _report(
    view: View,
    root: str | None,
    *,
    earlier: View | None = None,
    conformance: Sequence[Mapping[str, Any]] = (),
) -> str:
    """All pages of a run in one file; ``root`` is the way to the root of its site, None outside a site."""
    site = _Site(
        workloads=slugs(workload.name for workload in view.workloads),
        backends=slugs(backend.name for backend in view.backends),
    )
    both = [of_run(view, "now: "), of_run(earlier, "before: ")] if earlier else []
    return _render(
        "report.html",
        site,
        site.anchor,
        root,
        title=headline(view),
        series=series(view),
        overview=overview(view, site.anchor) | {"newest_commits": [], "steps": None, "older": [], "notes": []},
        workloads=[(site.workloads[w.name], workload_page(view, w)) for w in view.workloads],
        backends=[(slug, backend_page(view, name, conformance)) for name, slug in site.backends.items()],
        comparison=comparison_page(view, both),
        method=method_page(view),
    )


@dataclass(frozen=True)
class _Site:
    """Which pages there are: names, and the file names or anchors made of them."""

    workloads: Mapping[str, str]
    backends: Mapping[str, str]
    comparison: bool = True
    method: bool = True
    machines: bool = False
    cases: Mapping[str, str] = field(default_factory=dict)
    asv: str | None = None

    def _slug(self, kind: str, name: str) -> str | None:
        named = {"workload": self.workloads, "backend": self.backends, "case": self.cases}
        return named.get(kind, {}).get(name)

    def anchor(self, kind: str, name: str) -> str:
        """The address of a page within the one file."""
        slug = self._slug(kind, name)
        return f"#{kind}-{slug}" if slug else f"#{kind}"

    def file(self, kind: str, name: str) -> str:
        """The file of a page, from the root of the site."""
        slug = self._slug(kind, name)
        alone = {"overview": "index.html", "asv": self.asv or ""}.get(kind, f"{kind}.html")
        return f"{kind}/{slug}.html" if slug else alone

    def files(self, prefix: str) -> Link:
        """Links between files, from a page that lies ``prefix`` below the root."""
        return lambda kind, name: prefix + self.file(kind, name)


def slugs(names: Iterable[str]) -> dict[str, str]:
    """A file name or anchor for each name: letters, digits, "-" and "_" only, and no two alike."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        stem = re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-").lower() or "unnamed"
        slug, number = stem, 1
        while slug in taken:
            number += 1
            slug = f"{stem}-{number}"
        taken.add(slug)
        found[name] = slug
    return found


def _nav(site: _Site, link: Link) -> list[tuple[str, list[tuple[Page, str, str]]]]:
    """Headings, and below each its pages: page, title, address."""
    more = [
        (site.comparison, "comparison", "Comparison"),
        (site.method, "method", "Method and machine"),
        (site.machines, "machines", "Machines"),
        (site.asv, "asv", "All series (asv)"),
    ]
    found = [
        ("", [(("overview", ""), "Overview")]),
        ("Workloads", [(("workload", name), plain(name)) for name in site.workloads]),
        ("Backends", [(("backend", name), plain(name)) for name in site.backends]),
        ("Cases", [(("case", name), plain(name)) for name in site.cases]),
        ("More", [((kind, ""), title) for there, kind, title in more if there]),
    ]
    return [(head, [(page, title, link(*page)) for page, title in pages]) for head, pages in found if pages]


def _inlined(charts: bool) -> Markup:
    """Scripts and style within the page: one file that opens anywhere. Those that draw are there for ``charts``."""
    style, script = map(_own, _OWN)
    scripts = [*(asset(name).decode("utf-8") for name in _SCRIPTS if charts), script]
    if any("</script" in text.lower() for text in scripts):
        raise AllocmarkError("a script that would end its own element cannot be put into a page")
    return Markup("\n".join([f"<style>{style}</style>", *(f"<script>{text}</script>" for text in scripts)]))


def _linked(prefix: str) -> Markup:
    """Scripts and style from the site's own folder."""
    style, script = _OWN
    scripts = [f'<script src="{prefix}assets/{name}"></script>' for name in (*_SCRIPTS, script)]
    return Markup("\n".join([f'<link rel="stylesheet" href="{prefix}assets/{style}">', *scripts]))


def _own(name: str) -> str:
    return (_HERE / "static" / name).read_text(encoding="utf-8")


class _Writer:
    """Writes the pages of a site into a folder."""

    def __init__(self, output: Path, site: _Site, series_: Sequence[Mapping[str, Any]]) -> None:
        self._output, self._site, self._series = output, site, series_
        self.written: list[Path] = []
        folder = output / "assets"
        folder.mkdir(parents=True, exist_ok=True)
        for name in (*_SCRIPTS, LICENCES):
            (folder / name).write_bytes(asset(name))
        for name in _OWN:
            (folder / name).write_text(_own(name), encoding="utf-8")

    def page(self, page: Page, title: str, context: Mapping[str, Any]) -> None:
        """Render a page with the template of its kind."""
        file = self._site.file(*page)
        prefix = "../" * file.count("/")
        html = _render(
            "page.html",
            self._site,
            self._site.files(prefix),
            prefix,
            title=plain(title),
            series=self._series,
            here=page,
            content=f"{page[0]}.html",
            page=context,
        )
        self.write(file, html)

    def write(self, file: str, html: str) -> None:
        """Write a file below the output folder."""
        path = self._output / file
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, html)
        self.written.append(path)


def _render(template: str, site: _Site, link: Link, root: str | None, *, charts: bool = True, **context: Any) -> str:
    return (
        _templates()
        .get_template(template)
        .render(
            link=link,
            nav=_nav(site, link),
            head=_inlined(charts) if root is None else _linked(root),
            root=root,
            charts=charts,
            version=__version__,
            **{"here": None, **context},
        )
    )


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["breakable"] = _breakable
    return templates


def _breakable(name: str) -> Markup:
    """A name that may be broken where its parts end."""
    return Markup("<wbr>").join(re.split("(?<=:)", name))
