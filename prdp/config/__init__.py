"""From what Hydra composes to a checked configuration, or one clear line that says what is wrong."""

from prdp.config.config import GROUPS, HOUSEKEEPING, Config
from prdp.config.errors import ConfigError
from prdp.config.parse import parse

__all__ = ["GROUPS", "HOUSEKEEPING", "Config", "ConfigError", "parse"]
