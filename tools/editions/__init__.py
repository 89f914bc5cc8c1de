"""The classroom editions: student, nbgrader, teacher, slides, all from the same notebooks."""
