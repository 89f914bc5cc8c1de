"""Layers written by hand: a dense layer, and one that behaves differently in training. Notebook 03 builds both.

They are registered, so that a saved model finds them, and made of `keras.ops`, so that any
backend of Keras runs them.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from helpers.checks import check_number

# The arguments of `CustomDense` that are objects of their own, or None; Keras notes
# `activity_regularizer` by itself.
PARTS = (
    *("kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer"),
    *("kernel_constraint", "bias_constraint"),
)


@keras.saving.register_keras_serializable(package="helpers")
class CustomDense(keras.layers.Layer):
    """A dense layer: ``activation(inputs @ kernel + bias)``. Explained in notebook 03.

    Equal to ``keras.layers.Dense`` bit for bit under the same weights, and the same seed draws
    the same weights: a kernel ``(features, units)`` and a bias ``(units,)``, in float32 under
    mixed precision.

    Parameters
    ----------
    units
        Size of the output's last axis, 1 or more.
    activation
        A name, a function or None (the output stays as it is).
    use_bias
        Whether to add a bias.
    kernel_initializer, bias_initializer
        What draws the first weights; without a seed of their own, from Keras' global seed.
    kernel_regularizer, bias_regularizer, activity_regularizer
        Penalties added to the loss, or None.
    kernel_constraint, bias_constraint
        Applied to the weights after every step of the optimizer, or None.
    **kwargs
        ``name``, ``dtype`` (a dtype or a policy) and ``trainable``, for ``keras.layers.Layer``.

    Raises
    ------
    TypeError, ValueError
        `units` is no whole number of 1 or more; when called, the inputs have fewer than two
        axes, or a last axis of unknown size, or of another size than the first time.

    Notes
    ----- Maps ``(batch, ..., features)``, any rank from 2 up, to ``(batch, ..., units)``. A
    mask is passed on as it came.
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        if isinstance(units, bool) or not hasattr(units, "__index__"):
            raise TypeError(f"units is {units!r}; it must be a whole number, 1 or more.")
        if units < 1:
            raise ValueError(f"units is {units!r}; a dense layer needs at least 1.")
        self.units = int(units)
        self.activation = keras.activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.supports_masking = True  # without it, Keras drops the mask here
        self.input_spec = keras.layers.InputSpec(min_ndim=2)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights, now that the number of features is known."""
        features = input_shape[-1]
        if features is None:
            raise ValueError(
                f"inputs have shape {tuple(input_shape)}; the size of their last axis must "
                "be known."
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(features, self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: features})

    def call(self, inputs: Any) -> Any:
        """Return ``activation(inputs @ kernel + bias)``."""
        outputs = ops.matmul(inputs, self.kernel)
        if self.bias is not None:
            outputs = ops.add(outputs, self.bias)
        return self.activation(outputs)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """The input's shape with `units` in place of its last axis."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """All that ``from_config`` needs to make this layer again, without its weights."""
        saved = {
            name: keras.saving.serialize_keras_object(getattr(self, name)) for name in PARTS
        }
        activation = keras.activations.serialize(self.activation)
        numbers = {"units": self.units, "use_bias": self.use_bias}
        return {**super().get_config(), **numbers, "activation": activation, **saved}


@keras.saving.register_keras_serializable(package="helpers")
class CustomGaussianNoise(keras.layers.Layer):
    """Add Gaussian noise in training, and nothing at any other time. Explained in notebook 03.

    Equal to ``keras.layers.GaussianNoise`` with the same seed. Each call in training draws
    anew.

    Parameters
    ----------
    stddev
        Standard deviation of the noise, in the units of the input; 0 or more.
    seed
        A whole number; None draws one from Keras' global seed. Two layers with the same seed
        draw the same noise.
    **kwargs
        ``name``, ``dtype`` and ``trainable``, for ``keras.layers.Layer``.

    Raises
    ------
    TypeError, ValueError
        `stddev` is no finite number of 0 or more.

    Notes
    ----- Inputs of any shape and numeric dtype; outputs have the same shape, in the policy's
    compute dtype with noise and without. A mask is passed on as it came.
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.stddev = check_number("stddev", stddev, 0)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the inputs, with noise if `training` is true."""
        inputs = ops.cast(inputs, self.compute_dtype)
        if not training or self.stddev == 0:
            return inputs
        shape, dtype = ops.shape(inputs), self.compute_dtype
        return inputs + keras.random.normal(
            shape, 0.0, self.stddev, dtype, seed=self.seed_generator
        )

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """All that ``from_config`` needs to make this layer again."""
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}
