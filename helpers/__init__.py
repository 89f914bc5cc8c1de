"""The tested library behind the course.

Importing it is cheap: TensorFlow comes with the first module that needs it.
"""

__version__ = "0.1.0"
