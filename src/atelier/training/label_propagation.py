"""Labels that spread from the few that are known along a graph of images that are alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy import sparse
from scipy.special import softmax
from torch import Tensor, nn

from ..config import Recipe
from ..config.semi_supervised import LabelPropagationConfig
from ..errors import ConfigError
from ..models import Classifier
from ..models.classical import HOG
from ..progress import progress_bar
from .learner import Learner
from .objectives import Logs
from .preparation import Prepared
from .semi_supervised import few_labels_of, semi_supervised_learner

_BATCH = 1000
_ITERATIONS = 200
_ORIENTATIONS = 9
_BALANCED = 1e-3  # shares that differ by less are the same
_STEP = 0.1
_TINY = 1e-12  # instead of a zero to divide by
_LEAST_SHARE = 1e-6  # of the largest variance: what is below is rounding
Floats = npt.NDArray[np.float64]
Embed = Callable[[Tensor], Tensor]


class PropagatedLabels(nn.Module):
    """Cross-entropy of unlabeled images with the labels that reach them, each image counting by how
    surely one label does, each class as much as the others (Iscen et al. 2019, "Label propagation
    for deep semi-supervised learning", arXiv:1904.04717, section 4).

    Args:
        images: (N + M, C, H, W) bytes, the N labeled ones first.
        known: (N,) labels of the first.
        prepared: of the training, whose normalization and classes these are.
        options: of the graph.
        steps_per_epoch: after which an epoch is over.
        num_epochs: after which nothing is learned any more.
        along: (B, C, H, W) normalized images to the (B, ...) vectors that each graph is of.
        embed: a trained network's vectors, which the first graph is of as well.
    """

    labels: Tensor
    weights: Tensor
    steps: Tensor

    def __init__(
        self,
        images: Tensor,
        known: Tensor,
        prepared: Prepared,
        options: LabelPropagationConfig,
        *,
        steps_per_epoch: int,
        num_epochs: int,
        along: Embed,
        embed: Embed | None = None,
    ) -> None:
        super().__init__()
        self._images = images
        self._known = known
        self._normalize = prepared.batches.normalize
        self._num_classes = len(prepared.card.classes)
        self._options = options
        self._steps = options.refresh_epochs * steps_per_epoch
        self._last_step = num_epochs * steps_per_epoch
        count = len(images) - len(known)
        self.register_buffer("labels", torch.zeros(count, dtype=torch.int64))
        self.register_buffer("weights", torch.zeros(count))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self._along = self._vectors(along, progress=prepared.progress)
        self._propagate(embed, progress=prepared.progress)

    def forward(
        self, logits: list[Tensor], _views: tuple[Tensor, ...], positions: Tensor
    ) -> tuple[Tensor, Logs]:
        """From the (M, K) logits of one view."""
        labels, weights = self.labels[positions], self.weights[positions]
        losses = F.cross_entropy(logits[0], labels, reduction="none")
        loss = (losses * weights).mean()
        agree = (logits[0].detach().argmax(dim=1) == labels).float().mean()
        return loss, {"agree": agree}

    @torch.no_grad()
    def after_step(self, model: Classifier) -> None:
        """After so many epochs, propagate along a graph of what the network makes of images, too:
        it errs about others than the vectors of the first graph do."""
        self.steps += 1
        if self._steps and self.steps % self._steps == 0 and self.steps < self._last_step:
            was_training = model.training
            # The bar of the training stands meanwhile; a second one would break it.
            self._propagate(model.eval().features, progress=False)
            model.train(was_training)

    @torch.no_grad()
    def _vectors(self, embed: Embed, *, progress: bool) -> Tensor:
        """(N + M, D) of all images, of mean squared length 1."""
        rows = []
        with progress_bar("embeddings", len(self._images), show=progress) as bar:
            for part in torch.split(self._images, _BATCH):
                rows.append(embed(self._normalize(part)).flatten(1).float())
                bar.update(len(rows) * _BATCH)
        found = projected(torch.cat(rows), self._options.components, self._options.whiten)
        return found / found.square().sum(dim=1).mean().sqrt().clamp(min=_TINY)

    @torch.no_grad()
    def _propagate(self, embed: Embed | None, *, progress: bool) -> None:
        vectors = self._along
        if embed is not None:
            vectors = torch.cat([vectors, self._vectors(embed, progress=progress)], dim=1)
        known = self._known.cpu().numpy()
        reached = propagated(
            similarity_graph(vectors, self._options.neighbors, progress=progress),
            known,
            num_classes=self._num_classes,
            alpha=self._options.alpha or default_alpha(len(known) / len(vectors)),
            progress=progress,
        )[len(known) :]
        if self._options.balance:
            reached = balanced(reached, np.bincount(known, minlength=self._num_classes))
        labels = torch.from_numpy(reached.argmax(axis=1))
        counts = labels.bincount(minlength=self._num_classes).clamp(min=1)
        weights = torch.from_numpy(certainty(reached)).float() / counts[labels]
        self.labels.copy_(labels)
        self.weights.copy_(weights / weights.mean().clamp(min=_TINY))


def default_alpha(labeled_share: float) -> float:
    """What an image takes from its neighbors, where nobody says: a label then goes about as many
    steps as there are images for each one that is labeled, divided by six. Chosen by training
    images of Fashion-MNIST whose labels were hidden, with 40, 100 and 400 labels (LOG.md)."""
    return 1 - min(0.1, max(0.001, 6 * labeled_share))


def projected(vectors: Tensor, components: int, whiten: float) -> Tensor:
    """(N, D) to their at most `components` principal components, each divided by its standard
    deviation to the power `whiten`: at 0 neighbors stay what they are, and are found in a fraction
    of the time; at 1 all components count alike."""
    if not whiten and vectors.shape[1] <= components:
        return vectors
    centered = vectors - vectors.mean(dim=0)
    variances, axes = torch.linalg.eigh(centered.T @ centered / len(vectors))
    variances, axes = variances[-components:], axes[:, -components:]
    # Something remains to divide by where all vectors are the same, as those of a dead network.
    least = (_LEAST_SHARE * variances[-1]).clamp(min=_TINY)
    scale = variances.clamp(min=least) ** (-whiten / 2)
    return torch.as_tensor(centered @ axes * scale)


def similarity_graph(
    vectors: Tensor, neighbors: int, *, progress: bool = False
) -> sparse.csr_matrix:
    """(N, N) symmetric weights: of each vector's nearest ones exp(-4 (d / r)^2), where r is the
    distance of the farthest of them (Zelnik-Manor and Perona 2004, "Self-tuning spectral
    clustering"; as in Calder et al. 2020, arXiv:2006.11184), else 0.

    Args:
        vectors: (N, D).
        neighbors: of each, fewer than N.
        progress: show a bar on standard error.
    """
    neighbors = min(neighbors, len(vectors) - 1)
    squares = vectors.square().sum(dim=1)
    # One block for all parts: freed and asked for anew beside the small results that are kept, it
    # never fits where it was, and the heap grows by as much each time.
    block = vectors.new_empty(min(_BATCH, len(vectors)), len(vectors))
    found = []
    with progress_bar("label graph", len(vectors), show=progress) as bar:
        for start in range(0, len(vectors), _BATCH):
            part = vectors[start : start + _BATCH]
            distances = block[: len(part)]
            torch.addmm(squares, part, vectors.T, alpha=-2, out=distances)
            distances += squares[start : start + _BATCH, None]
            distances.diagonal(start).fill_(torch.inf)  # from itself
            found.append(distances.topk(neighbors, largest=False))
            bar.update(start + len(distances))
    places = torch.cat([indices for _, indices in found]).cpu().numpy()
    distances = torch.cat([values for values, _ in found]).clamp(min=0).cpu()
    farthest = distances[:, -1:].clamp(min=_TINY)
    weights = torch.exp(-4 * distances / farthest).double().numpy()
    rows = np.arange(len(vectors)).repeat(neighbors)
    shape = (len(vectors), len(vectors))
    graph = sparse.csr_matrix((weights.ravel(), (rows, places.ravel())), shape)
    return sparse.csr_matrix((graph + graph.T) / 2)


def propagated(
    graph: sparse.csr_matrix,
    known: npt.NDArray[np.int64],
    *,
    num_classes: int,
    alpha: float,
    progress: bool = False,
) -> Floats:
    """How much of each label reaches each node (Zhou et al. 2004, "Learning with local and global
    consistency"): the limit of Z = alpha S Z + (1 - alpha) Y, S = D^-1/2 W D^-1/2.

    Args:
        graph: (N, N) weights W.
        known: labels of the first nodes.
        num_classes: K.
        alpha: share that a node takes from its neighbors.
        progress: show a bar on standard error.

    Returns:
        (N, K).
    """
    degrees = np.asarray(graph.sum(axis=1)).ravel()
    scale = sparse.diags(1 / np.sqrt(np.maximum(degrees, _TINY)))
    spread = alpha * (scale @ graph @ scale).tocsr()
    source = np.zeros((graph.shape[0], num_classes))
    source[np.arange(len(known)), known] = 1 - alpha
    reached = source
    with progress_bar("spreading labels", _ITERATIONS, show=progress) as bar:
        for iteration in range(_ITERATIONS):
            reached = spread @ reached + source
            bar.update(iteration + 1)
    return reached


def balanced(reached: Floats, sizes: npt.NDArray[np.int64]) -> Floats:
    """Each class made likelier or less likely everywhere, by one factor of its own, until as large
    a share of the nodes as it has in `sizes` finds it the likeliest: labels that lie where nodes
    are dense reach too far (after the volume constraint of PoissonMBO, Calder et al. 2020,
    arXiv:2006.11184, with factors instead of its summands).

    Args:
        reached: (N, K), as of `propagated`.
        sizes: (K,) of the classes, in any unit; 0 leaves a class out.

    Returns:
        (N, K) shares of each node's labels; zeros where none reached it, which count for no class.
    """
    total = reached.sum(axis=1)
    known = total > 0
    wanted = sizes / sizes.sum()
    with np.errstate(divide="ignore"):
        logs = np.log(reached[known] / total[known, None])
        factors = np.where(wanted > 0, 0.0, -np.inf)
    for _ in range(_ITERATIONS if known.any() else 0):
        found = np.bincount((logs + factors).argmax(axis=1), minlength=len(sizes)) / len(logs)
        if np.abs(found - wanted).max() < _BALANCED:
            break
        factors += _STEP * np.log(np.maximum(wanted, _BALANCED) / np.maximum(found, _BALANCED))
    shares = np.zeros_like(reached)
    shares[known] = softmax(logs + factors, axis=1)
    return shares


def certainty(reached: Floats) -> Floats:
    """(N,) one minus the entropy of each row's shares over its largest value: 1 where one label
    alone arrives, 0 where all arrive alike, or none."""
    total = reached.sum(axis=1, keepdims=True)
    shares = np.divide(reached, total, where=total > 0, out=np.full_like(reached, 1.0))
    shares = np.where(total > 0, shares, 1 / reached.shape[1])
    logs = np.log(np.maximum(shares, 1e-300))
    return np.asarray(1 + (shares * logs).sum(axis=1) / np.log(reached.shape[1])).clip(0, 1)


def learn_by_label_propagation(prepared: Prepared, recipe: Recipe) -> Learner:
    """Label propagation (arXiv:1904.04717), at first along what the recipe says, and along the
    embeddings of the run that the training starts from, if any.

    Raises:
        ConfigError: as `semi_supervised.few_labels_of`, or the images are too small for `along`.
    """
    options = recipe.method
    assert isinstance(options, LabelPropagationConfig)
    few, labeled = few_labels_of(prepared, options), prepared.batches
    order = np.concatenate([few.labeled, few.unlabeled])
    loss = PropagatedLabels(
        labeled.images[torch.from_numpy(order).to(labeled.images.device)],
        labeled.labels,
        prepared,
        options,
        steps_per_epoch=len(few.unlabeled) // (options.unlabeled_ratio * recipe.train.batch_size),
        num_epochs=recipe.train.num_epochs,
        along=_along(prepared, options),
        embed=None if prepared.start is None else prepared.model.eval().features,
    )
    return semi_supervised_learner(prepared, recipe, loss, [], seen=1)


def _along(prepared: Prepared, options: LabelPropagationConfig) -> Embed:
    if options.along == "pixels":
        return nn.Flatten()
    shape = prepared.batches.images.shape[1:]
    try:
        histograms = HOG((shape[0], shape[1], shape[2]), options.cells, _ORIENTATIONS)
    except ValueError as error:
        raise ConfigError(
            f"no graph along histograms of gradients: {error}",
            fix="Set method.cells=[2] or another less than half of a side, or method.along=pixels",
        ) from error
    return histograms.to(prepared.batches.images.device)
