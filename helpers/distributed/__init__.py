"""Training on several devices and machines: the loop, the workers, `python -m helpers.distributed`. See notebook 11."""

from helpers.distributed.training_loop import fit, is_chief
from helpers.distributed.workers import addresses, supervise

__all__ = ["addresses", "fit", "is_chief", "supervise"]
