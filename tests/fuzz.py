"""Random command lines: overrides of every key, group and form, with values that make sense and that do not."""

import random
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"
OPTIONS = {
    folder.name: sorted(path.stem for path in folder.glob("*.yaml"))
    for folder in sorted(CONF.iterdir())
    if folder.is_dir() and folder.name != "hydra"
}

# As one types them: Hydra's grammar reads them before this package does.
WORDS = [
    "abc", "''", '""', "null", "true", "False", "nan", ".nan", "-.inf", "inf", "1e400", "-1", "0", "1", "2", "-0.0",
    "0.5", "1.5", "1e-3", "1e20", "10000", "65536", "65537", "2147483647", "2147483648", "4294967295", "3000000000",
    "100000000000000000000", "1_000", "0x10", "1e3", "'5'", "[]", "{}", "[1,2]", "[1,a]", "[nan]", "[[1]]",
    "[1,null]", "{a:1}", "{a:{b:1}}", "[{a:1}]", "~/x", "~nobody/x", "'a b'", "'a,b'", "'a\\'b'", "'a\nb'", "'ä ö'",
    "'\x07'", "/dev/null", "/proc/x", "..", "a/b/c", "${seed}", "${epochs}", "${nothing}", "${paper.epochs}",
    "${oc.env:NO_SUCH_VARIABLE}", "${oc.env:NO_SUCH_VARIABLE,5}", "${oc.decode:${oc.env:NO_SUCH_VARIABLE,5}}",
    "${oc.env:HOME}", "${seed", "$seed", "${}", "???", "1,2", "range(0,3)", "choice(1,2)", "cast(5)", "x=y", "a=b=c",
    "[a", "{a", "'a", "a]", '\\', ":", "a:b", "@", "a@b", "!", "%", "''''", "-", "--x", "+1", "1.", ".5", "1e", "e5",
    "prdp.solvers.Jacobi", "os.system", "prdp.nothing", "builtins.print", "optax.sgd", "x" * 300,
]  # fmt: skip
STRANGE = [
    "", "=", "=1", "a", "+", "~", "++", "~~seed", "seed", "seed=", "+seed=1", "++seed=1", "~seed", "~seed=0",
    "~solver", "~nothing", "+x=1", "++x.y=1", "+solver.x=1", "++solver.tolerance=0.1", "~solver.tolerance",
    "~physics.points", "solver@x=jacobi", "+solver@y=gmres", "+physics@z=heat1d", "hydra.run.dir=x", "hydra.mode=X",
    "hydra/launcher=local", "hydra/launcher=none", "hydra/sweeper=basic", "hydra.job.name=a b", "a b=1", "ä=1", "1=1",
    "solver..tolerance=1", ".seed=1", "seed.=1", "seed.x=1", "solver.tolerance.x=1", "physics=heat1d/x",
    "physics=[heat1d,heat2d]", "physics=null", "+physics=heat1d", "experiment=fig_4", "experiment=nothing",
    "experiment=null", "+experiment=fig_4", "paper.sizes=1", "paper=1", "paper.prdp=1", "~paper", "~paper.prdp",
    "hydra.output_subdir=1", "hydra=1", "defaults=[]", "seed=1 epochs=2", "seed = 1",
]  # fmt: skip


def keys() -> list[str]:
    """Return every key that a YAML file of conf/ has, with its group."""
    found = set()
    for path in [CONF / "config.yaml", *CONF.glob("*/*.yaml")]:
        if path.parent.name == "experiment":
            continue
        content = {
            k: v for k, v in yaml.safe_load(path.read_text()).items() if k not in ("defaults", "hydra")
        }
        group = "" if path.parent.name in ("conf", "physics") else f"{path.parent.name}."
        found |= {group + key for key in _leaves(content)}
    return sorted(found)


def _leaves(node: dict, prefix: str = "") -> list[str]:
    return [
        leaf
        for key, value in node.items()
        for leaf in (
            _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) and value else [f"{prefix}{key}"]
        )
    ]


class Fuzz:
    """A random sequence of command lines, the same for the same seed."""

    def __init__(self, seed: int):
        self.rng = random.Random(seed)
        self.keys = keys()

    def __next__(self) -> list[str]:
        rng = self.rng
        line = [f"physics={rng.choice(OPTIONS['physics'])}"] if rng.random() < 0.8 else []
        line += [self.override() for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5)))]
        rng.shuffle(line)
        return line

    def override(self) -> str:
        """Return one override."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.07:
            return rng.choice(STRANGE)
        if kind < 0.3:
            group = rng.choice(sorted(OPTIONS))
            options = [*OPTIONS[group], *OPTIONS[rng.choice(sorted(OPTIONS))], rng.choice(WORDS)]
            return f"{group}={rng.choice(options if rng.random() < 0.4 else OPTIONS[group])}"
        key = rng.choice(self.keys)
        if rng.random() < 0.03:
            at = rng.randrange(len(key))
            key = key[:at] + rng.choice("abcxyz._-=") + key[at + rng.randrange(2) :]
        prefix = rng.choice(("", "", "", "", "", "", "+", "++", "~")) if rng.random() < 0.2 else ""
        return f"{prefix}{key}={self.value()}"

    def value(self) -> str:
        """Return a value: one of the words, a number of any size, or a list of both."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.45:
            return rng.choice(WORDS)
        if kind < 0.72:
            return str(rng.choice((-1, 1, 1, 1)) * int(10 ** rng.uniform(0, 11)))
        if kind < 0.88:
            return repr(rng.choice((-1, 1, 1, 1)) * 10 ** rng.uniform(-40, 40))
        if kind < 0.97:
            return f"[{','.join(rng.choice(WORDS) for _ in range(rng.randrange(4)))}]"
        return "".join(rng.choice("abc019.,:=[]{}()'\"\\$ ~-+*@/%é") for _ in range(rng.randrange(1, 12)))
