"""Lightning's Trainer on the plain loop's network and images, batch 64, Adam.

The DataLoader has as many workers as Lightning itself recommends; the Trainer's logger, checkpoints
and progress bar are off. Both are to its advantage.

    python -m benchmarks.peers.lightning_trainer --data FOLDER --epochs 10
"""

from __future__ import annotations

import logging
import warnings

import lightning
import torch
from lightning.fabric.utilities.data import suggested_max_num_workers
from torch import Tensor, nn
from torch.utils.data import DataLoader

from .plain_loop import BATCH_SIZE, PlainImages, accuracy, plain_network
from .protocol import Arrays, Stopwatch, parse_options


class PlainModule(lightning.LightningModule):
    """The plain network, its loss and its optimizer."""

    def __init__(self, data: Arrays, watch: Stopwatch) -> None:
        super().__init__()
        self.data, self.watch = data, watch
        self.network = plain_network(data.train_images.shape[1:], int(data.train_labels.max()) + 1)
        self.criterion = nn.CrossEntropyLoss()

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        images, labels = batch
        return self.criterion(self.network(images), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters())

    def on_train_epoch_end(self) -> None:
        self.watch.epoch_ended(self.test_accuracy)
        self.network.train()

    def test_accuracy(self) -> float:
        return accuracy(self.network, self.data.test_images, self.data.test_labels, self.device)


def main() -> None:
    options = parse_options(__doc__)
    watch = Stopwatch(options.started)
    # Its advice goes to standard error, where only a failure is looked for.
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    lightning.seed_everything(options.seed, verbose=False)
    data = Arrays.load(options.data)
    loader = DataLoader(
        PlainImages(data.train_images, data.train_labels),
        batch_size=BATCH_SIZE,
        shuffle=True,
        num_workers=suggested_max_num_workers(local_world_size=1),
        persistent_workers=True,
    )
    trainer = lightning.Trainer(
        max_epochs=options.epochs,
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(PlainModule(data, watch), loader)


if __name__ == "__main__":
    main()
