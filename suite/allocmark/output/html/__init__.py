# SPDX-License-Identifier: BSD-3-Clause
"""Pages that people look at: one run as one file, and several runs with their history as a site.

The page of a fleet has a template of its own, and its rows are those of the table for a terminal
(`allocmark.output.text.fleet_rows`). So has the page of `allocmark size`, made in `allocmark.sizing.size_page`.

Data flows one way: a run file is summarised (`allocmark.results.summary`), becomes a `run_view`, then tables
(`page_tables`) and charts (`charts`), which a page (`pages`) hands to its template (``templates/``); `write_pages`
writes the files. No page asks another host for anything.

Where to add a page:

1. a module in `pages`: a function from the run to what the template shows
2. a template in ``templates/``, included by ``report.html``
3. `write_pages`: a call in ``build_site`` and in ``_report``, and the page's place in ``_nav``

A section of a page that there is: a member of what its function in `pages` returns, and its place in the template.
A column of a table: one ``Column`` where the table is made. A chart: see `charts`.
"""

from allocmark.output.html.pages.backend_page import read_verdicts
from allocmark.output.html.write_pages import build_site, write_fleet_report, write_report, write_size_report

__all__ = ["build_site", "read_verdicts", "write_fleet_report", "write_report", "write_size_report"]
