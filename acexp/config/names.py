"""Names of directories: what varies, as short as is clear, and the seed, which is never cut."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

LONGEST_NAME = 180
"""The most bytes of a directory's name. File systems allow 255, encrypted ones fewer, and acexp adds nothing to it."""

SEED = "seed"
UNCLEAR = frozenset({"name", "id", "every"})
"""Last parts of keys that are not clear by themselves: of `log.every` and `env.id`, both parts are shown."""


class NamedRun(NamedTuple):
    """What the name of a run's directory is made of."""

    overrides: Sequence[str]
    seed: int
    identity: str


def slug(text: str) -> str:
    """Return a directory name: unusual characters become dashes, and a long name ends in a hash of the whole."""
    return limited(re.sub(r"[^\w.=,+-]+", "-", text).strip("-") or "default")


def is_plain(name: str) -> bool:
    """Return True if a name that a user gives can be that of a directory, inside the folder that it is meant for."""
    return "/" not in name and slug(name) not in (".", "..") and bool(name.strip())


def limited(name: str, ending: str = "") -> str:
    """Return a name with its ending, in at most LONGEST_NAME bytes: only the name is cut, and ends in a hash."""
    whole = f"{name},{ending}" if name and ending else name or ending
    if len(whole.encode()) <= LONGEST_NAME:
        return whole
    tail = f"-{digest(name, 8)}{',' if ending else ''}{ending}"
    kept = name.encode()[: LONGEST_NAME - len(tail.encode())].decode(errors="ignore")
    return f"{kept}{tail}"


def digest(text: str, length: int = 6) -> str:
    """Return the first hexadecimal digits of a text's hash."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def setting_of(override: str) -> tuple[str, str]:
    """Return the key and the value of an override, without `+`, `~` and a package."""
    key, _, value = override.partition("=")
    return key.lstrip("+~").partition("@")[0], value


def varying_keys(runs: Iterable[Sequence[str]]) -> list[str]:
    """Return the keys that have more than one value in these runs' overrides, in the order of the command line."""
    settings = [dict(map(setting_of, run)) for run in runs]
    keys = dict.fromkeys(key for each in settings for key in each)
    return [key for key in keys if len({each.get(key) for each in settings}) > 1]


def short_keys(keys: Sequence[str]) -> dict[str, str]:
    """Return the shortest clear ending of each dotted key: `max_norm` of `clip.max_norm`, if no other ends like it."""
    parts = {key: re.split(r"[./]", key) for key in (*keys, SEED)}

    def shortest(key: str) -> str:
        own = parts[key]
        for n in range(1, len(own)):
            others = [each[-n:] for other, each in parts.items() if other != key]
            if own[-n] not in UNCLEAR and own[-n:] not in others:
                return ".".join(own[-n:])
        return key

    return {key: shortest(key) for key in keys}


def run_names(runs: Sequence[NamedRun], begun: Mapping[str, str], varying: Sequence[str] | None = None) -> list[str]:
    """Return the name of every run's directory in the folder of their sweep.

    A name says what varies, and the seed. A run that has begun keeps its directory, whatever it is called: earlier
    versions named directories by all overrides, and a sweep that grows varies in more keys. A run whose short name is
    taken by another run is named by all of its overrides.

    Args:
        runs: The runs, no two of which are equal.
        begun: The identities of the runs that have begun in the folder, by the names of their directories.
        varying: The keys that vary; None for those that do in these runs.
    """
    keys = varying_keys(run.overrides for run in runs) if varying is None else varying
    everything = dict.fromkeys(key for run in runs for key, _ in map(setting_of, run.overrides))
    short, full = _distinct(runs, short_keys(keys)), _distinct(runs, {key: key for key in everything if key != "name"})
    names: dict[int, str] = {}
    left = dict(begun)
    for wished in (short, full):
        for i, run in enumerate(runs):
            if i not in names and left.get(wished[i]) == run.identity:
                names[i] = wished[i]
                del left[wished[i]]
    others: dict[str, list[str]] = {}
    for name, identity in left.items():
        others.setdefault(identity, []).append(name)
    for i, run in enumerate(runs):
        if i not in names and others.get(run.identity):
            names[i] = others[run.identity].pop(0)
    return [
        names.get(i) or (full[i] if short[i] in begun and full[i] not in begun else short[i]) for i in range(len(runs))
    ]


def sweep_name(environment: str | None, varying: Iterable[str], arguments: Iterable[str]) -> str:
    """Return the name of a sweep that was given none: `halfcheetah,arch,clip.max_norm,seed-ea3287`.

    How a sweep is executed does not count in the hash, so that the same runs are found with other processes.
    """
    keys = dict.fromkeys(varying)
    shown = [*([environment] if environment else []), *sorted(key for key in keys if key != SEED)]
    shown += [SEED] if SEED in keys else []
    counted = [argument for argument in arguments if not re.match(r"hydra[./]launcher\b", argument)]
    ending = f"-{digest(chr(10).join(sorted(counted)))}"
    head = re.sub(r"[^\w.,+-]+", "-", ",".join(shown)).encode()[: LONGEST_NAME - len(ending)].decode(errors="ignore")
    return head.strip("-,") + ending


def former_sweep_name(arguments: Iterable[str]) -> str:
    """Return what earlier versions called a sweep that was given no name: a hash of its sorted overrides."""
    return digest("\n".join(sorted(arguments)), 10)


def _distinct(runs: Sequence[NamedRun], keys: Mapping[str, str]) -> list[str]:
    """Return a name of each run by these keys, which are shown as they map; a hash keeps equal names apart."""
    shown = [_cell(run.overrides, keys) for run in runs]
    exact = [str(sorted(map(setting_of, run.overrides))) for run in runs]
    names = [limited(cell, f"{SEED}={run.seed}") for cell, run in zip(shown, runs, strict=True)]
    counts = Counter(names)
    return [
        name if counts[name] == 1 else limited(f"{cell}-{digest(text)}" if cell else digest(text), f"{SEED}={run.seed}")
        for name, cell, text, run in zip(names, shown, exact, runs, strict=True)
    ]


def _cell(overrides: Sequence[str], keys: Mapping[str, str]) -> str:
    values = dict(map(setting_of, overrides))
    return ",".join(f"{keys[key]}={_plain(values[key])}" for key in sorted(keys) if key in values and key != SEED)


def _plain(value: str) -> str:
    """Return a value without brackets and quotes, and with dashes for what is unusual in the name of a file."""
    return re.sub(r"[^\w.+=-]+", "-", value.strip("[]{}()'\" ")) or "none"
