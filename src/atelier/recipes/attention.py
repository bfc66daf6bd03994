"""Networks of dense layers, and of attention between places."""

from __future__ import annotations

from ..config import (
    AugmentConfig,
    CCTConfig,
    CoAtNetConfig,
    HybridConfig,
    MixerConfig,
    ModelConfig,
    Recipe,
    ResidualMLPConfig,
    TrainConfig,
    ViTConfig,
)


def residual_mlp() -> Recipe:
    """Residual blocks on the flattened pixels (Gorishniy et al. 2021, arXiv:2106.11959)."""
    return _feedforward("residual-mlp", ResidualMLPConfig(), num_epochs=40)


def mlp_wide() -> Recipe:
    """The feedforward network for its best: wider, longer, and judging by shifted views too, for
    what it learns at one place it does not know at the next.

    With a residual `speednet` as its teacher, asked once, and 60 epochs (README, "Distillation")
    91.84 % of the test images (91.29 to 92.36), one seed; by the labels alone it was not measured.
    """
    model = ResidualMLPConfig(width=768, hidden=1536, drop_path=0.1)
    recipe = _feedforward("mlp-wide", model, num_epochs=45)
    return recipe.model_copy(update={"shift_average": True})


def mixer() -> Recipe:
    """Dense layers in turn across patches and across channels (arXiv:2105.01601).

    92.12 % of the test images (91.58 to 92.63), one seed; by AdamW alone 90.50 (89.91 to 91.06).
    """
    model = MixerConfig(dim=64, patch_hidden=48)
    return _with_muon(_recipe("mixer", model, num_epochs=22, crop_padding=2))


def vit() -> Recipe:
    """A vision transformer for small images (arXiv:2010.11929), from scratch, whose tokens come
    from a few convolutions (arXiv:2106.14881): patches alone need far more images.

    92.81 % of the test images (92.29 to 93.30), one seed; by AdamW alone 91.33 (90.76 to 91.87).
    """
    model = ViTConfig(dim=64, embedding="convolutions", readout="mean")
    return _with_muon(_recipe("vit", model, num_epochs=20, crop_padding=2))


def hybrid_long() -> Recipe:
    """The network of `hybrid`, on twice the epochs, with shifted crops, for more than 93 %."""
    model = HybridConfig(dropout=0.25)
    return _recipe("hybrid-long", model, num_epochs=12, crop_padding=1)


def cct() -> Recipe:
    """A compact convolutional transformer (arXiv:2104.05704).

    92.97 % of the test images (92.45 to 93.45), one seed.
    """
    model = CCTConfig(dim=64, depth=2)
    return _with_muon(_recipe("cct", model, num_epochs=25, crop_padding=2))


def coatnet() -> Recipe:
    """Convolutions below, relative attention above (arXiv:2106.04803).

    92.59 % of the test images (92.06 to 93.09), one seed.
    """
    model = CoAtNetConfig(stem=24, widths=(24, 48, 72), blocks=(1, 1, 2), expansion=3.0)
    return _with_muon(_recipe("coatnet", model, num_epochs=15, crop_padding=2))


def _with_muon(recipe: Recipe) -> Recipe:
    """Orthogonalized steps for what is a matrix (`muon-adamw`): small matrices cost little, as
    reckoned 3 % of a step of `vit`, and after as many epochs `vit` and `mixer` are one and a half
    points better. `coatnet` and `cct` have it from them, without a comparison of their own."""
    return recipe.changed({"train.optimizer": "muon-adamw", "train.lr": 2e-3})


def _feedforward(name: str, model: ResidualMLPConfig, *, num_epochs: int) -> Recipe:
    return _recipe(name, model, num_epochs=num_epochs, crop_padding=1, batch_size=256)


def _recipe(
    name: str, model: ModelConfig, *, num_epochs: int, crop_padding: int, batch_size: int = 128
) -> Recipe:
    """A cosine schedule fixed beforehand, whose last weights are kept. Its length is what two cores
    are reckoned to do in half an hour; rate, decay and smoothing are usual ones, not searched."""
    return Recipe(
        name=name,
        model=model,
        augment=AugmentConfig(mirror="random", crop_padding=crop_padding),
        mirror_average=True,
        train=TrainConfig(
            num_epochs=num_epochs,
            batch_size=batch_size,
            lr=1e-3,
            weight_decay=0.05,
            schedule="cosine",
            warmup_epochs=2,
            label_smoothing=0.1,
            keep="last",
            precision="auto",
        ),
    )
