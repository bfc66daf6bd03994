"""Vision transformer, compact convolutional transformer and CoAtNet, beside small references."""

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import nn

from atelier.config import CCTConfig, CoAtNetConfig, ViTConfig
from atelier.errors import ConfigError
from atelier.models import Classifier, build_model, model_cost, stages_of
from atelier.models.coatnet import InvertedBottleneck, OnMap, RelativeAttention
from atelier.models.tokens import SequencePooling, Tokens, as_tokens, patch_embedding
from atelier.models.transformer import Attention, TransformerBlock

CONFIGS = {
    "vit": ViTConfig(dim=12, depth=2, drop_path=0.1, dropout=0.1),
    "vit-mean": ViTConfig(dim=12, depth=2, readout="mean", embedding="convolutions"),
    "cct": CCTConfig(channels=(4,), dim=12, depth=2, drop_path=0.1, dropout=0.1),
    "coatnet": CoAtNetConfig(stem=6, widths=(6, 8), blocks=(2, 2), strides=(1, 2), head_dim=4),
    "coatnet-all": CoAtNetConfig(
        stem=4,
        widths=(6, 8, 12),
        blocks=(1, 1, 1),
        strides=(2, 1, 2),
        attention_stages=2,
        head_dim=4,
        dropout=0.1,
        drop_path=0.1,
    ),
}
SHAPES = [(1, 28, 28), (3, 32, 32), (4, 8, 20)]


@pytest.fixture(autouse=True)
def same_draws():
    torch.manual_seed(0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", CONFIGS)
def test_two_steps_at_every_size_lower_the_loss(name, shape):
    # Without noise, under which a loss may rise.
    quiet = CONFIGS[name].model_copy(update={"dropout": 0.0, "drop_path": 0.0})
    model = build_model(quiet, shape, 7)
    assert isinstance(model, Classifier)
    images, labels = torch.randn(8, *shape), torch.arange(8) % 7
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(3):
        logits = model(images)
        assert logits.shape == (8, 7)
        losses.append(F.cross_entropy(logits, labels))
        optimizer.zero_grad()
        losses[-1].backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
    assert losses[2] < losses[0]


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_the_head_of_the_features_of_each_image_alone(name):
    model = build_model(CONFIGS[name], (1, 28, 28), 5).eval()
    images = torch.randn(3, 1, 28, 28)
    with torch.no_grad():
        together = model(images)
        assert torch.equal(model.head(model.features(images)), together)
        alone = torch.cat([model(image[None]) for image in images])
        assert torch.allclose(together, alone, atol=1e-5)
        by_channel = model.to(memory_format=torch.channels_last)(images)
    assert torch.allclose(together, by_channel, atol=1e-5)


def test_a_transformer_block_is_that_of_torch():
    ours = TransformerBlock(12, Attention(12, 3), 20).eval()
    theirs = nn.TransformerEncoderLayer(
        12, 3, 20, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    ).eval()
    norm, attention, feed = ours.attend[0], ours.attend[1], ours.feed
    theirs.norm1.load_state_dict(norm.state_dict())
    theirs.norm2.load_state_dict(feed[0].state_dict())
    theirs.linear1.load_state_dict(feed[1].state_dict())
    theirs.linear2.load_state_dict(feed[3].state_dict())
    theirs.self_attn.out_proj.load_state_dict(attention.mix.state_dict())
    theirs.self_attn.load_state_dict(
        {
            "in_proj_weight": attention.to_qkv.weight,
            "in_proj_bias": attention.to_qkv.bias,
            "out_proj.weight": attention.mix.weight,
            "out_proj.bias": attention.mix.bias,
        }
    )
    x = torch.randn(2, 9, 12)
    assert torch.allclose(ours(x), theirs(x), atol=1e-5)


def test_a_patch_embedding_is_one_linear_map_for_all_patches():
    embed = patch_embedding((2, 6, 9), 5, 3)
    images = torch.randn(4, 2, 6, 9)
    patches = F.unfold(images, 3, stride=3).transpose(1, 2)  # (N, T, C * 9)
    expected = patches @ embed.weight.flatten(1).T + embed.bias
    assert torch.allclose(as_tokens(embed(images)), expected, atol=1e-5)


def test_a_class_token_stands_first_and_says_nothing_of_the_image():
    tokens = Tokens(4, 6, class_token=True)
    nn.init.normal_(tokens.class_token)
    x = torch.randn(3, 4, 2, 3)
    found = tokens(x)
    assert found.shape == (3, 7, 4)
    assert torch.equal(found[:, 0], found[:1, 0].expand(3, -1))
    assert torch.equal(found[:, 1:], as_tokens(x) + tokens.position[:, 1:])


def test_sequence_pooling_is_a_mean_by_learned_weights():
    pooling = SequencePooling(3)
    x = torch.randn(2, 5, 3)
    for tokens, found in zip(x, pooling(x), strict=True):
        scores = tokens @ pooling.score.weight[0] + pooling.score.bias
        shares = scores.exp() / scores.exp().sum()
        assert torch.allclose(found, sum(s * t for s, t in zip(shares, tokens, strict=True)))


def test_relative_attention_has_a_bias_for_each_distance():
    height, width, heads, dim = 3, 2, 2, 8
    attention = RelativeAttention(dim, heads, (height, width))
    nn.init.normal_(attention.table)
    table = attention.table.view(heads, 2 * height - 1, 2 * width - 1)
    x = torch.randn(1, height * width, dim)
    q, k, v = attention.to_qkv(x)[0].view(-1, 3, heads, dim // heads).unbind(1)
    places = [(row, column) for row in range(height) for column in range(width)]
    mixed = torch.zeros(len(places), heads, dim // heads)
    for i, (row, column) in enumerate(places):
        for head in range(heads):
            scores = torch.stack(
                [
                    q[i, head] @ k[j, head] / (dim // heads) ** 0.5
                    + table[head, row - down + height - 1, column - right + width - 1]
                    for j, (down, right) in enumerate(places)
                ]
            )
            mixed[i, head] = scores.softmax(dim=0) @ v[:, head]
    expected = attention.mix(mixed.flatten(1))
    assert torch.allclose(attention(x)[0], expected, atol=1e-5)


def test_a_block_on_a_map_is_the_block_on_its_places():
    block = TransformerBlock(8, RelativeAttention(8, 2, (3, 5)), 16).eval()
    x = torch.randn(2, 8, 3, 5)
    found = OnMap(block)(x)
    assert found.shape == x.shape
    assert torch.allclose(as_tokens(found), block(as_tokens(x)))


@pytest.mark.parametrize(("stride", "side"), [(1, 7), (2, 4)])
def test_an_inverted_bottleneck_adds_to_its_input(stride, side):
    block = InvertedBottleneck(4, 6, 12, stride, 0.0).eval()
    x = torch.randn(2, 4, 7, 7)
    assert block(x).shape == (2, 6, side, side)
    nn.init.zeros_(block.residual[8].weight)
    nn.init.zeros_(block.residual[8].bias)
    assert torch.equal(block(x), block.shortcut(x))


def test_the_cost_of_a_vit_is_that_counted_by_hand():
    config = ViTConfig(patch=4, dim=8, depth=2, heads=2, mlp_ratio=2.0)
    cost = model_cost(build_model(config, (3, 8, 12), 5), (3, 8, 12))
    patches, tokens = 6, 7
    attention = tokens * 8 * 24 + 2 * tokens * tokens * 8 + tokens * 8 * 8
    block = attention + 2 * tokens * 8 * 16
    assert cost.multiply_adds == patches * 48 * 8 + 2 * block + 8 * 5


def test_relative_attention_is_counted_too():
    attention = RelativeAttention(8, 2, (2, 3))
    x = torch.zeros(1, 6, 8)
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        attention(x)
    assert counter.get_total_flops() == 2 * (6 * 8 * 24 + 2 * 6 * 6 * 8 + 6 * 8 * 8)


def test_convolutions_halve_at_any_size_where_patches_must_fit():
    with pytest.raises(ConfigError, match=r"cannot build vit: images of 30 x 26 .* to 2, or take"):
        build_model(ViTConfig(), (1, 30, 26), 3)
    config = ViTConfig(dim=12, depth=1, embedding="convolutions")
    assert build_model(config, (1, 30, 26), 3)(torch.zeros(1, 1, 30, 26)).shape == (1, 3)


def test_an_image_too_small_for_the_poolings_is_refused():
    with pytest.raises(ConfigError, match="images of 3 x 28 pixels are too small for it"):
        build_model(CONFIGS["cct"], (1, 3, 28), 3)


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        (ViTConfig, {"dim": 10, "heads": 4}, r"heads \(4\) must divide dim \(10\)"),
        (CCTConfig, {"dim": 10, "heads": 4}, r"heads \(4\) must divide dim \(10\)"),
        (ViTConfig, {"patch": 7, "embedding": "convolutions"}, "no power of two"),
        (CoAtNetConfig, {"blocks": (1, 1)}, "blocks 2 and strides 3: set all three to as many"),
        (CoAtNetConfig, {"attention_stages": 4}, "at most the number of stages"),
        (CoAtNetConfig, {"head_dim": 7}, r"head_dim \(7\) must divide the widths"),
    ],
)
def test_options_that_do_not_go_together(kind, options, said):
    with pytest.raises(ValidationError, match=said):
        kind(**options)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_parameter_is_in_one_stage(name):
    features = build_model(CONFIGS[name], (1, 28, 28), 3).features
    for blocks in (False, True):
        stages = stages_of(features, blocks=blocks)
        found = [p for stage in stages for p in stage]
        assert len(found) == len(set(found))
        assert set(found) == set(features.parameters())
        assert len(stages) >= 4


NARROW = {
    "vit": ["model.dim=16", "model.depth=1"],
    "cct": ["model.channels=[4]", "model.dim=16", "model.depth=1"],
    "coatnet": [
        "model.stem=4",
        "model.widths=[4,8]",
        "model.blocks=[1,1]",
        "model.strides=[2,1]",
        "model.head_dim=8",
    ],
}


@pytest.mark.parametrize("recipe", NARROW)
def test_the_recipe_trains(train_tiny, tmp_path, recipe):
    run = train_tiny(tmp_path / recipe, *NARROW[recipe], recipe=recipe)
    first, last = run.history
    assert last["train/loss"] < first["train/loss"]
