"""A service that answers for exported models, guarded and watched."""

from .entry import serve
from .settings import ServeSettings

__all__ = ["ServeSettings", "serve"]
