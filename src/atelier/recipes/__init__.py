"""Named recipes: functions that return a `Recipe`, in one literal table.

Fashion-MNIST's shoes and bags nearly all face one way, so mirroring is a choice of each recipe and
never a default of the augmentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..config import Recipe, TimmConfig
from ..config.backbones import PREFIX, require_backbone
from ..errors import ConfigError, did_you_mean
from .attention import cct, coatnet, hybrid_long, mixer, mlp_wide, residual_mlp, vit
from .classical import (
    hist_gradient_boosting,
    hog_svm,
    k_nearest_neighbors,
    logistic,
    random_forest,
)
from .convolutional import (
    cbam_resnet,
    densenet,
    efficient,
    lenet,
    mobile,
    preact_resnet,
    se_resnet,
    shake_shake,
    small_1m,
    small_100k,
    small_200k,
    small_200k_long,
    vgg,
    wrn_16_4,
)
from .domain_adaptation import adapted, adapted_from
from .fast import fast_91, fast_93, fast_94, fast_95
from .few_shot import few_shot, few_shot_plain
from .gpu import gpu_94, gpu_95, gpu_96, gpu_96_flat, gpu_96_long, small_1m_long
from .noisy_labels import noisy, noisy_bootstrapping, noisy_co_teaching, noisy_gce
from .photos import fine_tune, photos, photos_fast
from .plain import cnn, hybrid, mlp, resnet
from .semi_supervised import (
    contrastive,
    few_labels,
    fixmatch,
    flexmatch,
    label_propagation,
    mean_teacher,
    pi_model,
    pseudo_label,
)

RECIPES: dict[str, Callable[[], Recipe]] = {
    "mlp": mlp,
    "cnn": cnn,
    "hybrid": hybrid,
    "resnet": resnet,
    "fast-91": fast_91,
    "fast-93": fast_93,
    "fast-94": fast_94,
    "fast-95": fast_95,
    "photos-fast": photos_fast,
    "photos": photos,
    "lenet": lenet,
    "vgg": vgg,
    "preact-resnet": preact_resnet,
    "se-resnet": se_resnet,
    "cbam-resnet": cbam_resnet,
    "densenet": densenet,
    "mobile": mobile,
    "efficient": efficient,
    "wrn-16-4": wrn_16_4,
    "shake-shake": shake_shake,
    "small-100k": small_100k,
    "small-200k": small_200k,
    "small-200k-long": small_200k_long,
    "small-1m": small_1m,
    "small-1m-long": small_1m_long,
    "gpu-94": gpu_94,
    "gpu-95": gpu_95,
    "gpu-96": gpu_96,
    "gpu-96-long": gpu_96_long,
    "gpu-96-flat": gpu_96_flat,
    "logistic": logistic,
    "hog-svm": hog_svm,
    "random-forest": random_forest,
    "hist-gradient-boosting": hist_gradient_boosting,
    "k-nearest-neighbors": k_nearest_neighbors,
    "few-shot": few_shot,
    "few-shot-plain": few_shot_plain,
    "noisy": noisy,
    "noisy-gce": noisy_gce,
    "noisy-bootstrapping": noisy_bootstrapping,
    "noisy-co-teaching": noisy_co_teaching,
    "residual-mlp": residual_mlp,
    "mlp-wide": mlp_wide,
    "mixer": mixer,
    "vit": vit,
    "cct": cct,
    "hybrid-long": hybrid_long,
    "coatnet": coatnet,
    "few-labels": few_labels,
    "pseudo-label": pseudo_label,
    "pi-model": pi_model,
    "mean-teacher": mean_teacher,
    "fixmatch": fixmatch,
    "flexmatch": flexmatch,
    "label-propagation": label_propagation,
    "contrastive": contrastive,
    "domain-source": adapted_from,
    "domain-adapted": adapted,
}

ZOO = ("mlp", "cnn", "hybrid", "resnet", "fast-91", "fast-93", "fast-94")
"""What `bench_zoo` trains where no recipe is named: from scratch, in minutes on two cores."""


def get_recipe(
    name: str, *, data: str = "fashion-mnist", seed: int = 0, overrides: Iterable[str] = ()
) -> Recipe:
    """The recipe of that name for that data and seed, with overrides applied.

    Args:
        name: a key of `RECIPES`, or ``timm/NAME`` with the name of a timm backbone.
        data: a data set's name or folder.
        seed: of the split, the initial weights, the order of batches and the augmentation.
        overrides: ``path=value`` strings such as ``train.lr=0.01``.

    Raises:
        ConfigError: an unknown name (with the nearest one), key or value.
    """
    if name.startswith(PREFIX):
        require_backbone(name.removeprefix(PREFIX))
    elif name not in RECIPES:
        raise ConfigError("unknown recipe", got=name, fix=did_you_mean(name, RECIPES))
    recipe = _named(name).model_copy(update={"data": data})
    return recipe.with_overrides([f"seed={seed}", *overrides])


def is_recipe(name: str) -> bool:
    """Whether `name` is a key of `RECIPES` or ``timm/NAME``, whatever the name."""
    return name in RECIPES or name.startswith(PREFIX)


def is_recipe_file(name: str) -> bool:
    """Whether `name` stands for a saved recipe, as ``runs/tune/cnn/best.json``."""
    return name.endswith(".json")


def nearest_named(recipe: Recipe) -> Recipe:
    """The named recipe that `recipe` is a change of: by its name, or else by its network."""
    if is_recipe(recipe.name):
        return _named(recipe.name)
    if isinstance(recipe.model, TimmConfig):
        return _named(PREFIX + recipe.model.backbone)
    return _named(recipe.model.name)


def _named(name: str) -> Recipe:
    return fine_tune(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else RECIPES[name]()
