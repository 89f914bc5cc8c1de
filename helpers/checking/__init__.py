"""The judge behind the exercises.

``engine``      what an exercise is, and what is said of an answer.
``sandbox``     runs an answer with limits on time and memory.
``comparison``  plain copies of what an answer gave, compared and put into words.
``errors``      an answer's error, put into one sentence with the learner's own line.
``display``     shows verdicts, hints, solutions and progress; nothing else prints.
``progress``    the small file that remembers what was tried.
``pipelines``   what exercises on input pipelines observe: epochs, and what is made ahead.
"""
