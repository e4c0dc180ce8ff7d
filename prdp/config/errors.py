"""The error that every invalid configuration raises."""


class ConfigError(ValueError):
    """A configuration cannot be run. The message is one line: the key, its value and what is allowed."""
