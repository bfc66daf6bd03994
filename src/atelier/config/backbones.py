"""The names of timm's backbones. timm is imported when the first name is asked for, and not before:
it takes seconds."""

from __future__ import annotations

import difflib

from ..errors import ConfigError

PREFIX = "timm/"
"""What the recipe of a backbone is called by: ``timm/resnet18``."""


def require_backbone(name: str) -> None:
    """Refuse what timm does not know.

    Args:
        name: of an architecture, or with the tag of its weights, as ``resnet18.a1_in1k``.

    Raises:
        ConfigError: with the nearest name.
    """
    import timm

    architecture, _, tag = name.partition(".")
    if name and not set(name) & set("/\\:") and timm.is_model(architecture):
        tagged = timm.list_pretrained(f"{architecture}.*") if tag else []
        if not tag or name in tagged:
            return
        fix = f"Known: {', '.join(tagged)}" if tagged else f"timm has none: name {architecture!r}"
        raise ConfigError("unknown pretrained weights of a timm backbone", got=name, fix=fix)
    near = difflib.get_close_matches(name.lower(), timm.list_models(), n=1, cutoff=0.5)
    # Not `did_you_mean`, which falls back on the whole list: this one has over 1,000 names.
    fix = f"Did you mean {near[0]!r}?" if near else "timm.list_models() in Python lists them"
    raise ConfigError("unknown timm backbone", got=name, fix=fix)
