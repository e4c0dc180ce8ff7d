"""A complex system as a real one: `[[Re A, -Im A], [Im A, Re A]] (Re u, Im u) = (Re b, Im b)`.

The real form is symmetric if `A` is Hermitian, and its residual has the norm of the complex one. Its transpose is the
real form of `A^H`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from prdp.linalg.operators import Dense
from prdp.linalg.sparse import Sparse


def is_complex(tree: Any) -> bool:
    """Whether a pytree has complex numbers in it, as arrays, numbers or types."""
    kinds = (getattr(x, "dtype", type(x)) for x in jax.tree.leaves(tree))
    return any(kind is complex or jnp.issubdtype(kind, jnp.complexfloating) for kind in kinds)


@dataclass(frozen=True)
class Pairs:
    """Complex fields as pairs of real ones along an axis: `(2, *shape)`, or the halves of `(*batch, 2 n)`.

    Args:
        stacked: whether the pair has an axis of its own, the first; else the halves follow each other on the last.
    """

    stacked: bool

    def pair(self, field: Any) -> Any:
        """Return real and imaginary part of a field, which may be real."""
        field = jnp.asarray(field)
        parts = [jnp.real(field), jnp.imag(field)]
        parts = [x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(float) for x in parts]
        return jnp.stack(parts) if self.stacked else jnp.concatenate(parts, -1)

    def join(self, pair: Any) -> Any:
        """Return the complex field of a pair."""
        real, imaginary = pair if self.stacked else jnp.split(pair, 2, axis=-1)
        return jax.lax.complex(real, imaginary)


def real_form(operator: Dense | Sparse) -> Dense | Sparse:
    """Return the real form of a matrix of order `n`, of order `2 n`. Symmetric then means Hermitian."""
    n = operator.size
    if isinstance(operator, Dense):
        real, imaginary = jnp.real(operator.matrix), jnp.imag(operator.matrix)
        upper = jnp.concatenate([real, -imaginary], -1)
        lower = jnp.concatenate([imaginary, real], -1)
        return Dense(jnp.concatenate([upper, lower], -2), (2 * n,), operator.symmetric)
    data, rows, columns = (jnp.asarray(x) for x in (operator.data, operator.rows, operator.columns))
    # Unused entries of a BCOO have indices beyond the matrix, which they must be of the larger one too.
    rows, columns = (jnp.where(i < n, i, 2 * n) for i in (rows, columns))
    real, imaginary = jnp.real(data), jnp.imag(data)
    return Sparse(
        jnp.concatenate([real, -imaginary, imaginary, real], -1),
        jnp.concatenate([rows, rows, rows + n, rows + n]),
        jnp.concatenate([columns, columns + n, columns, columns + n]),
        (2 * n,),
        operator.symmetric,
    )


def hermitian_transpose(transpose: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return `u -> A^H u`, given `u -> A^T u`."""
    return lambda u: jax.tree.map(jnp.conj, transpose(jax.tree.map(jnp.conj, u)))
