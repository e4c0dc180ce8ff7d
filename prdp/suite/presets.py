"""The presets of `conf/experiment/`: one for each figure or table of the paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from omegaconf import OmegaConf

from prdp.suite.grids import Overrides, expand


def preset_names() -> list[str]:
    """Return the names of all presets; Hydra must have been initialised."""
    return _loader().get_group_options("experiment")


def preset_jobs(name: str, given: Mapping[str, Sequence[str]], seeds: int | None = None) -> list[Overrides]:
    """Return the jobs of a preset, narrowed by `given` (see `expand`) and to the first `seeds` seeds.

    Raises:
        GridError: none is left.
    """
    config = compose("config", overrides=[f"experiment={name}"], return_hydra_config=True)
    sweeper = OmegaConf.masked_copy(config, "hydra").hydra.sweeper
    OmegaConf.set_readonly(sweeper, False)
    for key in ("seeds", "few_seeds"):
        sweeper[key] = list(sweeper[key])[:seeds]
    plain = OmegaConf.to_container(sweeper, resolve=True)
    assert isinstance(plain, dict)
    return expand(plain["grids"], given, groups())


def groups() -> dict[str, list[str]]:
    """Return the names of the configuration groups, and of the options of each."""
    names = _loader().repository.get_group_options("", ObjectType.GROUP)
    return {name: _loader().get_group_options(name) for name in names}


def preset_title(name: str, conf: Path) -> str:
    """Return the first comment of a preset's file: what it is."""
    lines = (conf / "experiment" / f"{name}.yaml").read_text().splitlines()
    return next(x.removeprefix("#").strip() for x in lines if x.startswith("# ") and "@package" not in x)


def _loader():  # type: ignore[no-untyped-def]
    return GlobalHydra.instance().config_loader()
