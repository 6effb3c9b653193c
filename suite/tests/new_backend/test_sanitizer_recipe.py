# SPDX-License-Identifier: BSD-3-Clause
"""The recipe for a sanitizer, in the page for what does not work: it finds an overflow in C and in C++."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from support import packages_in

from allocmark.new_backend import source_of, write

PAGE = Path(__file__).parents[3] / "docs" / "what-if-it-does-not-work.md"
#: What begins the function that hands out objects, and a read beyond an array behind it.
GETS = {
    "pool": "static int get_bulk(void *pool, void *local, void **objects, uint32_t n) {\n",
    "cxx": "    bool get(void **objects, std::uint32_t n) {\n",
}
OVERFLOW = "static volatile int table[4]; (void)table[n + 4];\n"


@pytest.mark.parametrize("kind", GETS)
def test_the_recipe_finds_an_overflow(tmp_path, kind):
    found = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    if "/" not in found:
        pytest.skip("gcc has no Address Sanitizer")
    (recipe,) = re.findall(r"^```\n(CFLAGS=.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    folder = tmp_path / "mine"
    write("mypool", kind, folder)
    source = folder / source_of("mypool", kind)
    text = source.read_text()
    assert text.count(GETS[kind]) == 1
    source.write_text(text.replace(GETS[kind], GETS[kind] + OVERFLOW))
    environ = packages_in(tmp_path / "packages")
    done = subprocess.run(["bash", "-c", recipe], cwd=folder, env=environ, capture_output=True, text=True, timeout=240)
    assert "ERROR: AddressSanitizer: global-buffer-overflow" in done.stderr, done.stdout + done.stderr
    assert source.name in done.stderr
