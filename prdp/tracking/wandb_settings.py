"""Where and how Weights & Biases logs runs: settings, W&B's limits and its environment variables."""

import os
from dataclasses import dataclass

from prdp.checks import one_of, shown

MODES = ("offline", "online", "disabled")
_PROJECT = "prdp"
# The values of WANDB_MODE that W&B accepts; `dryrun` and `run` are old names.
_ENVIRONMENT = {
    "offline": "offline",
    "online": "online",
    "disabled": "disabled",
    "dryrun": "offline",
    "run": "online",
}
# Limits of `wandb.Settings`.
LONGEST_TAG = 64
_LONGEST_PROJECT = 128
_NOT_IN_PROJECTS = "/\\#?%:"


@dataclass(frozen=True)
class WeightsAndBiasesSettings:
    """Where and how runs are logged.

    Args:
        mode: `offline` (upload later with `wandb sync`), `online` or `disabled`. Without an API key or a network, an
            online run continues offline after a warning. `None` takes the mode from WANDB_MODE; without that variable
            the mode is offline.
        project: the W&B project, 1 to 128 characters that `wandb.Settings` accepts. `None` takes it from
            WANDB_PROJECT, else it is `prdp`.
        entity: the W&B team or user. `None` takes it from WANDB_ENTITY, else it is the account's default.
        tags: further tags in addition to physics, solver, diff and schedule and to those of WANDB_TAGS (separated by
            commas), each of 1 to 64 characters.
        notes: a text about the run. `None` takes it from WANDB_NOTES.

    Raises:
        ValueError: If W&B does not accept an argument.
    """

    mode: str | None = None
    project: str | None = None
    entity: str | None = None
    tags: tuple[str, ...] = ()
    notes: str | None = None

    def __post_init__(self) -> None:
        if self.mode is not None:
            one_of("mode", self.mode, MODES, "or null for what WANDB_MODE says")
        if self.project is not None:
            _check_project("project", self.project)
        if self.entity is not None and not (self.entity.strip() and self.entity.isprintable()):
            raise ValueError(f"entity={shown(self.entity, strings=True)}: allowed is a name, or null")
        _check_tags("tags", self.tags)

    def chosen_mode(self) -> str:
        """Return `offline`, `online` or `disabled`: the option, else WANDB_MODE, else offline.

        Raises:
            ValueError: If W&B does not know the value of WANDB_MODE.
        """
        variable = os.environ.get("WANDB_MODE", "").strip().lower()
        if variable and variable not in _ENVIRONMENT:
            raise ValueError(f"WANDB_MODE={shown(variable)}: allowed are {', '.join(_ENVIRONMENT)}")
        return self.mode or _ENVIRONMENT.get(variable, "offline")

    def chosen_project(self) -> str:
        """Return the project: the option, else WANDB_PROJECT, else `prdp`.

        Raises:
            ValueError: If W&B does not accept the value of WANDB_PROJECT.
        """
        if self.project is not None:
            return self.project
        variable = os.environ.get("WANDB_PROJECT") or _PROJECT
        _check_project("WANDB_PROJECT", variable)
        return variable

    def chosen_tags(self) -> tuple[str, ...]:
        """Return the tags of the option and those of WANDB_TAGS.

        Raises:
            ValueError: If W&B does not accept one of WANDB_TAGS.
        """
        variable = tuple(tag.strip() for tag in os.environ.get("WANDB_TAGS", "").split(",") if tag.strip())
        _check_tags("WANDB_TAGS", variable)
        return (*self.tags, *variable)


def _check_project(key: str, value: str) -> None:
    usable = value.strip() and len(value) <= _LONGEST_PROJECT and value.isprintable()
    if not usable or set(value) & set(_NOT_IN_PROJECTS):
        allowed = f"1 to {_LONGEST_PROJECT} characters without any of {_NOT_IN_PROJECTS}"
        raise ValueError(f"{key}={shown(value, strings=True)}: allowed is {allowed}")


def _check_tags(key: str, tags: tuple[str, ...]) -> None:
    for tag in tags:
        if not (tag.strip() and len(tag) <= LONGEST_TAG and tag.isprintable()):
            allowed = f"each of 1 to {LONGEST_TAG} characters"
            raise ValueError(f"{key}: {shown(tag, strings=True)}: allowed is {allowed}")
