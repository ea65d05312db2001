"""bsgap: what happens to training when the batch gets large?"""

__version__ = "0.1.0"
