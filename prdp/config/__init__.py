"""Turn the configuration that Hydra composes into a checked `Config`, or into a one-line error message."""

from prdp.config.config import GROUPS, Config
from prdp.config.errors import ConfigError
from prdp.config.explain import explain, unclear
from prdp.config.listing import listing
from prdp.config.parse import parse

__all__ = ["GROUPS", "Config", "ConfigError", "explain", "listing", "parse", "unclear"]
