"""Training on several devices and machines: the loop, the workers, the command.

Explained in notebook 11.
"""

from helpers.distributed.replicas import is_chief
from helpers.distributed.training_loop import fit
from helpers.distributed.workers import addresses, supervise

__all__ = ["addresses", "fit", "is_chief", "supervise"]
