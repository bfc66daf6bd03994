"""Several networks as one."""

import numpy as np
import pytest
import torch

from atelier.config import CNNConfig, EnsembleConfig, MLPConfig
from atelier.config.networks import MemberConfig
from atelier.models import build_model
from atelier.models.ensemble import MeanOfMembers, assembled
from atelier.predictor import PixelClassifier
from atelier.runs import ModelCard

SHAPE = (1, 8, 8)


def card_of(model, mean, std, **views):
    return ModelCard(
        model=model,
        classes=("a", "b", "c"),
        image_shape=SHAPE,
        mean=(mean,),
        std=(std,),
        background=views.pop("background", 0),
        **views,
    )


def test_the_head_gives_the_logarithm_of_the_mean_probability():
    first, second = torch.nn.Linear(2, 3), torch.nn.Linear(4, 3, bias=False)
    head = MeanOfMembers([2, 4], 3)
    head.take([first, second])
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    mean = (first(x[:, :2]).softmax(1) + second(x[:, 2:]).softmax(1)) / 2
    assert torch.allclose(head(x).exp(), mean, atol=1e-6)


@pytest.mark.parametrize("outside", [(False, False), (True, True)])
def test_members_keep_their_own_preprocessing_and_views(outside):
    """As a whole: the mean of what each gives from bytes."""
    torch.manual_seed(0)
    mirrored, shifted = outside
    cards = [
        card_of(CNNConfig(channels=(2, 3), dense=4), 0.3, 0.2, background=7),
        card_of(MLPConfig(width=5), 0.5, 0.4, mirror_average=True),
        card_of(MLPConfig(width=6), 0.3, 0.2, shift_average=True, background=9),
        card_of(MLPConfig(width=6), 0.1, 0.0, mirror_average=True, shift_average=True),
    ]
    if mirrored:
        cards = [
            card.model_copy(update={"mirror_average": True, "shift_average": True, "background": 7})
            for card in cards
        ]
    networks = [build_model(card.model, SHAPE, 3).eval() for card in cards]
    config = EnsembleConfig(
        mean=cards[0].mean,
        std=cards[0].std,
        members=tuple(
            MemberConfig(
                model=card.model,
                mean=card.mean,
                std=card.std,
                background=card.background,
                mirror_average=card.mirror_average and not mirrored,
                shift_average=card.shift_average and not shifted,
            )
            for card in cards
        ),
    )
    whole = cards[0].model_copy(
        update={"model": config, "mirror_average": mirrored, "shift_average": shifted}
    )
    pixels = torch.randint(
        0, 256, (6, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    with torch.inference_mode():
        expected = sum(
            PixelClassifier(network, card)(pixels).softmax(1)
            for network, card in zip(networks, cards, strict=True)
        ) / len(cards)
        logits, embedding = PixelClassifier(assembled(config, networks, SHAPE), whole).outputs(
            pixels
        )
    assert np.allclose(logits.exp(), expected, atol=1e-5)
    assert embedding.shape == (6, sum(network.head.in_features for network in networks))


def test_an_ensemble_is_no_member():
    member = MemberConfig(model=MLPConfig(), mean=(0.3,), std=(0.2,))
    inner = EnsembleConfig(mean=(0.3,), std=(0.2,), members=(member,))
    with pytest.raises(ValueError, match="name its members instead"):
        EnsembleConfig(
            mean=(0.3,), std=(0.2,), members=(MemberConfig(model=inner, mean=(0.3,), std=(0.2,)),)
        )
