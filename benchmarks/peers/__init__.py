"""What atelier is measured beside: each peer is a script that imports nothing of atelier.

A peer runs in an environment of its own, made from ``requirements-NAME.txt``, and is a module to be
run as ``python -m benchmarks.peers.MODULE``; `protocol` says what it is given and what it prints.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """How a peer is run.

    Attributes:
        title: what tables and pictures call it.
        module: its script in this package.
        requirements: NAME of its ``requirements-NAME.txt``; None is atelier's own environment.
        arguments: what its script is given besides what every peer is given.
        has_epochs: whether it trains for epochs, or once for all.
    """

    title: str
    module: str
    requirements: str | None
    arguments: tuple[str, ...] = ()
    has_epochs: bool = True


PEERS = {
    "plain-loop": Peer("plain loop", "plain_loop", None),
    "lightning": Peer("Lightning", "lightning_trainer", "lightning"),
    "keras-jax": Peer("Keras on JAX", "keras_fit", "keras-jax", ("--backend", "jax")),
    "keras-torch": Peer("Keras on torch", "keras_fit", "keras-torch", ("--backend", "torch")),
    "boosted-trees": Peer(
        "gradient-boosted trees", "boosted_trees", "scikit-learn", has_epochs=False
    ),
    "hog-svm": Peer("HOG + linear SVM", "hog_svm", "scikit-learn", has_epochs=False),
}
