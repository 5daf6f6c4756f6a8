"""Short messages for Hydra's own errors."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra.core.config_store import ConfigStore
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from acexp.config.groups import GROUPS
from acexp.config.keys import PARAMETERS, choices_with, no_such_setting, settings_beside, takes_any_key
from acexp.config.places import place_of
from acexp.core.errors import UserError

_NO_CHOICE = "Config group override must be"
"""The beginning of what Hydra says about `arch=null`; it raises a bare ValueError."""


@contextmanager
def explained(arguments: Sequence[str]) -> Iterator[None]:
    """Raise Hydra's own errors as UserErrors; without HYDRA_FULL_ERROR it would print them and exit by itself."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        with _interruptible():
            yield
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, arguments) from None
    except ValueError as error:
        if not str(error).startswith(_NO_CHOICE):
            raise
        chosen = [argument for argument in arguments if argument.endswith("=null")]
        key = next((name for name in GROUPS if f"{name}=null" in chosen), None)
        raise UserError(
            "A config group takes one of its choices.",
            key=key,
            place=place_of(key, arguments),
            remedy="`acexp list` shows the choices of every group",
        ) from None
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before


@contextmanager
def _interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt again where OmegaConf fails over a config that Ctrl-C left half changed."""
    try:
        yield
    except Exception as error:
        *_, innermost = traceback.walk_tb(error.__traceback__)
        raised_in = str(innermost[0].f_globals.get("__name__")).partition(".")[0]
        if raised_in in ("hydra", "omegaconf") and _follows_interrupt(error):
            raise KeyboardInterrupt from None
        raise


def _follows_interrupt(error: BaseException | None) -> bool:
    """Return True if an error was raised while a KeyboardInterrupt was handled."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def explain(error: HydraException | OmegaConfBaseException, arguments: Sequence[str]) -> UserError:
    """Return the UserError that explains an error of Hydra or OmegaConf to the user who gave these arguments."""
    if isinstance(error, OmegaConfBaseException):
        key = str(error.full_key or "") or None
        return UserError(str(error).split("\n")[0], key=key, place=place_of(key, arguments))
    if isinstance(error, OverrideParseException):
        return UserError(
            "An override cannot be read.",
            value=error.override,
            place=f"command line: {error.override}",
            remedy="write key=value, with quotes around characters that are special to the shell: seed='range(10)'",
        )
    if isinstance(error, MissingConfigException):
        return _missing_choice(error)
    text = str(error)
    key = _key_in(text)
    if "Could not append" in text and key is not None:
        return UserError(
            f"The setting {key!r} exists already, and + adds a new one.",
            key=key,
            place=place_of(key, arguments),
            remedy=f"leave out the +: {key}=...",
        )
    if isinstance(error, ConfigCompositionException) and key is not None and takes_any_key(key):
        parent, _, name = key.rpartition(".")
        return UserError(
            f"{parent} has no {name!r} yet, and + adds it.",
            key=key,
            place=place_of(key, arguments),
            remedy=f"write +{_given(key, arguments)}",
        )
    if isinstance(error, ConfigCompositionException) and key is not None:
        of_plugins = _settings_of_plugins(key)
        choices = tuple(of_plugins) or settings_beside(key)
        remedy = _remedy_for_absent(key, arguments) if key in choices else None
        belongs = f"it belongs to {of_plugins[key]}" if key in of_plugins else remedy
        return no_such_setting(key, choices, belongs).at(place_of(key, arguments))
    if "requires --multirun" in text or "Ambiguous value" in text:
        return UserError(
            text.splitlines()[0],
            place="command line",
            remedy="add -m to train one run for each value; a list is written key=[a,b]",
        )
    if "Error merging override" in text:
        return _unfit(text, error.__cause__)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return UserError(lines[0] if lines else type(error).__name__, remedy=" ".join(lines[1:3]) or None)


def _remedy_for_absent(key: str, arguments: Sequence[str]) -> str:
    """Return what to do about a setting that some choice has, and that the composed config does not contain."""
    owners = choices_with(key)
    chosen = {argument.replace(".name=", "=", 1) for argument in arguments}
    if owners and not chosen.intersection(owners):
        return f"it belongs to {' and '.join(owners)}"
    return f"write +{key}=...: this choice's YAML does not contain it"


def _unfit(text: str, cause: BaseException | None) -> UserError:
    """Return the UserError for an override whose value does not fit its setting."""
    override = text.partition("Error merging override ")[2].splitlines()[0]
    reason = str(cause).splitlines()[0]
    if "Cannot merge" in reason:
        reason = "a list is written KEY=[A,B], and a group of settings KEY={A: 1}"
    return UserError(
        f"An override has a value that its setting cannot take: {reason}",
        key=override.partition("=")[0].lstrip("+"),
        place=f"command line: {override}",
        remedy="give what is swept over as overrides: acexp -m KEY=VALUE,VALUE"
        if PARAMETERS in override
        else "see `acexp --cfg all` for the settings and their types",
    )


def _given(key: str, arguments: Sequence[str]) -> str:
    """Return the override of a key as it was given."""
    return next((argument for argument in arguments if argument.startswith(f"{key}=")), f"{key}=...")


def _key_in(text: str) -> str | None:
    match = re.search(r"Could not (?:override|append|delete)[^']*'([^'=@]+)", text)
    if match is None:
        match = re.search(r"Key '([^']+)' is not in struct", text)
    return match.group(1) if match else None


def _settings_of_plugins(key: str) -> dict[str, str]:
    """Return the settings beside keys like `hydra.launcher.key`, of all plugins of that group, each with its plugin.

    The result is empty for other keys.
    """
    parent = key.rpartition(".")[0]
    top, _, rest = parent.partition(".")
    group, *parts = rest.split(".")
    store = ConfigStore.instance()
    if top != "hydra" or group not in store.repo["hydra"]:
        return {}
    found: dict[str, str] = {}
    for name in store.list(f"hydra/{group}"):
        node = store.load(f"hydra/{group}/{name}").node
        node = OmegaConf.select(node, ".".join(parts)) if parts else node
        if isinstance(node, DictConfig):
            settings = [str(setting) for setting in node]
            plugin = f"hydra/{group}={name.removesuffix('.yaml')}"
            found |= {f"{parent}.{setting}": plugin for setting in settings if not setting.startswith("_")}
    return found


def _missing_choice(error: MissingConfigException) -> UserError:
    path = str(error.missing_cfg_file or "")
    group, _, name = path.rpartition("/")
    options = tuple(option for option in (error.options or ()) if "/" not in option)
    if not options and "group" not in str(error):
        return UserError(str(error).strip().splitlines()[0], place="command line")
    return UserError(
        f"There is no {group or 'config'} called {name!r}.",
        key=group or None,
        value=name,
        place=f"command line: {group}={name}",
        choices=options,
        remedy=f"choose one of these; `acexp list {group}` describes each" if group in GROUPS else None,
    )
