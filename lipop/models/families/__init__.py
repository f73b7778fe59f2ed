"""Model families: one file each, from config and tensors to operators; ``FAMILIES`` lists them by ``model_type``."""

from lipop.models.families.bert import bert
from lipop.models.families.llama import llama

FAMILIES = {"bert": bert, "llama": llama}

__all__ = ["FAMILIES"]
