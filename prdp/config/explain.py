"""One line in place of what Hydra and OmegaConf say of a wrong command line."""

import difflib
import re
from collections.abc import Sequence
from typing import Any

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from prdp.checks import shown

# The launchers of Hydra's plugins, and the extra of prdp that installs each.
_EXTRAS = {"submitit_slurm": "cluster", "submitit_local": "cluster", "joblib": "cluster", "ray": "ray"}
_NOISE = (
    "full_key:",
    "object_type=",
    "reference_type=",
    "See https:",
    "Config search path:",
    "provider=",
    "^",
)
_LONGEST = 500


def explain(error: BaseException, overrides: Sequence[str] = ()) -> str | None:
    """Return one line for an error of Hydra or OmegaConf, or `None` for any other.

    Args:
        error: what composing a configuration raised.
        overrides: the command line, which is named where the error does not say what it is about.
    """
    if isinstance(error, OverrideParseException):
        what = shown(error.override, strings=True)
        return _line(f"{what}: allowed are KEY=VALUE, GROUP=OPTION, +KEY=VALUE and ~KEY ({_kept(error)})")
    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        return _no_option(error)
    cause: Any = error.__cause__
    parent = getattr(cause, "parent_node", None)
    known = [str(key) for key in parent if key != "_target_"] if isinstance(parent, DictConfig) else []
    if isinstance(error, HydraException) and known and cause.key not in known:
        return _line(
            f"{cause.full_key}: no such key; allowed are {', '.join(known)}{_hint(cause.key, known)}"
        )
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return None
    return unclear(error, overrides)


def unclear(error: BaseException, overrides: Sequence[str]) -> str:
    """Return one line for an error while composing, after the overrides."""
    given = f"{' '.join(overrides)}: " if overrides else ""
    return _line(f"{given}allowed is what Hydra can compose ({_kept(error)})")


def _no_option(error: MissingConfigException) -> str:
    missing = str(error.missing_cfg_file)
    group, _, name = missing.rpartition("/") if missing.startswith("hydra/") else missing.partition("/")
    if group == "hydra/launcher" and name in _EXTRAS:
        return f"{group}={name} is not installed: pip install 'prdp[{_EXTRAS[name]}]'"
    options = sorted(map(str, error.options or ()))
    if not options:
        return _line(f"{missing.replace('/', '=', 1)}: allowed is an option that there is ({_kept(error)})")
    return _line(f"{group}={name}: allowed are {', '.join(options)}{_hint(name, options)}")


def _hint(key: Any, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(key), known, 1)
    return f" (did you mean {close[0]}?)" if close else ""


def _kept(error: BaseException) -> str:
    # Hydra's messages span several lines, and the text is sometimes in the cause.
    lines = [x.strip() for x in f"{error}\n{error.__cause__ or ''}".splitlines()]
    return "; ".join(dict.fromkeys(x for x in lines if x and not x.startswith(_NOISE)))


def _line(text: str) -> str:
    """Return a text as one printable line, cut where it is very long."""
    text = " ".join(re.sub(r"[^\S ]", " ", text).split())
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
