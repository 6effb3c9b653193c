# SPDX-License-Identifier: BSD-3-Clause
"""What this machine has for measuring allocators: what was found, what it means, the command to change it."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import resource
import shutil
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from allocmark.system import machine
from allocmark.system.machine import CPU, HUGEPAGES, THP, chosen, read, read_int

Status = Literal["ok", "note", "warn", "missing"]


@dataclass(frozen=True)
class MachineCheck:
    """One finding. "note": good to know; "warn": figures suffer; "missing": something cannot be measured.

    ``meaning`` is one sentence on what it does to a measurement; ``fix`` the command that changes it, or "".
    """

    name: str
    found: str
    status: Status
    meaning: str
    fix: str = ""


def _as_root(command: str) -> str:
    return command if os.geteuid() == 0 else f"sudo {command}"


def _set(path: str, value: object) -> str:
    """The command that writes a value into a file of the kernel."""
    return f"echo {value} > {path}" if os.geteuid() == 0 else f"echo {value} | sudo tee {path}"


def _size(n: int) -> str:
    return f"{n / (1 << 30):.1f} GiB" if n >= 1 << 30 else f"{n / (1 << 20):.4g} MiB"


def _run(*command: str) -> str | None:
    """The stripped output of a quick command, or None when it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _install(debian: str, fedora: str) -> str:
    """The command that installs packages, or "" where the package manager is another one."""
    for manager, packages in (("apt-get", debian), ("dnf", fedora)):
        if shutil.which(manager):
            return _as_root(f"{manager} install {packages}")
    return ""


# CPUs


def cores() -> MachineCheck:
    cpus = machine.usable_cpus()
    quota = machine.cpu_quota()
    found = f"{len(cpus)} usable of {os.cpu_count()} CPUs"
    meaning = "A workload with more actors than usable CPUs does not run."
    if quota is not None and quota < len(cpus):
        meaning = "The container's CPU quota pauses threads, so that times have gaps: run without one."
        return MachineCheck("cores", f"{found}, quota {quota:g} CPUs", "warn", meaning)
    if len(cpus) == 1:
        meaning = "Nothing can be measured across cores, and other processes share the only one."
        return MachineCheck("cores", found, "warn", meaning)
    return MachineCheck("cores", found, "ok", meaning)


def numa() -> MachineCheck:
    nodes = {machine.cpu_node(cpu) for cpu in machine.usable_cpus()}
    if len(nodes) == 1:
        return MachineCheck("NUMA nodes", "1", "ok", "All memory is local; nothing can be said about remote memory.")
    meaning = "Actors are pinned on one node as far as its cores reach; an object of another node costs more."
    return MachineCheck("NUMA nodes", str(len(nodes)), "note", meaning)


def smt() -> MachineCheck:
    control = read(f"{CPU}/smt/control")
    if control == "on" and read(f"{CPU}/smt/active") == "1":
        meaning = "Two threads share a core; actors get a core each while there are enough, so keep the rest idle."
        return MachineCheck("SMT", "on", "note", meaning, _set(f"{CPU}/smt/control", "off"))
    if read(f"{CPU}/smt/active") == "1":
        return MachineCheck("SMT", f"on ({control})", "note", "Two threads share a core.")
    meaning = "No two CPUs share a core, as far as this system knows."
    found = {None: "not known", "notsupported": "none"}.get(control, control)
    return MachineCheck("SMT", str(found), "ok" if control else "note", meaning)


def governor() -> MachineCheck:
    governors = {read(str(path)) for path in Path(CPU).glob("cpu[0-9]*/cpufreq/scaling_governor")} - {None}
    found = ", ".join(sorted(g for g in governors if g))
    if not found:
        meaning = "The clock of the cores is not this system's to set; the hypervisor or the firmware does."
        return MachineCheck("governor", "none", "note", meaning)
    if governors == {"performance"}:
        return MachineCheck("governor", found, "ok", "The cores keep their highest clock.")
    meaning = "The clock rises only after a while under load, so that the first samples are slower."
    fix = _as_root("cpupower frequency-set -g performance")
    return MachineCheck("governor", found, "warn", meaning, fix)


def boost() -> MachineCheck:
    on = machine.boost()
    if on is None:
        return MachineCheck(
            "boost", "not known", "note", "The clock may change with temperature and load; unseen here."
        )
    if not on:
        return MachineCheck("boost", "off", "ok", "The clock does not depend on temperature and on the other cores.")
    meaning = "The clock depends on temperature and on how many cores work; interleaving evens it out in part."
    intel = f"{CPU}/intel_pstate/no_turbo"
    fix = _set(intel, 1) if os.path.exists(intel) else _set(f"{CPU}/cpufreq/boost", 0)
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
    """Steal is seen only by a CPU that wants to run: hence a busy look of 100 ms."""
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
        meaning = "The hypervisor takes CPU time away: affected samples are marked, and intervals are wide."
        return MachineCheck("hypervisor", found, "warn", meaning)
    if name:
        meaning = "Neighbours may share caches and memory: trust ratios of interleaved samples, not single times."
        return MachineCheck("hypervisor", found, "note", meaning)
    return MachineCheck("hypervisor", found, "ok", "The CPUs are this system's own.")


def load() -> MachineCheck:
    average = os.getloadavg()[0]
    found = f"{average:.2f} in the last minute"
    if average < 0.5:
        return MachineCheck("load", found, "ok", "Nothing else keeps the CPUs busy.")
    meaning = "Other work shares caches and CPUs, or has just ended; samples that lost their CPU are marked."
    return MachineCheck("load", found, "warn", meaning, "ps -eo pcpu,pid,args --sort=-pcpu | head")


def clock_source() -> MachineCheck:
    source = read("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    if source in ("tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "timebase"):
        return MachineCheck("clock source", source, "ok", "The clock is read without entering the kernel.")
    meaning = "Reading the clock may enter the kernel, which shows in the latency of single calls."
    available = read("/sys/devices/system/clocksource/clocksource0/available_clocksource") or ""
    fix = ""
    if "tsc" in available.split():
        fix = _set("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc")
    return MachineCheck("clock source", source or "not known", "warn" if source else "note", meaning, fix)


# Memory


def thp_mode() -> MachineCheck:
    mode = chosen(read(f"{THP}/enabled"))
    path = f"{THP}/enabled"
    if mode is None:
        return MachineCheck("THP", "not in this kernel", "missing", "No transparent huge pages: variants on THP fail.")
    if mode == "never":
        meaning = "No transparent huge pages: variants on THP fail."
        return MachineCheck("THP", mode, "warn", meaning, _set(path, "madvise"))
    if mode == "always":
        meaning = "Every allocator gets huge pages without asking: base pages are seen only where one declines."
        return MachineCheck("THP", mode, "note", meaning, _set(path, "madvise"))
    return MachineCheck("THP", mode, "ok", "Allocators that ask for huge pages get them, and no others.")


def thp_defrag() -> MachineCheck:
    mode = chosen(read(f"{THP}/defrag"))
    if mode is None:
        return MachineCheck("THP defrag", "not in this kernel", "missing", "No transparent huge pages.")
    if mode in ("madvise", "always", "defer+madvise"):
        meaning = "A page fault that finds no free huge page makes room at once: populating a pool may take long."
        return MachineCheck("THP defrag", mode, "ok", meaning)
    meaning = "A page fault that finds no free huge page takes base pages: in fragmented memory THP is not reached."
    return MachineCheck("THP defrag", mode, "note", meaning, _set(f"{THP}/defrag", "madvise"))


def thp_shmem() -> MachineCheck:
    mode = chosen(read(f"{THP}/shmem_enabled"))
    if mode is None:
        return MachineCheck(
            "THP shmem", "not in this kernel", "note", "Shared memory is on base or hugetlb pages only."
        )
    if mode in ("never", "deny"):
        meaning = "Memory that is shared or of a memfd stays on base pages, whatever an allocator asks for."
        return MachineCheck("THP shmem", mode, "note", meaning, _set(f"{THP}/shmem_enabled", "advise"))
    return MachineCheck("THP shmem", mode, "ok", "Memory that is shared or of a memfd may be on huge pages.")


def _huge(name: str, size_kb: int, want: int) -> MachineCheck:
    pages = machine.huge_pages().get(f"{size_kb}kB")
    folder = f"{HUGEPAGES}/hugepages-{size_kb}kB"
    if pages is None:
        return MachineCheck(name, "not in this kernel", "missing", "No variant on these pages can run.")
    free = (pages["free"] or 0) - (pages["reserved"] or 0)
    surplus = max(0, (pages["overcommit"] or 0) - (pages["surplus"] or 0))
    found = f"{free} free of {pages['total'] or 0}, {surplus} more on demand"
    if free > 0 or surplus > 0:
        return MachineCheck(name, found, "ok", "Variants on these pages run as far as the pages go.")
    fix = _set(f"{folder}/nr_hugepages", want)
    if os.geteuid() == 0 and os.access(f"{folder}/nr_overcommit_hugepages", os.W_OK):
        meaning = "None is reserved; a backend that runs as root, as here, may take some and give them back."
        return MachineCheck(name, found, "note", meaning, fix)
    return MachineCheck(name, found, "warn", "Variants on these pages are unavailable until some are reserved.", fix)


def huge_2mb() -> MachineCheck:
    return _huge("2 MB huge pages", 2048, 512)


def huge_1gb() -> MachineCheck:
    check = _huge("1 GB huge pages", 1048576, 2)
    if check.status == "ok":
        return check
    meaning = "Nothing bundled needs them; they cover a pool of any size with a few TLB entries."
    return MachineCheck(check.name, check.found, "note", meaning, check.fix)


def memory() -> MachineCheck:
    available = machine.mem_available()
    meaning = "Pools together must fit in it; a larger one is refused before it starts."
    status: Status = "ok" if available >= 1 << 30 else "warn"
    return MachineCheck("memory available", _size(available), status, meaning)


def lock_limit() -> MachineCheck:
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    capabilities = re.search(r"^CapEff:\s*(\w+)", read("/proc/self/status") or "", re.MULTILINE)
    may_lock = bool(capabilities and int(capabilities[1], 16) >> 14 & 1)  # CAP_IPC_LOCK
    if soft == resource.RLIM_INFINITY or may_lock:
        found = "unlimited" if soft == resource.RLIM_INFINITY else f"{_size(soft)}, and the right to exceed it"
        return MachineCheck("locked memory", found, "ok", "Allocators may lock their memory.")
    meaning = "An allocator that locks its memory cannot lock more than this."
    return MachineCheck("locked memory", _size(soft), "note", meaning, _as_root("prlimit --pid $$ --memlock=unlimited"))


def aslr() -> MachineCheck:
    level = machine.aslr()
    if level is None:
        return MachineCheck("ASLR", "not known", "note", "Addresses may differ from process to process.")
    if level == 0:
        meaning = "Addresses are the same in every process: a lucky or unlucky layout is never averaged out."
        return MachineCheck("ASLR", "off", "note", meaning, _set("/proc/sys/kernel/randomize_va_space", 2))
    return MachineCheck(
        "ASLR", "on", "ok", "Layouts differ from process to process, so several processes average them."
    )


# Instruments

_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241, "riscv64": 241}
_ENABLE, _DISABLE = 0x2400, 0x2401
_PARANOID = "/proc/sys/kernel/perf_event_paranoid"


def count_instructions(work: Callable[[], object]) -> int:
    """Instructions of this thread in user space while ``work`` runs. Raises OSError where there are none."""
    number = _PERF_EVENT_OPEN.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, f"number of perf_event_open not known on {os.uname().machine}")
    # struct perf_event_attr, version 0: hardware event 1 (instructions); disabled, without kernel, hypervisor
    attribute = (ctypes.c_uint64 * 8)(64 << 32, 1, 0, 0, 0, 1 << 0 | 1 << 5 | 1 << 6)
    libc = ctypes.CDLL(None, use_errno=True)
    this_thread, any_cpu = ctypes.c_long(0), ctypes.c_long(-1)
    no_group, close_on_exec = ctypes.c_long(-1), ctypes.c_ulong(8)
    call = ctypes.c_long(number)
    fd = libc.syscall(call, ctypes.byref(attribute), this_thread, any_cpu, no_group, close_on_exec)
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    try:
        libc.ioctl(fd, ctypes.c_ulong(_ENABLE), 0)
        work()
        libc.ioctl(fd, ctypes.c_ulong(_DISABLE), 0)
        return int.from_bytes(os.read(fd, 8), "little")
    finally:
        os.close(fd)


def counters() -> MachineCheck:
    name, without = (
        "hardware counters",
        "Instructions are counted under Valgrind instead, TLB misses are modelled.",
    )
    try:
        count = count_instructions(lambda: sum(range(10_000)))
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0, str(error.errno))
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP, errno.ENXIO):
            found = f"none ({code}: the CPU, as the hypervisor shows it, has no instruction counter)"
            return MachineCheck(name, found, "missing", without)
        if error.errno in (errno.EACCES, errno.EPERM):
            level = read_int(_PARANOID)
            found = f"forbidden ({code}: perf_event_paranoid is {level})"
            if level is not None and level <= 2:
                found = f"forbidden ({code}, although perf_event_paranoid is {level}: a sandbox forbids the call)"
                return MachineCheck(name, found, "missing", without)
            return MachineCheck(name, found, "missing", without, _set(_PARANOID, 2))
        return MachineCheck(name, f"none ({code}: {error.strerror})", "missing", without)
    if count == 0:
        return MachineCheck(name, "opened, but they count nothing", "missing", without)
    return MachineCheck(name, "instructions are counted", "ok", "Instructions and misses an object are counted.")


def dpdk() -> MachineCheck:
    name, without = "DPDK", "Its mempools cannot be measured; everything else can."
    if not shutil.which("pkg-config"):
        found = "not known: there is no pkg-config"
        return MachineCheck(name, found, "missing", without, _install("pkg-config libdpdk-dev", "pkgconf dpdk-devel"))
    version = _run("pkg-config", "--modversion", "libdpdk")
    if version is None:
        return MachineCheck(
            name, "libdpdk not found by pkg-config", "missing", without, _install("libdpdk-dev", "dpdk-devel")
        )
    folder = Path(_run("pkg-config", "--variable=libdir", "libdpdk") or "")
    if not any(folder.glob("librte_mempool.*")):
        found = f"{version} by pkg-config, but no librte_mempool in {folder}"
        return MachineCheck(name, found, "missing", without, _install("--reinstall libdpdk-dev", "dpdk-devel"))
    return MachineCheck(name, version, "ok", "Its mempools can be built and measured.")


def valgrind() -> MachineCheck:
    version = _run("valgrind", "--version")
    if version is None:
        meaning = "Without hardware counters, instructions an object cannot be counted."
        return MachineCheck("Valgrind", "not found", "missing", meaning, _install("valgrind", "valgrind"))
    meaning = "Instructions an object can be counted exactly, without hardware counters."
    return MachineCheck("Valgrind", version.removeprefix("valgrind-"), "ok", meaning)


CHECKS: Sequence[Callable[[], MachineCheck]] = (
    *(cores, numa, smt, governor, boost, hypervisor, load, clock_source),
    *(memory, thp_mode, thp_defrag, thp_shmem, huge_2mb, huge_1gb, lock_limit, aslr),
    *(counters, valgrind, dpdk),
)


def checks() -> list[MachineCheck]:
    """Look at everything; about a quarter of a second, of which 100 ms spin on one CPU."""
    return [check() for check in CHECKS]


def render(found: Iterable[MachineCheck], width: int = 100) -> str:
    """Text for a terminal: a line "status  name  found" each, then what it means, then the command."""
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
    """One object a check, with the members of `MachineCheck`."""
    return [asdict(check) for check in found]
