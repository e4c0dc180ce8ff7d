"""The optimisers of the paper. Any function that returns an optax transformation can replace them."""

import optax

from prdp.checks import integer, one_of, positive, within

DECAYS = ("constant", "exponential", "cosine")


def gradient_descent(learning_rate: float) -> optax.GradientTransformation:
    """Return plain gradient descent with a constant learning rate.

    Args:
        learning_rate: in units of parameter^2 / loss.

    Raises:
        ValueError: If `learning_rate` is not positive.
    """
    positive("learning_rate", learning_rate)
    return optax.sgd(learning_rate)


def adam(
    learning_rate: float,
    decay: str,
    decay_rate: float,
    transition_steps: int,
    b1: float,
    b2: float,
    epsilon: float,
) -> optax.GradientTransformation:
    """Return Adam with a decaying learning rate.

    With `exponential`, the rate is `learning_rate * decay_rate^(step / transition_steps)`, continuous in the step. With
    `cosine`, it falls to `decay_rate * learning_rate` over `transition_steps`. A step is one update.

    Args:
        learning_rate: initial rate.
        decay: `constant`, `exponential` or `cosine`.
        decay_rate: in `(0, 1]` (`[0, 1]` for cosine, where it is the floor).
        transition_steps: updates per factor of `decay_rate` (exponential), or of the whole decay (cosine).
        b1: decay of the running mean of the gradients, in `[0, 1)`.
        b2: decay of the running mean of their squares, in `[0, 1)`.
        epsilon: added to the square root of the latter, positive.

    Raises:
        ValueError: If an argument is outside its range.
    """
    positive("learning_rate", learning_rate)
    one_of("decay", decay, DECAYS)
    if not (decay == "cosine" and decay_rate == 0):
        within("decay_rate", decay_rate, lambda x: 0 < x <= 1, "0 < decay_rate <= 1")
    integer("transition_steps", transition_steps, 1)
    for key, value in (("b1", b1), ("b2", b2)):
        within(key, value, lambda x: 0 <= x < 1, f"0 <= {key} < 1")
    positive("epsilon", epsilon)
    rate: float | optax.Schedule = learning_rate
    if decay == "exponential":
        rate = optax.exponential_decay(rate, transition_steps, decay_rate)
    elif decay == "cosine":
        rate = optax.cosine_decay_schedule(rate, transition_steps, decay_rate)
    return optax.adam(rate, b1=b1, b2=b2, eps=epsilon)
