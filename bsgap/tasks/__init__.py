"""The LightningModules: one a kind of task, over any network and any optimizer."""

from bsgap.tasks.image import ImageClassification
from bsgap.tasks.language import LanguageModelling
from bsgap.tasks.pixels import SegmentationEvaluation, class_table
from bsgap.tasks.segmentation import SemanticSegmentation

__all__ = [
    "ImageClassification",
    "LanguageModelling",
    "SegmentationEvaluation",
    "SemanticSegmentation",
    "class_table",
]
