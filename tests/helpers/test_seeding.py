"""Seeded draws: the same everywhere, uniform, and new for every batch of a pipeline."""

import numpy as np
import pytest
import tensorflow as tf

from helpers import seeding


class Note(seeding.SeededMap):
    """A step that returns its seed beside the batch."""

    def transform(self, seed, batch):
        return seed, batch


def test_one_seed_draws_the_same_eagerly_in_a_graph_and_compiled():
    def draw():
        return seeding.uniform((-3, 2**40), [5])

    eager = draw().numpy()
    np.testing.assert_array_equal(eager, tf.function(draw)().numpy())
    np.testing.assert_array_equal(eager, tf.function(draw, jit_compile=True)().numpy())
    assert (eager != seeding.uniform((-3, 2**40 + 1), [5]).numpy()).all()


def test_draws_are_uniform_and_never_0_or_1():
    draws = seeding.uniform((1, 2), [100_000]).numpy()
    assert 0 < draws.min() < 1e-3
    assert 1 - 1e-3 < draws.max() < 1
    # Of 10 cells, each holds 10,000 draws; 5 standard deviations are 474.
    counts = np.histogram(draws, 10, (0, 1))[0]
    assert abs(counts - 10_000).max() < 474


@pytest.mark.parametrize("seed", [7, (1, 2, 3), (0.5, 1.0)])
def test_a_seed_is_a_pair_of_integers(seed):
    with pytest.raises(ValueError, match=r"pair of integers such as \(7, 0\)"):
        seeding.uniform(seed, [2])


def seeds_of(dataset):
    return [tuple(seed) for seed, _ in dataset.as_numpy_iterator()]


def test_every_batch_of_every_epoch_gets_a_seed_of_its_own():
    batches = tf.data.Dataset.range(6).batch(2)
    for mapped in (batches.map(Note(3)), Note(3).apply(batches)):
        assert len({*seeds_of(mapped), *seeds_of(mapped)}) == 6


def test_zipped_seeds_do_not_depend_on_how_many_calls_run_at_once():
    batches = tf.data.Dataset.range(60).batch(2)
    tf.random.set_seed(0)
    alone = seeds_of(Note(3).apply(batches))
    tf.random.set_seed(0)
    assert seeds_of(Note(3).apply(batches, num_parallel_calls=8)) == alone
    assert seeds_of(Note(4).apply(batches)) != alone


def test_a_step_takes_an_integer():
    with pytest.raises(TypeError, match="integer"):
        Note(0.5)
