"""Convert a composed configuration into plain values of their declared types."""

from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prdp.checks import shown
from prdp.config.build import TARGET, canonical, defaults, locate, named
from prdp.config.config import CONTEXT, GROUPS, SolveOptions
from prdp.config.errors import ConfigError
from prdp.config.general import General


def check_names(config: DictConfig) -> None:
    """Check the option names before the references are resolved, since other keys refer to them.

    Raises:
        ConfigError: If a group's node is not a mapping, or its name cannot be part of a folder name.
    """
    raw = OmegaConf.to_container(config, resolve=False)
    assert isinstance(raw, dict)
    for group in GROUPS:
        named(group, raw.get(group))


def check_case(config: DictConfig) -> None:
    """Check the two keys that select the paper's settings: the scale, and the case of the physics.

    Raises:
        ConfigError: If there are no settings for the scale or the case.
    """
    if "paper" not in config:
        # The configuration of a recorded run: everything is resolved.
        return
    scale, sizes = config.get("scale"), _settings(config, "paper.sizes")
    if not isinstance(scale, str) or scale not in (sizes or ("full",)):
        name = OmegaConf.select(config, "physics.name")
        allowed = ", ".join(map(str, sizes or ("full",)))
        raise ConfigError(f"scale={shown(scale)}: allowed with physics={name}: {allowed}")
    cases = _settings(config, "paper.cases")
    parameters = OmegaConf.select(config, "physics.parameters")
    if cases is not None and str(parameters) not in cases:
        raise ConfigError(
            f"physics.parameters={shown(parameters)}: allowed are {', '.join(cases)}, for which the paper has settings"
        )


def _settings(config: DictConfig, key: str) -> DictConfig | None:
    """Return a table of the paper's settings, `None` if the physics has none.

    Raises:
        ConfigError: If it is not a mapping.
    """
    try:
        found = OmegaConf.select(config, key)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{key}: allowed is a mapping ({str(error).splitlines()[0]})") from error
    if found is not None and not isinstance(found, DictConfig):
        raise ConfigError(f"{key}={shown(found, strings=True)}: allowed is a mapping")
    return found


def resolve(config: DictConfig) -> dict[str, Any]:
    """Return the configuration with all references replaced by values.

    Raises:
        ConfigError: If a reference has no value, or a mandatory value is missing.
    """
    try:
        container = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        reason = str(error).strip().splitlines()[0]
        text = f"allowed is a value, or a reference to one ({reason})"
        if "paper." in reason:
            text = f"the paper has no setting for this case ({reason}); give a value"
        raise ConfigError(f"{error.full_key}: {text}" if error.full_key else text) from error
    assert isinstance(container, dict)
    return {str(k): v for k, v in container.items()}


def hint(config: DictConfig, message: str) -> str:
    """Return advice for a value of the wrong type that comes from an environment variable, else an empty text.

    Args:
        config: the composed configuration, with its references.
        message: the refusal, which begins with the key.
    """
    node: Any = OmegaConf.to_container(config, resolve=False)
    for part in message.partition("=")[0].split("."):
        node = node.get(part) if isinstance(node, dict) else None
    if isinstance(node, str) and node.startswith("${oc.env:") and node.endswith("}"):
        return f" (environment variables are texts: '${{oc.decode:{node}}}' with these quotes is a number)"
    return ""


def as_one_text(plain: dict[str, Any]) -> dict[str, Any]:
    """Return a checked configuration in canonical form, so that equal configurations give equal text.

    It includes the default arguments of classes from other packages.
    """
    general = canonical(General, {k: v for k, v in plain.items() if k not in GROUPS})
    groups = {}
    for group in GROUPS:
        name, options = named(group, plain[group])
        if options.get(TARGET) is not None:
            target = locate(options[TARGET], group)
            options = {
                **options,
                **{k: v for k, v in defaults(target, CONTEXT.get(group, ())).items() if k not in options},
            }
            options = canonical(target, options)
        if group == "solver":
            options = canonical(SolveOptions, options)
        groups[group] = {"name": name, **options}
    # Keep the order in which the keys were written.
    return {k: groups[k] if k in groups else general[k] for k in plain}
