"""Fine-tune on flowers with one process or several: ``python -m helpers.distributed --workers 2``. See notebook 11.

On one machine with several GPUs ``python -m helpers.distributed`` is enough. On several
machines, start the same command on each, with its own ``TF_CONFIG``. ``--workers`` stands in
for machines: as many processes, on this one, on its CPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers import distributed, runtime


def train(given: argparse.Namespace) -> None:
    """Train the head, then the upper half of the backbone, on the flowers `helpers.data` finds; the chief reports."""
    began = time.perf_counter()
    course = runtime.start(given.seed)
    strategy = runtime.strategy()  # before anything is computed: the workers must meet first

    import keras

    from helpers import data, models, schedules, training

    chief, replicas = distributed.is_chief(strategy), strategy.num_replicas_in_sync
    workers = runtime.cluster_size()
    if given.batch_size % replicas:
        raise ValueError(
            f"--batch-size is {given.batch_size}; it must be a multiple of the {replicas} "
            "replicas."
        )
    flowers = data.flowers(given.image_size)

    def build() -> keras.Model:
        return models.transfer_classifier(
            given.backbone,
            flowers.num_classes,
            given.image_size,
            dropout=given.dropout,
            alpha=given.alpha,
        )

    def read(epoch: int, context: Any) -> Any:
        """Return this worker's share. The seed depends on the epoch alone, so that a run can be taken up anywhere."""
        shard = (context.input_pipeline_id, context.num_input_pipelines)
        seed = 1000 * given.seed + epoch
        size = given.batch_size // shard[1]
        return flowers.batches(
            "train", size, one_hot=True, random_flip=True, seed=seed, shard=shard
        )

    steps = -(-(flowers.counts["train"] // workers) // (given.batch_size // workers))
    held_out = flowers.batches("val", given.batch_size, one_hot=True)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    with strategy.scope():
        model = build()
    rates: list[float] = []  # images per second, of each epoch

    def report(phase: str) -> keras.callbacks.Callback:
        ends: list[float] = []

        def end(epoch: int, logs: dict[str, float]) -> None:
            rates.extend(
                [given.batch_size * (len(ends) - 1) / (ends[-1] - ends[0])] * (len(ends) > 1)
            )
            numbers = ", ".join(f"{name} {value:.3f}" for name, value in logs.items())
            print(f"{phase}, epoch {epoch + 1}: {numbers}", flush=True)

        return keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: ends.clear(),
            on_train_batch_end=lambda batch, logs: ends.append(time.perf_counter()),
            on_epoch_end=end,
        )

    for phase, last, rate, epochs in (
        ("head", 0, 5e-3, given.head_epochs),
        ("fine", 0.5, 1e-3, given.epochs),
    ):
        if not epochs or (phase == "head" and (given.out / "fine.npz").exists()):
            continue  # not asked for, or a run that was interrupted later than this
        with strategy.scope():
            models.unfreeze(model, last)
            warmup = min(steps, epochs * steps // 2)
            schedule = schedules.WarmupCosine(rate, warmup, epochs * steps - warmup)
            model.compile(keras.optimizers.Adam(schedule), loss, metrics=["accuracy"])
        distributed.fit(
            model,
            read,
            epochs=epochs,
            validation_data=held_out,
            callbacks=[report(phase)],
            checkpoint=given.out / f"{phase}.npz",
            save_every=given.save_every,
        )
    if not chief:
        return
    alone = build()  # without the strategy: the others are gone by now
    models.unfreeze(alone, 0.5)
    alone.set_weights(model.get_weights())
    score = training.evaluate(alone, flowers.batches("val", given.batch_size))
    given.out.mkdir(parents=True, exist_ok=True)
    alone.save(given.out / "flowers.keras")
    results = training.write_results(
        given.out / "results.json",
        score,
        flowers.class_names,
        data_source=flowers.source,
        backbone=given.backbone,
        profile=course.profile,
        seconds=round(time.perf_counter() - began, 1),
        seed=given.seed,
        workers=workers,
        replicas=replicas,
        batch_size=given.batch_size,
        images_per_second=round(rates[-1], 1) if rates else None,
    )
    print(f"{score}; written to {results}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``python -m helpers.distributed``."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.distributed", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help="processes to start here (ignored with TF_CONFIG)",
    )
    parser.add_argument(
        "--restarts",
        type=int,
        default=2,
        help="how often to start again if one dies (default 2)",
    )
    parser.add_argument(
        "--backbone",
        default="bundled",
        help="as in models.transfer_classifier (default bundled)",
    )
    parser.add_argument(
        "--alpha", type=float, default=1.0, help="width of a MobileNet (default 1.0)"
    )
    parser.add_argument(
        "--dropout", type=float, default=0.2, help="before the logits (default 0.2)"
    )
    parser.add_argument(
        "--image-size", type=int, default=96, help="height and width in pixels (default 96)"
    )
    parser.add_argument(
        "--batch-size", type=int, default=32, help="images in a global batch (default 32)"
    )
    parser.add_argument(
        "--head-epochs", type=int, default=2, help="epochs of the head alone (default 2)"
    )
    parser.add_argument(
        "--epochs", type=int, default=3, help="epochs of fine-tuning (default 3)"
    )
    parser.add_argument(
        "--save-every", type=int, help="steps between checkpoints (default: once an epoch)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, help="folder for checkpoints and results, seen by all workers"
    )
    given = parser.parse_args(arguments)
    given.out = given.out or runtime.output_folder("11_launch")
    if given.workers > 1 and runtime.cluster_size() == 1:
        command = [
            sys.executable,
            "-m",
            "helpers.distributed",
            *(sys.argv[1:] if arguments is None else arguments),
        ]
        return distributed.supervise(command, given.workers, given.restarts)
    train(given)
    return 0


if __name__ == "__main__":
    sys.exit(main())
