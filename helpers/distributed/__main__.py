"""Fine-tune on flowers with one process or several: ``python -m helpers.distributed``.

On one machine with several GPUs that is enough. On several machines, start the same command on
each, with its own ``TF_CONFIG``. ``--workers 2`` stands in for machines: as many processes, on
this one, on its CPU. See notebook 11.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers import distributed, runtime

if TYPE_CHECKING:
    from keras import Model
    from tensorflow.data import Dataset
    from tensorflow.distribute import InputContext

    from helpers.data import ImageData

RESTARTS = 2
HEAD_EPOCHS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``python -m helpers.distributed``."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.distributed",
        description="Fine-tune on flowers with one process or several.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--workers", type=int, default=1, help="processes to start here; not with TF_CONFIG")
    add("--backbone", default="bundled", help="as in models.transfer_classifier")
    add("--image-size", type=int, default=96, help="height and width in pixels")
    add("--batch-size", type=int, default=32, help="images in a global batch")
    add("--epochs", type=int, default=3, help="epochs of fine-tuning")
    add("--save-every", type=int, help="steps between checkpoints, besides every epoch's")
    add("--out", type=Path, help="folder for checkpoints and results, seen by all workers")
    options = parser.parse_args(arguments)
    if options.out is None:
        options.out = runtime.output_folder("11_launch")
    if options.workers > 1 and runtime.cluster_size() == 1:
        given = sys.argv[1:] if arguments is None else arguments
        command = [sys.executable, "-m", "helpers.distributed", *given]
        return distributed.supervise(command, options.workers, RESTARTS)
    train(options)
    return 0


def train(options: argparse.Namespace) -> None:
    """Train the head, then the upper half of the backbone, too; the chief reports."""
    began = time.perf_counter()
    course = runtime.start()
    strategy = runtime.strategy()  # before anything is computed: the workers must meet first

    import keras

    from helpers import augment, data, models, schedules

    workers = runtime.cluster_size()
    if workers > 1:
        print(
            f"{workers} workers. TensorFlow listens on every network interface and asks for "
            "no password: for trusted networks only."
        )
    if options.batch_size % strategy.num_replicas_in_sync:
        raise ValueError(
            f"--batch-size is {options.batch_size}; it must be a multiple of the "
            f"{strategy.num_replicas_in_sync} replicas."
        )
    flowers = data.flowers(options.image_size)
    validation = flowers.batches("val", options.batch_size, one_hot=True)
    own_batch_size = options.batch_size // workers
    steps = math.ceil(flowers.counts["train"] // workers / own_batch_size)

    def own_batches(epoch: int, context: InputContext) -> Dataset:
        """Return this worker's batches, mirrored at random; both depend on the epoch alone."""
        return flowers.batches(
            "train",
            own_batch_size,
            one_hot=True,
            augment=augment.RandomAffine(rotation=0, zoom=0, seed=epoch),
            seed=epoch,
            shard=(context.input_pipeline_id, workers),
        )

    def train_phase(name: str, unfrozen: float, max_lr: float, epochs: int) -> None:
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
            checkpoint=options.out / f"{name}.npz",
            save_every=options.save_every,
        )

    with strategy.scope():
        model = _build(options, flowers)
    if not (options.out / "fine-tuning.npz").exists():  # else the head is trained already
        train_phase("head", 0, 5e-3, HEAD_EPOCHS)
    train_phase("fine-tuning", 0.5, 1e-3, options.epochs)
    if distributed.is_chief(strategy):
        _report(
            model,
            flowers,
            options,
            profile=course.profile,
            seconds=round(time.perf_counter() - began, 1),
            seed=course.seed,
            workers=workers,
            replicas=strategy.num_replicas_in_sync,
        )


def _build(options: argparse.Namespace, flowers: ImageData) -> Model:
    from helpers import models

    return models.transfer_classifier(
        options.backbone,
        flowers.num_classes,
        options.image_size,
    )


def _show(epoch: int, logs: dict[str, float]) -> None:
    numbers = [f"{name} {value:.3f}" for name, value in logs.items()]
    print(f"epoch {epoch + 1}: {', '.join(numbers)}", flush=True)


def _report(
    model: Model, flowers: ImageData, options: argparse.Namespace, **facts: Any
) -> None:
    """Judge the model in this process alone: the other workers may be gone. Write files."""
    from helpers import models, training

    alone = _build(options, flowers)
    models.unfreeze(alone, 0.5)
    alone.set_weights(model.get_weights())
    score = training.evaluate(alone, flowers.batches("val", options.batch_size))
    options.out.mkdir(parents=True, exist_ok=True)
    alone.save(options.out / "flowers.keras")
    results = training.write_results(
        options.out / "results.json",
        score,
        flowers.class_names,
        data_source=flowers.source,
        backbone=options.backbone,
        batch_size=options.batch_size,
        **facts,
    )
    print(f"{score}; written to {results}")


if __name__ == "__main__":
    sys.exit(main())
