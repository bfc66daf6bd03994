"""Model soups (Wortsman et al. 2022, arXiv:2203.05482): one network whose weights are the mean of
those of several, for the cost of one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..errors import RunError
from ..models import Classifier
from .members import Member

Accuracy = Callable[[nn.Module], float]
"""Of a network on the validation images."""


def refuse_other_architectures(members: Sequence[Member]) -> None:
    """Weights can be averaged only where each means the same.

    Raises:
        RunError: the networks or the views that they judge by differ.
    """
    first = members[0].run.card
    for member in members[1:]:
        card = member.run.card
        same = (card.model, card.mirror_average, card.shift_average) == (
            first.model,
            first.mirror_average,
            first.shift_average,
        )
        if not same:
            raise RunError(
                f"{member.name} and {members[0].name} are of different architectures or judge by "
                "different views: their weights have no mean",
                fix="Leave out --soup for an ensemble of them",
            )


def start_warning(members: Sequence[Member]) -> str | None:
    """What to expect of members that were not trained from the same weights on."""
    starts = {member.run.recipe.train.init for member in members}
    same_run = len({member.run.path for member in members}) == 1
    if same_run or len(members) == 1 or (len(starts) == 1 and None not in starts):
        return None
    return (
        "these runs do not go on from the same trained weights (train.init): the mean of such "
        "weights mostly fails"
    )


@torch.no_grad()
def averaged(networks: Sequence[Classifier], reestimate: Callable[[nn.Module], None]) -> Classifier:
    """A network whose weights are the mean of those of `networks`, of which there is at least one.

    Args:
        networks: of one architecture.
        reestimate: gives its batch norms the statistics that fit its weights; not called for one
            network, which stays what it is.
    """
    soup = copy.deepcopy(networks[0])
    if len(networks) > 1:
        states = [network.state_dict() for network in networks]
        soup.load_state_dict({name: _mean([state[name] for state in states]) for name in states[0]})
        reestimate(soup)
    return soup.eval()


def _mean(tensors: list[Tensor]) -> Tensor:
    """In float64, so that equal weights stay as they are; counts are the first's."""
    if not tensors[0].is_floating_point():
        return tensors[0]
    return torch.stack([t.double() for t in tensors]).mean(dim=0).to(tensors[0].dtype)


def greedy(
    members: Sequence[Member],
    accuracies: Sequence[float],
    accuracy: Accuracy,
    reestimate: Callable[[nn.Module], None],
) -> tuple[Classifier, list[int]]:
    """The greedy soup (recipe 1 of the paper): from the best member on, each joins if validation
    gets no worse by it.

    Args:
        members: of one architecture.
        accuracies: of each alone, on the same validation images.
        accuracy: of a network on them.
        reestimate: as of `averaged`.

    Returns:
        The soup, and the positions of what is in it, from the best on.
    """
    order = sorted(range(len(members)), key=lambda position: -accuracies[position])
    chosen, best = order[:1], accuracies[order[0]]
    soup = averaged([members[order[0]].network], reestimate)
    for position in order[1:]:
        tried = averaged([members[k].network for k in [*chosen, position]], reestimate)
        reached = accuracy(tried)
        if reached >= best:
            soup, best = tried, reached
            chosen.append(position)
    return soup, chosen
