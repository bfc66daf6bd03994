"""The head of a model card: YAML that the Hugging Face Hub reads.

Its form is that of https://github.com/huggingface/hub-docs/blob/main/modelcard.md; strings are
written as JSON, which YAML 1.2 contains, so that no name can break out of them.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ..errors import ConfigError
from ..evaluation import Evaluation

# Data sets by their names on the Hub. Others have no address there that we would know.
_ON_THE_HUB = {"fashion-mnist": "zalando-datasets/fashion_mnist"}
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}")


def check_license(license: str | None) -> None:
    """Refuse what cannot be an identifier of a license.

    Raises:
        ConfigError: it is not written as one.
    """
    if license is not None and not _LICENSE.fullmatch(license):
        raise ConfigError(
            "that is not the identifier of a license",
            got=license,
            allowed="lower-case letters, digits, '.', '+' and '-', as in apache-2.0 or mit",
        )


def front_matter(
    name: str, data: str, part: str, result: Evaluation, *, model: str, license: str | None
) -> str:
    """The YAML between its two lines of dashes.

    Args:
        name: of the model.
        data: name of its data set.
        part: whose images judged it.
        result: its scores.
        model: the kind of network.
        license: an identifier; None leaves it out.
    """
    known = _ON_THE_HUB.get(data)
    scores = [
        ("accuracy", "Accuracy", result.accuracy),
        ("f1", "Macro F1", result.macro_f1),
        ("recall", "Balanced accuracy (macro recall)", result.balanced_accuracy),
    ]
    dataset = {"type": known or slug(data), "name": data, "split": part}
    values: dict[str, Any] = {} if license is None else {"license": license}
    values |= {
        "library_name": "atelier",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "fashion", "pytorch", model],
        **({"datasets": [known]} if known else {}),
        "metrics": ["accuracy", "f1", "recall"],
        "model-index": [
            {
                "name": name,
                "results": [
                    {
                        "task": {"type": "image-classification", "name": "Image classification"},
                        "dataset": dataset,
                        "metrics": [
                            {"type": kind, "name": title, "value": round(value, 6)}
                            for kind, title, value in scores
                        ],
                    }
                ],
            }
        ],
    }
    lines = [line for key, value in values.items() for line in _yaml(key, value, "")]
    return "\n".join(["---", *lines, "---"])


def slug(name: str) -> str:
    """Letters, digits, dots and dashes alone, for a data set that has no name on the Hub."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "data"


def _yaml(key: str, value: Any, indent: str) -> list[str]:
    """Lines of block style for a mapping's key; leaves as JSON."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        lines = [f"{indent}{key}:"]
        for item in value:
            inner = [line for name, own in item.items() for line in _yaml(name, own, indent + "  ")]
            lines += [f"{indent}- {inner[0].removeprefix(indent + '  ')}", *inner[1:]]
        return lines
    if isinstance(value, list):
        return [f"{indent}{key}:", *(f"{indent}- {_leaf(item)}" for item in value)]
    if isinstance(value, dict):
        inner = [line for name, own in value.items() for line in _yaml(name, own, indent + "  ")]
        return [f"{indent}{key}:", *inner]
    return [f"{indent}{key}: {_leaf(value)}"]


def _leaf(value: Any) -> str:
    """JSON, with YAML's escape for all that is not printed, which JSON would write in halves."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)
