"""How pytrees of unknowns are laid out in one array."""

import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from prdp.linalg.real_form import Pairs


class Layout(NamedTuple):
    """How the leaves of a pytree of numbers are laid out in one array. A single array keeps its shape."""

    structure: Any
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, tree: Any) -> "Layout":
        """Return the layout of a pytree.

        Raises:
            ValueError: If there is no array in it.
        """
        leaves, structure = jax.tree.flatten(tree)
        if not leaves:
            raise ValueError("rhs has no array in it: allowed is an array or a pytree of arrays")
        return cls(structure, tuple(jnp.shape(x) for x in leaves))

    def flatten(self, tree: Any) -> Any:
        """Return the numbers of a pytree in one array, in their highest precision; integers become floats.

        Raises:
            ValueError: If its structure or shapes are others.
        """
        leaves, structure = jax.tree.flatten(tree)
        shapes = tuple(jnp.shape(x) for x in leaves)
        if (structure, shapes) != (self.structure, self.shapes):
            raise ValueError(
                f"a pytree of structure {structure} with shapes {shapes}: the right-hand side has {self.structure} "
                f"with shapes {self.shapes}, and functions and guesses must match it"
            )
        arrays = [jnp.asarray(x) for x in leaves]
        dtype = jnp.result_type(*arrays)
        if jnp.issubdtype(dtype, jnp.integer):
            dtype = jnp.result_type(float)
        if jax.tree_util.treedef_is_leaf(self.structure):
            return arrays[0].astype(dtype)
        return jnp.concatenate([x.astype(dtype).ravel() for x in arrays])

    def restore(self, field: Any) -> Any:
        """Return the pytree of an array."""
        if jax.tree_util.treedef_is_leaf(self.structure):
            return field
        sizes = [math.prod(shape) for shape in self.shapes]
        parts = jnp.split(field, list(itertools.accumulate(sizes))[:-1])
        leaves = [x.reshape(shape) for x, shape in zip(parts, self.shapes, strict=True)]
        return jax.tree.unflatten(self.structure, leaves)


class PairLayout(NamedTuple):
    """A layout of complex numbers, as pairs of real numbers."""

    layout: Layout

    def flatten(self, tree: Any) -> Any:
        """Return the pairs, `(2, *shape)`."""
        return Pairs(stacked=True).pair(self.layout.flatten(tree))

    def restore(self, field: Any) -> Any:
        """Return the pytree of complex numbers."""
        return self.layout.restore(Pairs(stacked=True).join(field))
