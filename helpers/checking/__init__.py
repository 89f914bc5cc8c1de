"""The judge behind the exercises: what an answer is, in words, and what a learner has done so far."""
