# SPDX-License-Identifier: BSD-3-Clause
"""The pages: what each one shows, how they link to one another, and how they are written."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from allocmark import __version__
from allocmark.errors import AllocmarkError
from allocmark.output.html import backend_page as backends
from allocmark.output.html import chart, evidence, overview, trade_offs
from allocmark.output.html import comparison_sources as sources
from allocmark.output.html import cost_charts as cost
from allocmark.output.html import latency_chart as latency
from allocmark.output.html import memory_chart as memory
from allocmark.output.html import method_page as method
from allocmark.output.html import newest_commit as commits
from allocmark.output.html.assets import LICENCES, asset
from allocmark.output.html.pass_tables import pass_tables
from allocmark.output.html.view import View, WorkloadView, slugs
from allocmark.output.html.workload_texts import workload_text
from allocmark.output.text.figures import plain
from allocmark.results.store import Run

if TYPE_CHECKING:
    from allocmark.asv.history import History

_HERE = Path(__file__).parent
_SCRIPTS = ("d3.min.js", "plot.umd.min.js")


def report(
    run: Run,
    path: Path,
    *,
    before: Run | None = None,
    baseline: str | None = None,
    conformance: Sequence[Mapping[str, Any]] = (),
) -> None:
    """See `allocmark.output.html.write_report`."""
    view = View.of(run, baseline)
    earlier = View.of(before, baseline) if before else None
    html = _report(view, _Inlined(), earlier=earlier, conformance=conformance)
    _replace(path, html)


def site(
    runs: Sequence[Run],
    output: Path,
    *,
    history: Sequence[History] = (),
    baseline: str | None = None,
    conformance: Sequence[Mapping[str, Any]] = (),
    asv: str | None = None,
    notes: Sequence[str] = (),
) -> list[Path]:
    """See `allocmark.output.html.build_site`."""
    # A run that is given twice, or was copied, is one run.
    different = {run.header.id: run for run in runs}.values()
    views = [View.of(run, baseline) for run in sorted(different, key=lambda run: run.header.created, reverse=True)]
    newest = views[0] if views else None
    chosen = sources.choices(views, history)
    names = [backend.name for backend in newest.backends] if newest else []
    names += [series.backend for each in history for series in each.series]
    map_ = _Map(
        workloads=slugs(workload.name for workload in newest.workloads) if newest else {},
        backends=slugs(dict.fromkeys(names)),
        runs=slugs(view.run.header.id for view in views[1:]),
        comparison=len(chosen) > 0,
        method=newest is not None,
        asv=asv,
    )
    writer = _Writer(output, map_, newest)
    writer.copy_assets()
    older = [(_title(view), map_.runs[view.run.header.id]) for view in views[1:]]
    writer.page(
        "index.html",
        "overview.html",
        "Overview",
        ("overview", ""),
        {
            **_overview(newest, writer.link("")),
            "commits": [] if newest else commits.newest(history),
            "steps": commits.steps(history, writer.link("")),
            "older": older,
            "notes": [plain(note) for note in (*notes, *(note for each in history for note in each.notes))],
        },
    )
    for workload in newest.workloads if newest else ():
        file = f"workload/{map_.workloads[workload.name]}.html"
        context = _workload(newest, workload)
        writer.page(file, "workload.html", plain(workload.name), ("workload", workload.name), context)
    for name, slug in map_.backends.items():
        context = _backend(newest, name, conformance, history, f"../{asv}" if asv else None)
        writer.page(f"backend/{slug}.html", "backend.html", plain(name), ("backend", name), context)
    if map_.comparison:
        context = _comparison(newest, chosen)
        writer.page("comparison.html", "comparison.html", "Comparison", ("comparison", ""), context)
    if newest:
        writer.page("method.html", "method.html", "Method and machine", ("method", ""), _method(newest))
    for view in views[1:]:
        file = f"run/{map_.runs[view.run.header.id]}.html"
        writer.write(file, _report(view, _Linked("../"), home="../index.html"))
    return writer.written


@dataclass(frozen=True)
class _Map:
    """Which pages there are: names and the file names or anchors made of them."""

    workloads: Mapping[str, str]
    backends: Mapping[str, str]
    runs: Mapping[str, str] = field(default_factory=dict)
    comparison: bool = True
    method: bool = True
    asv: str | None = None


def _anchors(map_: _Map) -> overview.Link:
    """Links within one file."""

    def link(kind: str, name: str) -> str:
        slug = {"workload": map_.workloads, "backend": map_.backends}.get(kind, {}).get(name)
        return f"#{kind}-{slug}" if slug else f"#{kind}"

    return link


def _files(map_: _Map, prefix: str) -> overview.Link:
    """Links between the files of a site, from a page that lies ``prefix`` below its root."""

    def link(kind: str, name: str) -> str:
        slug = {"workload": map_.workloads, "backend": map_.backends}.get(kind, {}).get(name)
        file = {"overview": "index.html", "asv": map_.asv or ""}.get(kind, f"{kind}.html")
        return prefix + (f"{kind}/{slug}.html" if slug else file)

    return link


class _Inlined:
    """Scripts and styles within the page: one file that opens anywhere."""

    def head(self) -> Markup:
        """The elements that bring style and scripts."""
        scripts = [asset(name).decode("utf-8") for name in _SCRIPTS] + [_own("site.js")]
        for text in scripts:
            if "</script" in text.lower():
                raise AllocmarkError("a script that would end its own element cannot be put into a page")
        style = f"<style>{_own('site.css')}</style>"
        return Markup("\n".join([style, *(f"<script>{text}</script>" for text in scripts)]))


class _Linked:
    """Scripts and styles from the site's own folder."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def head(self) -> Markup:
        """The elements that bring style and scripts."""
        base = f"{self._prefix}assets"
        lines = [f'<link rel="stylesheet" href="{base}/site.css">']
        lines += [f'<script src="{base}/{name}"></script>' for name in (*_SCRIPTS, "site.js")]
        return Markup("\n".join(lines))


def _own(name: str) -> str:
    return (_HERE / "static" / name).read_text(encoding="utf-8")


class _Writer:
    """Writes the pages of a site into a folder."""

    def __init__(self, output: Path, map_: _Map, view: View | None) -> None:
        self._output, self._map, self._view = output, map_, view
        self._templates = _templates()
        self.written: list[Path] = []

    def link(self, prefix: str) -> overview.Link:
        """Links from a page that lies ``prefix`` below the root."""
        return _files(self._map, prefix)

    def page(self, file: str, template: str, title: str, here: tuple[str, str], context: Mapping[str, Any]) -> None:
        """Render one page within the frame of the site."""
        prefix = "../" * file.count("/")
        link = self.link(prefix)
        self.write(
            file,
            self._templates.get_template("page.html").render(
                content=template,
                title=title,
                here=here,
                link=link,
                nav=_nav(self._map, link),
                head=_Linked(prefix).head(),
                view=self._view,
                series=chart.series(self._view) if self._view else [],
                version=__version__,
                offline=False,
                page=context,
            ),
        )

    def write(self, file: str, html: str) -> None:
        """Write a file below the output folder."""
        path = self._output / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")
        self.written.append(path)

    def copy_assets(self) -> None:
        """Copy scripts, style and licences beside the pages."""
        folder = self._output / "assets"
        folder.mkdir(parents=True, exist_ok=True)
        for name in (*_SCRIPTS, LICENCES):
            (folder / name).write_bytes(asset(name))
        for name in ("site.css", "site.js"):
            (folder / name).write_text(_own(name), encoding="utf-8")


def _report(
    view: View,
    assets: _Inlined | _Linked,
    *,
    earlier: View | None = None,
    conformance: Sequence[Mapping[str, Any]] = (),
    home: str | None = None,
) -> str:
    map_ = _Map(
        workloads=slugs(workload.name for workload in view.workloads),
        backends=slugs(backend.name for backend in view.backends),
    )
    link = _anchors(map_)
    both = (
        [sources.of_run(view, f"now: {_title(view)}"), sources.of_run(earlier, f"before: {_title(earlier)}")]
        if (earlier)
        else []
    )
    return _templates().get_template("report.html").render(
        title=overview.headline(view),
        link=link,
        nav=_nav(map_, link),
        here=("", ""),
        head=assets.head(),
        view=view,
        series=chart.series(view),
        version=__version__,
        offline=isinstance(assets, _Inlined),
        home=home,
        overview=_overview(view, link),
        workloads=[(map_.workloads[w.name], _workload(view, w)) for w in view.workloads],
        backends=[(slug, _backend(view, name, conformance, (), None)) for name, slug in map_.backends.items()],
        comparison=_comparison(view, both),
        method=_method(view),
    )  # fmt: skip


def _title(view: View) -> str:
    header = view.run.header
    return plain(f"{header.created[:16].replace('T', ' ')} · {header.id}")


def _nav(map_: _Map, link: overview.Link) -> list[tuple[str, list[tuple[tuple[str, str], str, str]]]]:
    """Headings, and below each the pages: (kind, name), title, address."""
    found = [("", [(("overview", ""), "Overview", link("overview", ""))])]
    for heading, kind, names in (("Workloads", "workload", map_.workloads), ("Backends", "backend", map_.backends)):
        if names:
            found.append((heading, [((kind, name), plain(name), link(kind, name)) for name in names]))
    more = []
    if map_.comparison:
        more.append((("comparison", ""), "Comparison", link("comparison", "")))
    if map_.method:
        more.append((("method", ""), "Method and machine", link("method", "")))
    if map_.asv:
        more.append((("asv", ""), "All series (asv)", link("asv", "")))
    return [*found, ("More", more)] if more else found


def _overview(view: View | None, link: overview.Link) -> dict[str, Any]:
    if view is None:
        return {"headline": "History over commits"}
    return {
        "commits": [],
        "steps": None,
        "older": [],
        "notes": [],
        "headline": overview.headline(view),
        "facts": overview.facts(view),
        "state": overview.state(view),
        "winners": overview.winners(view, link),
        "tally": overview.tally(view, link),
        "ratios": cost.ratios(view),
        "trade_offs": [c for c in (trade_offs.time_and_memory(view), trade_offs.time_and_tail(view)) if c],
        "missing": overview.missing(view),
    }


def _workload(view: View | None, workload: WorkloadView) -> dict[str, Any]:
    assert view is not None
    found = [cost.parameter(view, workload, key) for key in workload.varying]
    return {
        "workload": workload,
        "text": workload_text(view, workload),
        "costs": cost.costs(view, workload),
        "parameters": [each for each in found if each],
        "latency": latency.latency(view, workload),
        "reuse": memory.reuse(view, workload),
        "passes": pass_tables(view, workload),
        "memory": memory.memory(view, workload),
        "samples": evidence.samples(workload),
        "evidence": evidence.evidence(view, workload),
    }


def _backend(
    view: View | None, name: str, conformance: Sequence[Mapping[str, Any]], history: Sequence[History], asv: str | None
) -> dict[str, Any]:
    backend = next((each for each in view.backends if each.name == name), None) if view else None
    found = backends.rivals(view, backend) if view and backend and not backend.floor else []
    line, cases = backends.conformance(conformance, name)
    return {
        "name": plain(name),
        "backend": backend,
        "variants": backends.variants(view, backend) if view and backend else None,
        "summary": backends.summary(view, found) if view else [],
        "against": backends.against(view, backend, found) if view and backend else None,
        "conformance": line,
        "cases": cases,
        "history": backends.history(history, name, asv),
    }


def _comparison(view: View | None, chosen: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "pairs": sources.pairs(view) if view else None,
        "sources": list(chosen) if len(chosen) > 1 else [],
        "constants": sources.constants(),
    }


def _method(view: View) -> dict[str, Any]:
    return {
        "command": method.command(view),
        "figures": method.figures(),
        "doctor": method.doctor(view),
        "environment": method.environment(view),
        "settings": method.settings(view),
    }


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


def _replace(path: Path, html: str) -> None:
    """Put a file into its place at once: whoever looks sees the old one or the new one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(html)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
