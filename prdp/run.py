"""One run of one or several seeds: build its objects, train, and record the results of each seed."""

import logging
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from prdp.config import Config, ConfigError, parse
from prdp.group import Group, Outcome, run_info
from prdp.preparation import check_folders, enter, has_data, prepare, source_of
from prdp.records import RunFolder, provenance, read_rows, run_name, working

log = logging.getLogger(__name__)


def run(composed: DictConfig, experiment: str | None = None) -> list[Outcome]:
    """Run a composed Hydra configuration, and return the outcome of each of its seeds.

    A finished seed is skipped, and an unfinished one continues from its checkpoint. Several seeds train together in one
    program, spread over all devices. The record of each is the same as that of a single run, except for rounding and
    for the seconds, which are its share of the wall time. A single seed is a group of one.

    Args:
        composed: the configuration; `seed` is an integer, or a list of integers.
        experiment: the preset that the run belongs to, which trackers may use for grouping.

    Raises:
        ConfigError: If the configuration is wrong or a seed occurs twice, before any run folder is created. Also if a
            checkpoint holds the state of another kind of schedule.
        RunIsHeld: If another process is computing one of these runs.
        UnsuitableMetric: If the schedule cannot use its metric.
    """
    configs = _configs(composed)
    enter(configs[0], len(configs))
    folders = [folder_of(config) for config in configs]
    outcomes = [_recorded(config, folder) for config, folder in zip(configs, folders, strict=True)]
    for config, outcome in zip(configs, outcomes, strict=True):
        if outcome is not None:
            _show_late(config, outcome, experiment)
    missing = [i for i, outcome in enumerate(outcomes) if outcome is None]
    if missing:
        check_folders(configs[0].plain, [folders[i].path for i in missing], has_data(configs[0]))
        prepared = prepare(configs[0])
        with working([folders[i] for i in missing]):
            # Another process may have finished some of them in the meantime.
            for i in missing:
                outcomes[i] = _recorded(configs[i], folders[i])
            left = [i for i in missing if outcomes[i] is None]
            if left:
                members = [(configs[i].sharing(len(left)), folders[i]) for i in left]
                for config, folder in members:
                    _begin(config, folder)
                for i, outcome in zip(left, Group(members, prepared, experiment).train(), strict=True):
                    outcomes[i] = outcome
    return [outcome for outcome in outcomes if outcome is not None]


def _configs(composed: DictConfig) -> list[Config]:
    """Return the checked configuration of each seed."""
    seeds = composed.get("seed")
    if not isinstance(seeds, ListConfig):
        return [parse(composed)]
    seeds = list(seeds)
    if not seeds or any(type(seed) is not int for seed in seeds) or len(set(seeds)) < len(seeds):
        raise ConfigError(f"seed={seeds}: allowed is an integer, or a list of different ones")
    first = parse(OmegaConf.merge(composed, {"seed": seeds[0]}))  # type: ignore[arg-type]
    return [first.with_seed(seed) for seed in seeds]


def preview(composed: DictConfig) -> list[tuple[Path, str]]:
    """Return the folder and state of each seed's run, as `run` would find them; nothing is computed or left behind.

    Raises:
        ConfigError: If the configuration is wrong, or a folder cannot be written.
    """
    configs = _configs(composed)
    enter(configs[0], len(configs), keep_programs=False)
    found, folders = [], [folder_of(config) for config in configs]
    check_folders(configs[0].plain, [folder.path for folder in folders], has_data(configs[0]))
    for folder in folders:
        finished = folder.finished_summary() is not None and not configs[0].general.overwrite
        state = "finished before" if finished else "to continue" if folder.has_checkpoint else "to run"
        found.append((folder.path, state))
    return found


def _show_late(config: Config, outcome: Outcome, experiment: str | None) -> None:
    """Show a finished run to a sink that the configuration has only now."""
    sink = config.new_sink()
    if sink is None or not sink.lacks(outcome.folder):
        return
    rows = read_rows(outcome.folder / "history.parquet")
    converged = outcome.summary["converged_iterations"]
    sink.start(run_info(config, outcome.folder, rows, converged, experiment))
    sink.finish(outcome.summary)


def folder_of(config: Config) -> RunFolder:
    """Return the folder of a run."""
    return RunFolder(config.general.runs / run_name(config.identity(), config.determinants()))


def _recorded(config: Config, folder: RunFolder) -> Outcome | None:
    """Return the outcome of a run that is already finished, or `None` if it has to be computed."""
    summary = None if config.general.overwrite else folder.finished_summary()
    if summary is None:
        return None
    # The process may have been killed before it removed the checkpoints.
    folder.drop_checkpoints()
    if folder.is_of_other_source(source_of(config)):
        log.warning(
            "%s was finished by other source than the present one: the same command with overwrite=true repeats it",
            folder.path,
        )
    return Outcome(folder.path, summary, skipped=True)


def _begin(config: Config, folder: RunFolder) -> None:
    """Write what is known before training into a run folder that this process holds."""
    if config.general.overwrite:
        folder.discard()
    source = source_of(config)
    # A resumed run records the sources of all its parts.
    earlier = folder.sources() if folder.has_checkpoint else []
    if folder.has_checkpoint and folder.is_of_other_source(source):
        log.warning(
            "%s goes on from a checkpoint that other source than the present one wrote: overwrite=true begins anew",
            folder.path,
        )
    earlier = [x for x in dict.fromkeys(earlier) if x != source]
    folder.begin(config.plain, {**provenance(), "source": source, "earlier_sources": earlier})
