# SPDX-License-Identifier: BSD-3-Clause
"""Changes asv's own page so that it loads scripts from copies beside it, and from no other host.

Scripts make all of that page; where they are off, it points to ours. It moves from index.html to asv.html: a site's
front page is allocmark's.
"""

from __future__ import annotations

import re
from pathlib import Path

from allocmark.errors import AllocmarkError
from allocmark.output.html.assets import LICENCES, asset

PAGE = "asv.html"
FOLDER = "vendor"

# The copy for each script, by the last part of its address in asv 0.6.6.
_COPIES = {
    "bootstrap.min.css": "bootstrap.min.css",
    "bootstrap.min.js": "bootstrap.min.js",
    "jquery-3.3.1.min.js": "jquery.min.js",
    "jquery.flot.categories.min.js": "jquery.flot.categories.js",
    "jquery.flot.min.js": "jquery.flot.js",
    "jquery.flot.orderBars.js": "jquery.flot.orderBars.js",
    "jquery.flot.selection.min.js": "jquery.flot.selection.js",
    "jquery.flot.time.min.js": "jquery.flot.time.js",
    "md5.min.js": "md5.min.js",
    "stupidtable.min.js": "stupidtable.min.js",
}
_ELEMENT = re.compile(r"<(?:script|link)\b[^>]*\b(?:src|href)=\"(https?://[^\"]*/([^\"/]+))\"[^>]*>")
# Only for scripts of another host; the hashes are those of other builds of the same code.
_REMOTE_ONLY = re.compile(r"\s(?:integrity|crossorigin|referrerpolicy)=\"[^\"]*\"")


_WITHOUT_SCRIPTS = """
<noscript><p class="navbar-text">Scripts are off, and this page has nothing without them.
The <a href="index.html">overview</a> leads to the pages of the backends, with the history as tables.</p></noscript>
"""


def make_local(html: Path) -> None:
    """Change asv's output folder ``html`` so that its page loads nothing from another host.

    Raises AssetError when the copies have not been fetched, AllocmarkError when the page loads an unknown script.
    """
    page = html / "index.html"
    text = _ELEMENT.sub(_local, page.read_text(encoding="utf-8"))
    text = text.replace('<li id="nav-li-"', '<li><a href="index.html">Overview</a></li>\n\t<li id="nav-li-"', 1)
    text = text.replace("</nav>", f"{_WITHOUT_SCRIPTS}</nav>", 1)
    folder = html / FOLDER
    folder.mkdir()
    for name in (*_COPIES.values(), LICENCES):
        (folder / name).write_bytes(asset(name))
    (html / PAGE).write_text(text, encoding="utf-8")
    page.unlink()
    # The feed's entries point to the page.
    feed = html / "regressions.xml"
    if feed.exists():
        feed.write_text(feed.read_text(encoding="utf-8").replace("index.html#", f"{PAGE}#"), encoding="utf-8")


def _local(found: re.Match[str]) -> str:
    address, name = found.groups()
    if name not in _COPIES:
        raise AllocmarkError(f"asv's page loads {address}, of which there is no copy here: install asv==0.6.6")
    return _REMOTE_ONLY.sub("", found.group().replace(address, f"{FOLDER}/{_COPIES[name]}"))
