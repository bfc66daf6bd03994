"""The training loop of most tutorials: a DataLoader of PIL images, batch 64, Adam.

python -m benchmarks.peers.plain_loop --data FOLDER --epochs 10
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from .protocol import Arrays, Stopwatch, parse_options

BATCH_SIZE = 64


class PlainImages(Dataset[tuple[Tensor, int]]):
    """Images one at a time through PIL, as torchvision.datasets.FashionMNIST gives them."""

    def __init__(self, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> None:
        # Here, for it takes seconds to import, and not all who import this module need it.
        from torchvision import transforms

        # In memory, as torchvision holds them; (N, H, W, C) for PIL.
        self.images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        self.labels = labels
        channels = images.shape[1]
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize((0.5,) * channels, (0.5,) * channels)]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index]
        picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
        return self.transform(picture), int(self.labels[index])


def plain_network(image_shape: tuple[int, int, int], num_classes: int) -> nn.Sequential:
    """conv32, conv64, each with ReLU and max-pooling, then dense 128: `cnn`, as most write it."""
    channels, height, width = image_shape
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * (height // 4) * (width // 4), 128),
        nn.ReLU(),
        nn.Linear(128, num_classes),
    )


class PlainLoop:
    """The plain network and its training on images (N, C, H, W) uint8 with labels (N,)."""

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        *,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        torch.manual_seed(seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.loader = DataLoader(
            PlainImages(images, labels), batch_size=BATCH_SIZE, shuffle=True, num_workers=workers
        )
        self.model = plain_network(images.shape[1:], int(labels.max()) + 1).to(self.device)
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(self.model.parameters())

    def epoch(self) -> tuple[float, float]:
        """Train one epoch; return its seconds and its mean loss."""
        start = time.perf_counter()
        running_loss = 0.0
        self.model.train()
        for images, labels in self.loader:
            images, labels = images.to(self.device), labels.to(self.device)
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(images), labels)
            loss.backward()
            self.optimizer.step()
            running_loss += loss.item()
        return time.perf_counter() - start, running_loss / len(self.loader)


@torch.inference_mode()
def accuracy(
    model: nn.Module,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    device: torch.device,
) -> float:
    """The share of the images that the model, put into evaluation mode, is right about."""
    model.eval()
    right = 0
    for batch, answers in DataLoader(PlainImages(images, labels), batch_size=1000):
        right += int((model(batch.to(device)).argmax(1).cpu() == answers).sum())
    return right / len(labels)


def main() -> None:
    options = parse_options(__doc__)
    watch = Stopwatch(options.started)
    data = Arrays.load(options.data)
    loop = PlainLoop(data.train_images, data.train_labels, seed=options.seed)
    for _ in range(options.epochs):
        loop.epoch()
        watch.epoch_ended(
            lambda: accuracy(loop.model, data.test_images, data.test_labels, loop.device)
        )


if __name__ == "__main__":
    main()
