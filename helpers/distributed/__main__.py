"""Fine-tune on flowers with one process or several: ``python -m helpers.distributed``.

On one machine with several GPUs that is enough. On several machines, start the same command on
each, with its own ``TF_CONFIG``. ``--workers 2`` stands in for machines: as many processes, on
this one, on its CPU. See notebook 11.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from helpers import distributed, runtime


def main(arguments):
    """Run ``python -m helpers.distributed`` with these arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.distributed",
        description="Fine-tune on flowers with one process or several.",
    )
    add = parser.add_argument
    add("--workers", type=int, default=1, help="processes to start here; not with TF_CONFIG")
    add("--image-size", type=int, default=96, help="height and width in pixels (%(default)s)")
    add("--batch-size", type=int, default=32, help="dealt to the workers (%(default)s)")
    add("--epochs", type=int, default=3, help="of fine-tuning (%(default)s)")
    add("--save-every", type=int, help="steps between checkpoints, besides every epoch's")
    add("--out", type=Path, help="folder for checkpoints and results, seen by all workers")
    options = parser.parse_args(arguments)
    if options.workers > 1 and runtime.cluster_size() == 1:
        command = [sys.executable, "-m", "helpers.distributed", *arguments]
        return distributed.supervise(command, options.workers, restarts=2)
    train(options)
    return 0


def train(options):
    """Train the head, then the upper half of the backbone, too; the chief reports."""
    runtime.start()
    strategy = runtime.strategy()  # before anything is computed: the workers must meet first

    import keras

    from helpers import augment, data, models, schedules, training

    workers = runtime.cluster_size()
    if workers > 1:
        print(
            f"{workers} workers. TensorFlow listens on every network interface and asks for "
            "no password: for trusted networks only."
        )
    out = options.out or runtime.output_folder("11_launch")
    flowers = data.flowers(options.image_size)
    validation = flowers.batches("val", options.batch_size, one_hot=True)
    steps = math.ceil(flowers.counts["train"] / options.batch_size)
    with strategy.scope():
        model = models.transfer_classifier(
            "bundled",
            flowers.num_classes,
            options.image_size,
        )

    def own_batches(epoch, context):
        """Return this worker's batches, mirrored at random; both depend on the epoch alone."""
        return flowers.batches(
            "train",
            options.batch_size // workers,
            one_hot=True,
            augment=augment.RandomAffine(rotation=0, zoom=0, seed=epoch),
            seed=epoch,
            shard=(context.input_pipeline_id, workers),
        )

    def train_phase(name, unfrozen, max_lr, epochs):
        print(f"Training: {name}.", flush=True)
        warmup = steps // 2
        with strategy.scope():
            models.unfreeze(model, unfrozen)
            schedule = schedules.WarmupCosine(max_lr, warmup, epochs * steps - warmup)
            loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
            model.compile(keras.optimizers.Adam(schedule), loss, metrics=["accuracy"])
        distributed.fit(
            model,
            own_batches,
            epochs=epochs,
            validation_data=validation,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=_show)],
            checkpoint=out / f"{name}.npz",
            save_every=options.save_every,
        )

    if not (out / "fine-tuning.npz").exists():  # else the head is trained already
        train_phase("head", 0, 5e-3, epochs=2)
    train_phase("fine-tuning", 0.5, 1e-3, epochs=options.epochs)
    if not distributed.is_chief(strategy):
        return
    # A copy that this process can judge alone: the other workers may be gone.
    alone = keras.models.clone_model(model)
    alone.set_weights(model.get_weights())
    alone.save(out / "flowers.keras")
    score = training.evaluate(alone, flowers.batches("val", options.batch_size))
    results = training.write_results(
        out / "results.json",
        score,
        flowers.class_names,
        data_source=flowers.source,
        workers=workers,
        replicas=strategy.num_replicas_in_sync,
    )
    print(f"{score}; written to {results}")


def _show(epoch, logs):
    numbers = {name: round(value, 3) for name, value in logs.items()}
    print(f"epoch {epoch + 1}: {numbers}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
