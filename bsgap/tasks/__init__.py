"""The LightningModules: one a kind of task, over any network and any optimizer."""

from bsgap.tasks.image import ImageClassification

__all__ = ["ImageClassification"]
