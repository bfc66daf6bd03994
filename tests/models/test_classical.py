"""Classical models as modules, against what they are by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from atelier.config import HOGSVMConfig, KNearestNeighborsConfig, LogisticConfig
from atelier.config.classical import RandomForestConfig
from atelier.errors import ConfigError
from atelier.models import build_model, model_cost
from atelier.models.classical import HOG, BoostedTrees, Forest, Neighbors, Nystroem, Pixels

NAMES = {
    "logistic": LogisticConfig(),
    "hog-svm": HOGSVMConfig(components=20, cells=(4,)),
    "random-forest": RandomForestConfig(),
    "k-nearest-neighbors": KNearestNeighborsConfig(),
}


def slow_hog(image, cell, orientations):
    """The histograms and blocks of one (H, W) image, a pixel at a time."""
    height, width = image.shape
    rows, columns = height // cell, width // cell
    cells = np.zeros((rows, columns, orientations))
    for y in range(height):
        for x in range(width):
            dx = image[y, min(x + 1, width - 1)] - image[y, max(x - 1, 0)]
            dy = image[min(y + 1, height - 1), x] - image[max(y - 1, 0), x]
            place = (math.atan2(dy, dx) % math.pi) / math.pi * orientations - 0.5
            for low in (math.floor(place), math.floor(place) + 1):
                share = 1 - abs(place - low)
                for i in range(rows):
                    for j in range(columns):
                        down = abs(y - (i * cell + (cell - 1) / 2)) / cell
                        right = abs(x - (j * cell + (cell - 1) / 2)) / cell
                        if down < 1 and right < 1:
                            vote = share * (1 - down) * (1 - right) * math.hypot(dx, dy)
                            cells[i, j, low % orientations] += vote
    blocks = []
    for i in range(rows - 1):
        for j in range(columns - 1):
            block = cells[i : i + 2, j : j + 2].ravel()
            block = np.minimum(block / math.sqrt((block**2).sum() + 0.01), 0.2)
            blocks.append(block / math.sqrt((block**2).sum() + 0.01))
    return np.stack(blocks) / math.sqrt(len(blocks))


@pytest.mark.parametrize("cell", [3, 4])
def test_histograms_are_those_of_a_pixel_at_a_time(cell):
    image = np.random.default_rng(0).normal(size=(12, 12)) * 3
    found = HOG((1, 12, 12), (cell,), 5)(torch.from_numpy(image).float()[None, None])
    side = 12 // cell - 1
    # (4 cells, orientations, rows, columns) in one row, against a block after the other.
    blocks = found.view(4, 5, side, side).permute(2, 3, 0, 1).reshape(side * side, 20)
    assert np.allclose(blocks.numpy(), slow_hog(image, cell, 5), atol=2e-3)


def test_descriptors_of_two_cells_stand_side_by_side_and_have_length_one():
    images = torch.randn(3, 1, 28, 28) * 3
    both = HOG((1, 28, 28), (4, 7), 9)
    assert both(images).shape == (3, both.width) == (3, 4 * 9 * (36 + 9))
    assert torch.allclose(both(images).norm(dim=1), torch.ones(3), atol=0.02)


def test_a_flat_image_has_no_edges_and_a_finite_gradient():
    images = torch.full((1, 3, 16, 16), 0.7, requires_grad=True)
    found = HOG((3, 16, 16), (4,), 9)(images)
    assert found.abs().max() < 1e-4
    found.sum().backward()
    assert images.grad.isfinite().all()


def test_the_strongest_channel_is_looked_at():
    gray = torch.randn(2, 1, 16, 16)
    hog = HOG((3, 16, 16), (4,), 9)
    assert torch.allclose(
        hog(torch.cat([gray * 0.1, gray, gray * 0.5], dim=1)), hog(gray), atol=1e-6
    )


def test_the_features_of_nystroem_give_the_kernel_among_its_components():
    points = torch.randn(6, 4)
    kernel = (-0.3 * torch.cdist(points, points).square()).exp()
    values, vectors = torch.linalg.eigh(kernel.double())
    root = (vectors * values.rsqrt()) @ vectors.T
    module = Nystroem(4, 8, 0.3)  # two more than there are
    module.approximate_by(points, root.float())
    features = module(points)
    assert torch.allclose(features @ features.T, kernel, atol=1e-4)
    assert features[:, 6:].abs().max() == 0


def test_pixels_are_the_bytes_again():
    pixels = torch.randint(0, 256, (2, 3, 4, 5)).float()
    mean, scale = torch.tensor([10.0, 100.0, 3.5]), torch.tensor([0.01, 0.02, 0.3])
    undo = Pixels(3)
    undo.hold(mean.view(1, 3, 1, 1), scale.view(1, 3, 1, 1))
    normalized = (pixels - undo.mean) * undo.scale
    assert torch.equal(undo(normalized), pixels.flatten(1))


def test_a_forest_is_walked_by_hand():
    """Tree 0: pixel 1 <= 10 -> leaf 0, else pixel 0 <= 5 -> leaf 1, else leaf 2. Tree 1: leaf 3."""
    forest = Forest(1, 2, smoothing=0.5)
    shares = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [0.25, 0.75]])
    forest.hold(leaves=shares)
    forest.trees.hold(
        feature=torch.tensor([1, 0]),
        threshold=torch.tensor([10, 5]),
        left=torch.tensor([2, 3]),
        right=torch.tensor([1, 4]),
        roots=torch.tensor([0, 5]),
        levels=torch.tensor([1, 1]),
    )
    images = torch.tensor([[9.0, 10.0], [5.0, 11.0], [6.0, 11.0]]).view(3, 1, 1, 2)
    assert forest.trees(images).tolist() == [[0, 3], [1, 3], [2, 3]]
    votes = torch.tensor([[1.25, 0.75], [0.75, 1.25], [0.25, 1.75]])
    assert torch.allclose(forest(images).exp(), (votes + 0.5) / 3)


def test_boosted_trees_add_up_class_by_class():
    boosted = BoostedTrees(1, 2)
    boosted.hold(leaves=torch.tensor([1.0, 10.0, 2.0, 20.0]), start=torch.tensor([0.5, -0.5]))
    boosted.trees.hold(roots=torch.tensor([1, 2, 3, 4]))  # leaves, all of them
    assert boosted(torch.zeros(3, 1, 2, 2)).tolist() == [[3.5, 29.5]] * 3


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_neighbors_are_those_of_all_distances(weights):
    generator = torch.Generator().manual_seed(0)
    kept = torch.randint(0, 256, (50, 12), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 3, (50,), generator=generator)
    asked = torch.randint(0, 256, (7, 12), generator=generator, dtype=torch.uint8)
    asked[0] = kept[4]  # at no distance
    options = {"neighbors": 5, "weights": weights, "smoothing": 1e-6}
    module = Neighbors(1, 12, 3, **options)
    module.hold_bytes(kept, labels, None)
    distances = torch.cdist(asked.double(), kept.double())
    near, found = distances.topk(5, dim=1, largest=False)
    squares, places = module.nearest(asked.float())
    assert torch.equal(places, found)
    assert torch.allclose(squares.double(), near.square(), atol=1e-3)
    votes = torch.zeros(7, 3)
    for row in range(7):
        for d, place in zip(near[row].tolist(), found[row].tolist(), strict=True):
            alone = near[row, 0] == 0
            vote = 1.0 if weights == "uniform" else float(d == 0) if alone else 1 / d
            votes[row, labels[place]] += vote
    shares = votes / votes.sum(dim=1, keepdim=True)
    assert torch.allclose(module(asked.float().view(7, 1, 3, 4)).exp(), shares, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_fitted_yet_can_be_asked_and_loads_what_is(name):
    model = build_model(NAMES[name], (3, 16, 12), 4).eval()
    assert model(torch.randn(2, 3, 16, 12)).shape == (2, 4)
    assert isinstance(model.head, nn.Linear)
    larger = {
        key: tensor.new_zeros([size + 3 for size in tensor.shape]) if "feature" in key else tensor
        for key, tensor in model.state_dict().items()
        if "features.trees.feature" in key
    }
    model.load_state_dict({**model.state_dict(), **larger})
    for key, tensor in larger.items():
        assert model.state_dict()[key].shape == tensor.shape


def test_the_numbers_that_fitting_finds_are_counted():
    assert model_cost(build_model(LogisticConfig(), (1, 4, 4), 3), (1, 4, 4)) == (51, 48)
    model = build_model(KNearestNeighborsConfig(), (1, 4, 4), 3)
    model.features.hold_bytes(
        torch.zeros(9, 16, dtype=torch.uint8), torch.zeros(9, dtype=torch.int64), None
    )
    # A byte for each pixel, a label and a weight; products with all pixels, and with the head.
    assert model_cost(model, (1, 4, 4)) == (9 * 18, 9 * 16 + 9)


def test_images_too_small_for_two_cells_are_refused():
    with pytest.raises(ConfigError, match="cannot build hog-svm: images of 13 x 28 pixels"):
        build_model(HOGSVMConfig(), (1, 13, 28), 10)
