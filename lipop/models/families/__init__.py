"""Model families: one file each, from config and tensors to operators; ``FAMILIES`` lists them by ``model_type``."""

from lipop.models.families.bert import bert

FAMILIES = {"bert": bert}

__all__ = ["FAMILIES"]
