"""Models: checkpoints on disk become operators."""

from lipop.models.model import Model, load

__all__ = ["Model", "load"]
