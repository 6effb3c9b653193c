# SPDX-License-Identifier: BSD-3-Clause
"""Builds the native module for each DPDK that is named: ``python -m allocmark_dpdk.build PREFIX ...``; without any,
for those of ``ALLOCMARK_DPDK``. What is built already is left as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from allocmark_dpdk.prefix import VARIABLE, Prefix, UnusableError, named_prefixes

_ASK = "import sys; from allocmark_dpdk.native import Native; print(Native(sys.argv[1]).version)"


def build(prefix: Prefix) -> bool:
    """Whether there was something to build. Raises UnusableError."""
    module = prefix.module
    if module.exists():
        return False
    module.parent.mkdir(parents=True, exist_ok=True)
    made = module.with_suffix(f".{os.getpid()}")
    try:
        _run([*prefix.compile_command, "-o", str(made)], prefix, "cannot be built against")
        # Loaded once in a process of its own, where one that misses something harms nobody.
        version = _run([sys.executable, "-c", _ASK, str(made)], prefix, "was built, and cannot be loaded with")
        if version != prefix.version:
            raise UnusableError(
                f"libdpdk.pc in {prefix.path} says {prefix.version}, its library {version}", "install it again"
            )
        made.rename(module)
    finally:
        made.unlink(missing_ok=True)
    return True


def _run(command: list[str], prefix: Prefix, failure: str) -> str:
    log = prefix.module.with_suffix(".log")
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise UnusableError(f"{command[0]}: {error.strerror}", "install a C compiler, or name it with CC") from error
    if done.returncode:
        log.write_text(done.stderr)
        raise UnusableError(f"the backend {failure} DPDK {prefix.version} in {prefix.path}", f"see {log}")
    return done.stdout.strip()


def main(arguments: list[str]) -> int:
    """Exit status: 2 when one cannot be built."""
    paths = [Path(each).absolute() for each in arguments] or named_prefixes()
    if not paths:
        print(f"allocmark_dpdk.build: name a folder in which DPDK is installed, or set {VARIABLE}", file=sys.stderr)
        return 2
    failed = False
    for path in paths:
        try:
            prefix = Prefix.read(path)
            print(f"DPDK {prefix.version} in {path}: {'built' if build(prefix) else 'is built already'}")
        except UnusableError as error:
            print(f"allocmark_dpdk.build: {error}", file=sys.stderr)
            failed = True
    return 2 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
