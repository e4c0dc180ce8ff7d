"""Type casts that `jax.shard_map` requires of constants."""

from typing import Any

import jax


def vary_alike(tree: Any, *references: Any) -> Any:
    """Return `tree` with its arrays cast to vary over every mesh axis over which an array of `references` varies.

    Inside `jax.shard_map`, a loop carry must keep its type. A constant does not vary over the mesh, but the values
    that the loop computes from it do, so the constant must be cast first. Outside `jax.shard_map`, this returns
    `tree` unchanged.
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
    # JAX 0.10 has `manual_axis_type`; earlier and later versions have `vma`.
    manual = getattr(kind, "manual_axis_type", None)
    return frozenset(manual.varying if manual is not None else getattr(kind, "vma", ()))
