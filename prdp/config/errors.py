"""The one error that a wrong configuration ends in."""


class ConfigError(ValueError):
    """A configuration that cannot be run. Its text is one line: key, value and what is allowed."""
