# SPDX-License-Identifier: BSD-3-Clause
"""The plugin of asv that puts our pages into what ``asv publish`` writes: ``.allocmark.asv.publisher``.

asv.conf.json may have, beside asv's own keys, ``runs``: patterns of the folders of runs that are shown
(``["runs/*"]``), ``conformance``: those of the files that ``allocmark conform NAME --json`` printed
(``["conformance/*.json"]``), and ``notes``: lines about what is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asv.publishing import OutputPublisher  # type: ignore[import-untyped]


class AllocmarkPages(OutputPublisher):  # type: ignore[misc]
    """Called by asv after its other publishers, with its own pages complete but for index.json."""

    name = "allocmark"
    button_label = "allocmark"
    description = "Backends, workloads and their history"

    @classmethod
    def publish(cls, conf: Any, repo: Any, benchmarks: Any, graphs: Any, revisions: Any) -> None:
        """asv's hook. Its ``conf`` says where everything lies; figures are read from the results themselves."""
        from asv.util import UserError  # type: ignore[import-untyped]

        from allocmark.asv import gather
        from allocmark.asv import local_page as asv_page
        from allocmark.asv import publish_site as publish
        from allocmark.errors import AllocmarkError

        html = Path(conf.html_dir)
        try:
            asv_page.make_local(html)
            found = gather.history(
                Path(conf.results_dir),
                Path(repo._path),  # asv's mirror, or the repository itself
                [repo.get_branch_name(branch) for branch in conf.branches],
                None if conf.show_commit_url == "#" else conf.show_commit_url,
            )
            found += gather.runs(getattr(conf, "runs", gather.RUNS))
            found += gather.conformance(getattr(conf, "conformance", gather.CONFORMANCE))
            notes = gather.Contents(notes=tuple(getattr(conf, "notes", ())))
            publish.write_pages(html, notes + found, asv_page.PAGE)
        except AllocmarkError as error:
            raise UserError(str(error)) from error
