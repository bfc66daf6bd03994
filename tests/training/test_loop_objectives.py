"""The loop, with objectives that have weights and a memory of their own."""

import torch
from torch import nn

from atelier.training.objectives import supervised
from atelier.training.optimizers import build_optimizer
from tests.training.test_loop import run, same


class Memory(nn.Module):
    """An objective with a weight and a count of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2))
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, model, batch):
        loss, logs = supervised()(lambda images: model(images) * self.scale, batch)
        return loss, logs

    def after_step(self, _model):
        self.steps += 1


def with_own(objective):
    return lambda model, config: build_optimizer(model, config, objective)


def test_what_an_objective_has_of_its_own_is_trained_told_and_kept():
    objective = Memory()
    final, _ = run(objective=objective, build=with_own(objective))
    assert objective.steps == 9
    assert not torch.equal(objective.scale, torch.ones(2))
    assert same(final.objective, dict(objective.state_dict()))


def test_an_objective_goes_on_where_it_stopped():
    def trained(**options):
        objective = Memory()
        build = with_own(objective)
        return run(objective=objective, build=build, schedule="constant", **options)[0]

    whole, first = trained(), trained(num_epochs=1)
    again = trained(state=first)
    assert again.objective["steps"] == 9
    assert same(again.model, whole.model)
    assert same(again.objective, whole.objective)
