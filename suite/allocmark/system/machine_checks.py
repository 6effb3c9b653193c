# SPDX-License-Identifier: BSD-3-Clause
"""The checks of ``allocmark doctor``: what was found on this machine, what it means, the command that changes it."""

from __future__ import annotations

import os
import re
import resource
import shutil
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from allocmark.plugin_build import pkg_config
from allocmark.system import machine
from allocmark.system.availability import as_root, size_text, write_command
from allocmark.system.machine import CPU, HUGEPAGES, THP, chosen, read

Status = Literal["ok", "note", "warn", "missing"]


@dataclass(frozen=True)
class MachineCheck:
    """One finding. "note": good to know; "warn": figures suffer; "missing": something cannot be measured.

    ``meaning`` is one sentence on what it does to a measurement. ``fix`` is the command that changes it, or "".
    """

    name: str
    found: str
    status: Status
    meaning: str
    fix: str = ""


# CPUs


def cores() -> MachineCheck:
    cpus = machine.usable_cpus()
    quota = machine.cpu_quota()
    found = f"{len(cpus)} usable of {os.cpu_count()} CPUs"
    meaning = "A workload with more actors than usable CPUs does not run."
    if quota is not None and quota < len(cpus):
        meaning = "The container's CPU quota pauses threads, which shows in the times: run without a quota."
        return MachineCheck("cores", f"{found}, quota {quota:g} CPUs", "warn", meaning)
    if len(cpus) == 1:
        meaning = "With one CPU nothing can be measured across cores, and other processes disturb every sample."
        return MachineCheck("cores", found, "warn", meaning)
    return MachineCheck("cores", found, "ok", meaning)


def numa() -> MachineCheck:
    nodes = {machine.cpu_node(cpu) for cpu in machine.usable_cpus()}
    if len(nodes) == 1:
        return MachineCheck("NUMA nodes", "1", "ok", "All memory is local, so remote memory cannot be measured.")
    meaning = "Actors are pinned on one node while it has enough cores; objects from another node cost more."
    return MachineCheck("NUMA nodes", str(len(nodes)), "note", meaning)


def smt() -> MachineCheck:
    control = read(f"{CPU}/smt/control")
    if control == "on" and read(f"{CPU}/smt/active") == "1":
        meaning = "Two CPUs share each core; every actor gets its own core while there are enough: keep the rest idle."
        return MachineCheck("SMT", "on", "note", meaning, write_command(f"{CPU}/smt/control", "off"))
    if read(f"{CPU}/smt/active") == "1":
        return MachineCheck("SMT", f"on ({control})", "note", "Two CPUs share each core.")
    meaning = "No two CPUs share a core, as far as this system knows."
    found = {None: "not known", "notsupported": "none"}.get(control, control)
    return MachineCheck("SMT", str(found), "ok" if control else "note", meaning)


def governor() -> MachineCheck:
    governors = {read(str(path)) for path in Path(CPU).glob("cpu[0-9]*/cpufreq/scaling_governor")} - {None}
    found = ", ".join(sorted(g for g in governors if g))
    if not found:
        meaning = "This system does not control the clock of the cores; the hypervisor or the firmware does."
        return MachineCheck("governor", "none", "note", meaning)
    if governors == {"performance"}:
        return MachineCheck("governor", found, "ok", "The cores keep their highest clock.")
    meaning = "The clock rises only after some time under load, so the first samples are slower."
    return MachineCheck("governor", found, "warn", meaning, as_root("cpupower frequency-set -g performance"))


def boost() -> MachineCheck:
    on = machine.boost()
    if on is None:
        meaning = "The clock may change with temperature and load, and this system does not see it."
        return MachineCheck("boost", "not known", "note", meaning)
    if not on:
        return MachineCheck("boost", "off", "ok", "The clock does not depend on temperature or on other cores.")
    meaning = "The clock depends on temperature and on how many cores work; interleaved samples make up for part of it."
    intel = f"{CPU}/intel_pstate/no_turbo"
    fix = write_command(intel, 1) if os.path.exists(intel) else write_command(f"{CPU}/cpufreq/boost", 0)
    return MachineCheck("boost", "on", "note", meaning, fix)


def longest_pause(seconds: float) -> float:
    """Spin for that long; the longest time in which this thread did not run, in seconds."""
    last = time.perf_counter()
    end, longest = last + seconds, 0.0
    while last < end:
        now = time.perf_counter()
        longest = max(longest, now - last)
        last = now
    return longest


def hypervisor() -> MachineCheck:
    """Stolen time counts only on a CPU that wants to run, so this keeps one busy for 100 ms."""
    stat = (read("/proc/stat") or "").partition("\n")[0].split()
    ticks = [int(n) for n in stat[1:9]]  # user … steal; the guests after them are in user already
    total = sum(ticks)
    share = ticks[7] / total if total else 0.0
    cpus = machine.usable_cpus()
    before = machine.steal_ticks(cpus)
    pause = longest_pause(0.1)
    stolen = (machine.steal_ticks(cpus) - before) / os.sysconf("SC_CLK_TCK")
    name = machine.hypervisor()
    found = f"{name or 'none'}; stolen {stolen * 1e3:.0f} of 100 ms, {share:.2%} since boot"
    found += f"; longest pause {pause * 1e3:.2g} ms"
    if stolen > 0 or share > 0.01:
        meaning = "The hypervisor takes CPU time away: such samples are marked, and intervals are wide."
        return MachineCheck("hypervisor", found, "warn", meaning)
    if name:
        meaning = "Other virtual machines may share caches and memory: trust ratios more than single times."
        return MachineCheck("hypervisor", found, "note", meaning)
    return MachineCheck("hypervisor", found, "ok", "No hypervisor shares the CPUs with other systems.")


def load() -> MachineCheck:
    average = os.getloadavg()[0]
    found = f"{average:.2f} in the last minute"
    if average < 0.5:
        return MachineCheck("load", found, "ok", "Nothing else keeps the CPUs busy.")
    meaning = "Other programs use caches and CPUs, or did a moment ago; samples that lost their CPU are marked."
    return MachineCheck("load", found, "warn", meaning, "ps -eo pcpu,pid,args --sort=-pcpu | head")


def clock_source() -> MachineCheck:
    folder = "/sys/devices/system/clocksource/clocksource0"
    source = read(f"{folder}/current_clocksource")
    if source in ("tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "timebase"):
        return MachineCheck("clock source", source, "ok", "The clock is read without entering the kernel.")
    meaning = "Reading the clock may enter the kernel, which adds to the latency of single calls."
    has_tsc = "tsc" in (read(f"{folder}/available_clocksource") or "").split()
    fix = write_command(f"{folder}/current_clocksource", "tsc") if has_tsc else ""
    return MachineCheck("clock source", source or "not known", "warn" if source else "note", meaning, fix)


# Memory


def thp_mode() -> MachineCheck:
    mode = chosen(read(f"{THP}/enabled"))
    fix = write_command(f"{THP}/enabled", "madvise")
    off = "Variants on transparent huge pages are unavailable."
    if mode is None:
        return MachineCheck("THP", "not in this kernel", "missing", off)
    if mode == "never":
        return MachineCheck("THP", mode, "warn", off, fix)
    if mode == "always":
        meaning = "Every allocator gets huge pages without asking, so variants on base pages may get them too."
        return MachineCheck("THP", mode, "note", meaning, fix)
    return MachineCheck("THP", mode, "ok", "Only allocators that ask for huge pages get them.")


def thp_defrag() -> MachineCheck:
    mode = chosen(read(f"{THP}/defrag"))
    if mode is None:
        return MachineCheck("THP defrag", "not in this kernel", "missing", "There are no transparent huge pages.")
    if mode in ("madvise", "always", "defer+madvise"):
        meaning = "Where no huge page is free the kernel makes room at once, so creating a pool may take long."
        return MachineCheck("THP defrag", mode, "ok", meaning)
    meaning = "Where no huge page is free the kernel gives base pages: in fragmented memory pools get few huge pages."
    return MachineCheck("THP defrag", mode, "note", meaning, write_command(f"{THP}/defrag", "madvise"))


def thp_shmem() -> MachineCheck:
    mode = chosen(read(f"{THP}/shmem_enabled"))
    if mode is None:
        meaning = "Shared memory gets base or hugetlb pages only."
        return MachineCheck("THP shmem", "not in this kernel", "note", meaning)
    if mode in ("never", "deny"):
        meaning = "Shared memory and memfds get base pages, whatever an allocator asks for."
        return MachineCheck("THP shmem", mode, "note", meaning, write_command(f"{THP}/shmem_enabled", "advise"))
    return MachineCheck("THP shmem", mode, "ok", "Shared memory and memfds can get huge pages.")


def _huge(name: str, size_kb: int, want: int) -> MachineCheck:
    spare = machine.spare_huge_pages(size_kb)
    if spare is None:
        return MachineCheck(name, "not in this kernel", "missing", "Variants on these pages are unavailable.")
    free, on_demand = spare
    found = f"{free} free of {machine.huge_pages()[f'{size_kb}kB']['total'] or 0}, {on_demand} more on demand"
    if free > 0 or on_demand > 0:
        return MachineCheck(name, found, "ok", "Variants on these pages run while there are enough.")
    folder = f"{HUGEPAGES}/hugepages-{size_kb}kB"
    fix = write_command(f"{folder}/nr_hugepages", want)
    if os.access(f"{folder}/nr_overcommit_hugepages", os.W_OK):
        meaning = "None is reserved, but this user may raise the kernel's limit, so a backend can borrow some."
        return MachineCheck(name, found, "note", meaning, fix)
    return MachineCheck(name, found, "warn", "Variants on these pages are unavailable until some are reserved.", fix)


def huge_2mb() -> MachineCheck:
    return _huge("2 MB huge pages", 2048, 512)


def huge_1gb() -> MachineCheck:
    check = _huge("1 GB huge pages", 1048576, 2)
    if check.status == "ok":
        return check
    meaning = "No bundled variant needs them; with them a few TLB entries cover a pool of any size."
    return MachineCheck(check.name, check.found, "note", meaning, check.fix)


def memory() -> MachineCheck:
    available = machine.mem_available()
    meaning = "The pools of a case must fit in it together; a case that does not fit is refused before it starts."
    return MachineCheck("memory available", size_text(available), "ok" if available >= 1 << 30 else "warn", meaning)


def lock_limit() -> MachineCheck:
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    capabilities = re.search(r"^CapEff:\s*(\w+)", read("/proc/self/status") or "", re.MULTILINE)
    may_lock = bool(capabilities and int(capabilities[1], 16) >> 14 & 1)  # CAP_IPC_LOCK
    if soft == resource.RLIM_INFINITY or may_lock:
        found = "unlimited" if soft == resource.RLIM_INFINITY else f"{size_text(soft)}, which this user may exceed"
        return MachineCheck("locked memory", found, "ok", "Allocators may lock their memory.")
    meaning = "An allocator that locks its memory cannot lock more than this."
    fix = as_root("prlimit --pid $$ --memlock=unlimited")
    return MachineCheck("locked memory", size_text(soft), "note", meaning, fix)


def aslr() -> MachineCheck:
    level = machine.aslr()
    if level is None:
        return MachineCheck("ASLR", "not known", "note", "Addresses may differ from process to process.")
    if level == 0:
        meaning = "Addresses are the same in every process, so a lucky or unlucky layout stays in every figure."
        return MachineCheck("ASLR", "off", "note", meaning, write_command("/proc/sys/kernel/randomize_va_space", 2))
    meaning = "Addresses differ from process to process, so several processes average them."
    return MachineCheck("ASLR", "on", "ok", meaning)


# Libraries


def _install(debian: str, fedora: str) -> str:
    """The command that installs packages, or "" where the package manager is another one."""
    for manager, packages in (("apt-get", debian), ("dnf", fedora)):
        if shutil.which(manager):
            return as_root(f"{manager} install {packages}")
    return ""


def dpdk() -> MachineCheck:
    name, without = "DPDK", "DPDK's mempools cannot be measured; everything else can."
    if not shutil.which("pkg-config"):
        found = "not known: there is no pkg-config"
        return MachineCheck(name, found, "missing", without, _install("pkg-config libdpdk-dev", "pkgconf dpdk-devel"))
    version = pkg_config("--modversion", "libdpdk")
    if version is None:
        fix = _install("libdpdk-dev", "dpdk-devel")
        return MachineCheck(name, "pkg-config finds no libdpdk", "missing", without, fix)
    folder = Path(pkg_config("--variable=libdir", "libdpdk") or "")
    if not any(folder.glob("librte_mempool.*")):
        found = f"{version} by pkg-config, but no librte_mempool in {folder}"
        return MachineCheck(name, found, "missing", without, _install("--reinstall libdpdk-dev", "dpdk-devel"))
    return MachineCheck(name, version, "ok", "DPDK's mempools can be built and measured.")


CHECKS: Sequence[Callable[[], MachineCheck]] = (
    *(cores, numa, smt, governor, boost, hypervisor, load, clock_source),
    *(memory, thp_mode, thp_defrag, thp_shmem, huge_2mb, huge_1gb, lock_limit, aslr, dpdk),
)


def checks() -> list[MachineCheck]:
    """The findings of all checks. Takes about 0.2 s; for 100 ms of it one CPU is busy."""
    return [check() for check in CHECKS]


def render(found: Iterable[MachineCheck], width: int = 100) -> str:
    """Text for a terminal: for each finding a line "status  name  found", then what it means, then the command."""
    found = list(found)
    status = max(map(len, ("status", *(check.status for check in found))))
    name = max(map(len, ("name", *(check.name for check in found))))
    indent = " " * (status + name + 4)

    def wrap(text: str, first: str) -> list[str]:
        return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=indent, break_long_words=False)

    lines = []
    for check in found:
        lines += wrap(check.found, f"{check.status:<{status}}  {check.name:<{name}}  ")
        lines += wrap(check.meaning, indent)
        lines += [f"{indent}$ {check.fix}"] if check.fix else []  # unbroken, to be copied
    return "\n".join(lines)


def as_json(found: Iterable[MachineCheck]) -> list[dict[str, Any]]:
    """One object per finding, with the members of `MachineCheck`."""
    return [asdict(check) for check in found]
