"""The paper's numbers: claims with their places, settings and rules, read from `results/paper.yaml`."""

import inspect
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from prdp.analysis.quantities import QUANTITIES
from prdp.analysis.rules import Published, Rule

# Unit -> factor on recorded values, decimals in print, suffix in print.
UNITS = {
    "%": (100.0, 1, " %"),
    "1e-2": (100.0, 2, " x1e-2"),
    "1e-5": (1e5, 2, " x1e-5"),
    "iterations": (1.0, 1, ""),
    "1000 iterations": (1e-3, 2, "K"),
    "updates": (1.0, 0, ""),
    "exponent": (1.0, 3, ""),
}


class Setting(Enum):
    """Whose settings the runs of a claim have."""

    PRINTED = "printed"
    RELEASED = "released"
    CHOSEN = "chosen"

    @property
    def text(self) -> str:
        """The setting in words."""
        return {
            Setting.PRINTED: "as the paper prints it",
            Setting.RELEASED: "as the released code has it",
            Setting.CHOSEN: "chosen after seeing results: yes",
        }[self]


@dataclass(frozen=True)
class Claim:
    """A number of the paper.

    Attributes:
        id: its name.
        place: section, figure or table of the paper.
        statement: what the number measures.
        paper: the number in `unit`; null if only its sign is claimed.
        spread: its standard deviation in the paper in `unit`; null if none is given.
        unit: a key of `UNITS`.
        rule: when it is reproduced.
        quantity: name in `QUANTITIES`.
        parameters: arguments of the quantity.
        experiments: the experiments whose runs are judged.
        physics: which of their runs; null for all.
        where: values that columns of these runs must have.
        seeds: number of seeds in the paper; 1 if no seed changes the number.
        setting: whose settings the runs have.
        reading: these settings in words; null for the printed ones where no other exist.
        why: the reason for the difference, given if the verdict is "contradicted".
    """

    id: str
    place: str
    statement: str
    unit: str
    rule: Rule
    quantity: str
    experiments: tuple[str, ...]
    paper: float | None = None
    spread: float | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    physics: str | None = None
    where: dict[str, Any] = field(default_factory=dict)
    seeds: int = 10
    setting: Setting = Setting.PRINTED
    reading: str | None = None
    why: str | None = None

    def number(self, value: float | None, spread: float | None = None, *, exact: bool = False) -> str:
        """Return a value in the claim's unit as text, with a spread if there is one.

        Args:
            value: null if there is none.
            spread: null if there is none.
            exact: print all digits of the value (the paper's numbers); otherwise those of the unit.
        """
        if value is None:
            return "-"
        texts = [f"{v:g}" if exact else f"{v:.{self._decimals}f}" for v in (value, spread) if v is not None]
        return " ± ".join(texts) + self._suffix

    def interval(self, low: float | None, high: float | None) -> str:
        """Return an interval in the claim's unit as text; empty without one."""
        if low is None or high is None:
            return ""
        return f"{low:.{self._decimals}f} to {high:.{self._decimals}f}{self._suffix}"

    @property
    def printed(self) -> str:
        """The paper's number as text."""
        return (
            self.rule.paper_text if self.paper is None else self.number(self.paper, self.spread, exact=True)
        )

    @property
    def published(self) -> Published:
        """The paper's number with its spread and seeds."""
        return Published(self.paper, self.spread, self.seeds)

    @property
    def read(self) -> str:
        """The settings in words, with a mark if they were chosen after seeing results; may be empty."""
        mark = self.setting.text if self.setting is Setting.CHOSEN else ""
        return "; ".join(filter(None, (self.reading, mark)))

    @property
    def _decimals(self) -> int:
        return UNITS[self.unit][1]

    @property
    def _suffix(self) -> str:
        return UNITS[self.unit][2]


def load_claims(path: Path) -> list[Claim]:
    """Return the claims of a YAML file, each with its rule.

    Raises:
        ValueError: a claim has an unknown key, quantity, parameter, rule, setting or unit, or an id that is taken.
    """
    document = yaml.safe_load(path.read_text())
    rules = {name: Rule(name=name, **_floats(values)) for name, values in document["rules"].items()}
    claims: list[Claim] = []
    for entry in document["claims"]:
        try:
            claims.append(_claim(entry, rules))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path.name}, claim {entry.get('id')}: {error}") from error
    ids = [claim.id for claim in claims]
    repeated = sorted({i for i in ids if ids.count(i) > 1})
    if repeated:
        raise ValueError(f"{path.name}: more than one claim is called {', '.join(repeated)}")
    return claims


def _claim(entry: dict[str, Any], rules: dict[str, Rule]) -> Claim:
    entry, runs = _floats(entry), dict(entry["runs"])
    quantity = dict(entry.pop("quantity"))
    name = quantity.pop("name")
    del entry["runs"]
    inspect.signature(QUANTITIES[name]).bind(None, **quantity)
    rule, setting = rules[entry.pop("rule")], Setting(entry.pop("setting", "printed"))
    experiments = runs.pop("experiment")
    experiments = (experiments,) if isinstance(experiments, str) else tuple(experiments)
    claim = Claim(
        rule=rule,
        quantity=name,
        parameters=quantity,
        experiments=experiments,
        setting=setting,
        **entry,
        **runs,
    )
    if claim.unit not in UNITS:
        raise KeyError(f"unit {claim.unit}")
    if setting is not Setting.PRINTED and claim.reading is None:
        raise TypeError(f"setting {setting.value} needs a reading")
    rule.check(claim.paper)
    return claim


def _floats(entry: dict[str, Any]) -> dict[str, Any]:
    # 3 is an integer to YAML.
    numbers = {
        k: float(entry[k]) for k in ("paper", "spread", "margin", "relative") if entry.get(k) is not None
    }
    return {**entry, **numbers}
