"""The presets in `conf/experiment/`, e.g. one for each figure or table of the paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from omegaconf import OmegaConf

from prdp.suite.grids import Overrides, expand


def preset_names() -> list[str]:
    """Return the names of all presets. Hydra must have been initialised."""
    return _loader().get_group_options("experiment")


def preset_jobs(name: str, given: Mapping[str, Sequence[str]], seeds: int | None = None) -> list[Overrides]:
    """Return the jobs of a preset, narrowed by `given` (see `expand`) and limited to the first `seeds` seeds.

    Raises:
        GridError: If no job is left, or if a narrowing value is not an option of its group.
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
    """Return the names of the configuration groups, and the options of each."""
    names = _loader().repository.get_group_options("", ObjectType.GROUP)
    return {name: _loader().get_group_options(name) for name in names}


def preset_title(name: str, conf: Path) -> str:
    """Return the title of a preset, which is the first comment of its file."""
    lines = (conf / "experiment" / f"{name}.yaml").read_text().splitlines()
    return next(x.removeprefix("#").strip() for x in lines if x.startswith("# ") and "@package" not in x)


def _loader():  # type: ignore[no-untyped-def]
    return GlobalHydra.instance().config_loader()
