# SPDX-License-Identifier: BSD-3-Clause
"""A plugin of asv, ``.allocmark.asv.publisher`` in asv.conf.json: adds allocmark's pages to ``asv publish``.

It reads three more keys of asv.conf.json: ``runs``, patterns of the folders of runs (default ``["runs/*"]``);
``conformance``, patterns of files that ``allocmark conform NAME --json`` printed (default ``["conformance/*.json"]``);
``notes``, lines to show about what is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asv.publishing import OutputPublisher  # type: ignore[import-untyped]


class AllocmarkPages(OutputPublisher):  # type: ignore[misc]
    """asv calls it after its other publishers, when all its own pages but index.json are written."""

    name = "allocmark"
    button_label = "allocmark"
    description = "Backends, workloads and their history"

    @classmethod
    def publish(cls, conf: Any, repo: Any, benchmarks: Any, graphs: Any, revisions: Any) -> None:
        """asv's hook. ``conf`` names the folders; figures are read from the stored results, not from ``graphs``."""
        # Imported here, as asv loads this plugin for every command.
        from asv.util import UserError  # type: ignore[import-untyped]

        from allocmark.asv import gather, local_page
        from allocmark.asv.publish_site import write_pages
        from allocmark.errors import AllocmarkError

        html = Path(conf.html_dir)
        try:
            local_page.make_local(html)
            found = gather.history(
                Path(conf.results_dir),
                Path(repo._path),  # asv's mirror, or the repository itself
                [repo.get_branch_name(branch) for branch in conf.branches],
                None if conf.show_commit_url == "#" else conf.show_commit_url,
            )
            found += gather.runs(getattr(conf, "runs", gather.RUNS))
            found += gather.conformance(getattr(conf, "conformance", gather.CONFORMANCE))
            notes = gather.Contents(notes=tuple(getattr(conf, "notes", ())))
            write_pages(html, notes + found, local_page.PAGE)
        except AllocmarkError as error:
            raise UserError(str(error)) from error
