"""What `jax.shard_map` wants to be told of constants."""

from typing import Any

import jax


def vary_alike(tree: Any, *references: Any) -> Any:
    """Return the arrays of `tree`, typed as varying over every mesh axis over which an array of `references` varies.

    Inside `jax.shard_map` a loop's carry must have one type from the first pass on, and a constant does not vary over
    the mesh while what the loop makes of it does. Outside, this returns `tree`.
    """
    axes: frozenset[Any] = frozenset()
    for reference in jax.tree.leaves(references):
        axes |= _varying(reference)
    if not axes:
        return tree

    def cast(x: Any) -> Any:
        missing = axes - _varying(x)
        return jax.lax.pcast(x, tuple(missing), to="varying") if missing else x

    return jax.tree.map(cast, tree)


def _varying(x: Any) -> frozenset[Any]:
    kind = jax.typeof(x)
    # JAX 0.10 has the former, earlier and later ones the latter.
    manual = getattr(kind, "manual_axis_type", None)
    return frozenset(manual.varying if manual is not None else getattr(kind, "vma", ()))
