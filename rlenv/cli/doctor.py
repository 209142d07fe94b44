"""What this machine and this installation can do, fit for a bug report: `rlenv doctor`."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from pathlib import Path
from typing import Any

import rlenv
from rlenv.cli.options import CommandParser, add_json
from rlenv.common.errors import main_guard
from rlenv.common.extras import EXTRAS, installed, pip_install
from rlenv.common.terminal import say, say_json
from rlenv.common.version import DISTRIBUTION, __version__

Section = dict[str, Any]

_SECONDS = 30.0  # that torch, and each sandbox, may take to answer
# packages whose versions decide how rlenv behaves, besides those of the extras
_PACKAGES = ("gymnasium", "numpy", "pydantic", "rich", "sympy", "httpx")
# variables that change what happens; none of them holds a secret
_VARIABLES = (
    *("CUDA_VISIBLE_DEVICES", "HF_DATASETS_OFFLINE", "HF_HUB_OFFLINE", "MKL_NUM_THREADS"),
    *("NO_COLOR", "OMP_NUM_THREADS", "PYTHONHASHSEED", "TRANSFORMERS_OFFLINE"),
)
_FLAGS = {"avx2": "AVX2", "avx512_bf16": "AVX-512 BF16", "amx_bf16": "AMX BF16", "asimd": "NEON"}

# asks torch in a process of its own: it is slow to import, and an installation that is broken may
# take the process along
_TORCH = """
import json, torch
gpus = []
if torch.cuda.is_available():
    for n in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(n)
        gpus.append({"name": about.name, "gigabytes": round(about.total_memory / 2**30, 1)})
mps = torch.backends.mps.is_available()
bf16 = torch.cuda.is_bf16_supported() if gpus else None
print(json.dumps({"threads": torch.get_num_threads(), "cuda": torch.version.cuda,
                  "gpus": gpus, "mps": mps, "bf16": bf16}))
"""


def parser() -> CommandParser:
    """Return the command line's parser."""
    made = CommandParser(
        prog="rlenv doctor",
        description="Say what this machine and this installation can do: threads, memory, GPU, "
        "sandboxes and why not, extras, versions, data. Paste it into a bug report.",
    )
    add_json(made)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv doctor`; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _doctor(arguments))


def _doctor(arguments: argparse.Namespace) -> None:
    found = examine()
    if arguments.json:
        say_json(found, indent=1)
    else:
        say(as_text(found))


def examine() -> dict[str, Section]:
    """Return what was found, as plain values, by section."""
    with ThreadPoolExecutor() as pool:
        torch = pool.submit(_torch)
        sandboxes = pool.submit(_sandboxes)
        found = {
            "rlenv": _rlenv(),
            "machine": _machine(),
            "torch": {},
            "extras": _extras(),
            "versions": _versions(),
            "sandbox": {},
            "data": _data(),
            "variables": {n: os.environ[n] for n in _VARIABLES if n in os.environ},
        }
        found["torch"], found["sandbox"] = torch.result(), sandboxes.result()
    return found


def as_text(found: Mapping[str, Section]) -> str:
    """Return what was found as plain text in a code block of Markdown."""
    lines = ["```text"]
    for name, section in found.items():
        if section:
            lines += ["", name] if len(lines) > 1 else [name]
        width = max(map(len, section), default=0)
        for key, value in section.items():
            shown = ", ".join(map(_plain, value)) if isinstance(value, list) else _plain(value)
            lines.append(f"  {key:<{width}}  {shown}")
    return "\n".join([*lines, "```"])


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return " ".join(map(_plain, value.values()))
    return " ".join(str("none" if value is None else value).split()).replace("```", "'''")


def _rlenv() -> Section:
    folder = Path(rlenv.__file__).parent
    found: Section = {"version": __version__, "installed as": "not installed; imported from a path"}
    try:
        about = importlib.metadata.distribution(DISTRIBUTION)
        found["installed as"] = f"{DISTRIBUTION} {about.version}"
        origin = json.loads(about.read_text("direct_url.json") or "{}")
        commit = origin.get("vcs_info", {}).get("commit_id")
    except importlib.metadata.PackageNotFoundError:
        commit = None
    return {**found, "commit": commit or _commit(folder.parent) or "unknown"}


def _commit(folder: Path) -> str | None:
    """Return the commit of a checkout; None where the folder is none, or git is missing."""
    if not (folder / ".git").exists() or shutil.which("git") is None:
        return None
    git = ["git", "-C", str(folder)]
    said = [
        subprocess.run([*git, *words], capture_output=True, text=True, timeout=10, check=False)
        for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
    ]
    if said[0].returncode != 0:
        return None
    return said[0].stdout.strip() + (", with changes of your own" if said[1].stdout.strip() else "")


def _machine() -> Section:
    processor, flags = _processor()
    memory = _gigabytes("/proc/meminfo", "MemTotal:"), _gigabytes("/proc/meminfo", "MemAvailable:")
    return {
        "system": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "processor": processor,
        "instructions": flags,
        "cores": f"{_usable_cores()} usable of {os.cpu_count()}",
        "memory": "unknown" if memory[0] is None else f"{memory[1]} of {memory[0]} GB free",
        "disk here": f"{shutil.disk_usage(Path.cwd()).free / 1e9:.1f} GB free",
    }


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> tuple[str, list[str]]:
    """Return the processor's name, and those of its instructions that matter here."""
    name, flags = platform.processor() or platform.machine(), set()
    path = Path("/proc/cpuinfo")
    for line in path.read_text(errors="replace").splitlines() if path.is_file() else ():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in ("flags", "Features"):
            flags = set(value.split())
            break
    return name, [label for flag, label in _FLAGS.items() if flag in flags]


def _gigabytes(file: str, key: str) -> float | None:
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return None
    return next((round(int(x.split()[1]) / 1e6, 1) for x in lines if x.startswith(key)), None)


def _torch() -> Section:
    if not installed("torch"):
        return {"torch": f"not installed; {pip_install('train')}"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TORCH],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"torch": f"no answer in {_SECONDS:g} s"}
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"]
        return {"torch": f"can't be imported: {said[-1]}"}
    found = json.loads(done.stdout.splitlines()[-1])
    built = f", built for CUDA {found['cuda']}" if found["cuda"] else ", built without CUDA"
    bf16 = found["bf16"]
    if bf16 is None:
        quick = any("BF16" in flag for flag in _processor()[1])
        bf16 = "yes" if quick else "the processor has no instructions for it"
    return {
        "torch": f"{importlib.metadata.version('torch')}{built}",
        "threads": found["threads"],
        "gpus": [f"{gpu['name']} {gpu['gigabytes']} GiB" for gpu in found["gpus"]]
        or ["Apple's MPS"] * found["mps"]
        or "none",
        "bfloat16": bf16,
    }


def _extras() -> Section:
    found: Section = {}
    for extra in dict.fromkeys(EXTRAS.values()):
        missing = [m for m, of in EXTRAS.items() if of == extra and not installed(m)]
        has = "installed" if not missing else f"lacks {', '.join(missing)}; {pip_install(extra)}"
        found[extra] = has
    return found


def _versions() -> Section:
    found: Section = {}
    for module in (*_PACKAGES, *EXTRAS):
        if module in _PACKAGES or installed(module):
            name = module.replace("_", "-")
            try:
                found[module] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                found[module] = "unknown"
    return found


def _sandboxes() -> Section:
    """Try each sandbox that protects; they say themselves why they can't work."""
    from rlenv.sandbox import Sandbox
    from rlenv.sandbox.selftest import BACKENDS
    from rlenv.sandbox.verdict import SandboxError

    def attempt(backend: str) -> str:
        try:
            with Sandbox(backend, workers=1):
                return "works"
        except SandboxError as error:
            return str(error).removeprefix(f"{backend} does not work here: ")

    names = [name for name in BACKENDS if name != "unsafe"]
    pool = ThreadPoolExecutor(len(names))
    trials = {name: pool.submit(attempt, name) for name in names}
    found: Section = {}
    for name, trial in trials.items():
        try:
            found[name] = trial.result(timeout=_SECONDS)
        except TookTooLong:
            found[name] = f"no answer in {_SECONDS:g} s"
    pool.shutdown(wait=False)
    return found


def _data() -> Section:
    from rlenv.core import registry
    from rlenv.core.rows import DATA_ROOT

    root = os.environ.get(DATA_ROOT)
    if root is None:
        local = f"none; {DATA_ROOT} names no folder"
    elif Path(root).expanduser().is_dir():
        local = f"{len(list(Path(root).expanduser().iterdir()))} entries in {DATA_ROOT}"
    else:
        local = f"none; {DATA_ROOT} names a folder that is not there"
    offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    kept = sorted(p.name for p in hub.glob("*s--*")) if hub.is_dir() else []
    return {
        "environments": len(registry.registered()),
        "local copies": local,
        "hub": "offline, as HF_HUB_OFFLINE says" if offline else "may be asked",
        "hub's cache": [name.replace("--", "/") for name in kept] or "empty",
    }
