"""The schema of `conf/`: what each option may be, and one clear line where it is something else."""

from prdp.config.build import ConfigError
from prdp.config.options import SCHEMA
from prdp.config.parse import Config, parse

__all__ = ["SCHEMA", "Config", "ConfigError", "parse"]
