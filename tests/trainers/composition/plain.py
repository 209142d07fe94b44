"""One step of reinforcement learning, written out from the papers, one episode after the other.

Nothing here comes from rlenv, and nothing is done the way that rlenv does it: no padding, no
shared prompts, no micro-batches, plain lists in place of grids, and float64 throughout.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field

import torch

# What the papers chose: how a reward becomes an advantage, what is clipped and how, and over what
# the loss is averaged.
ALGORITHMS = {
    "grpo": {"aggregate": "sequence", "clip": (0.2, 0.2)},
    "dr_grpo": {"advantage": "centred", "aggregate": "constant", "clip": (0.2, 0.2)},
    "dapo": {"aggregate": "token", "clip": (0.2, 0.28)},
    "bnpo": {"aggregate": "token", "clip": (0.2, 0.2)},
    "gspo": {"surrogate": "gspo", "aggregate": "sequence", "clip": (3e-4, 4e-4)},
    "cispo": {"surrogate": "cispo", "aggregate": "token", "clip": (1.0, 4.0)},
    "rloo": {"advantage": "leave one out", "surrogate": "reinforce", "aggregate": "sum"},
    "reinforce_pp": {"advantage": "by batch", "aggregate": "token", "clip": (0.2, 0.2)},
    "maxrl": {"advantage": "by mean", "aggregate": "token", "clip": (0.2, 0.2)},
    "ppo": {"advantage": "gae", "aggregate": "token", "clip": (0.2, 0.2)},
}


@dataclass
class Episode:
    """What the policy said in an episode, and what came of it.

    turns: for each turn the first token's index and one past the last one's.
    sampled: for each token of the turns, in order, the logprob that the sampler told, or NaN.
    """

    tokens: list[int]
    turns: list[tuple[int, int]]
    sampled: list[float]
    rewards: list[float]  # one a turn
    judged: bool
    truncated: bool

    @property
    def places(self) -> list[int]:
        return [at for start, end in self.turns for at in range(start, end)]

    def turn_of(self) -> list[int]:
        return [k for k, (start, end) in enumerate(self.turns) for _ in range(start, end)]


@dataclass
class ValueFunction:
    lam: float = 0.95
    clip: float | None = 0.2
    coefficient: float = 0.5
    by_turn: bool = False
    whiten: bool = True
    shared: bool = False
    learning_rate: float | None = None


@dataclass
class Recipe:
    advantage: str = "by group"
    surrogate: str = "clipped"
    aggregate: str = "sequence"
    clip: tuple[float, float] = (0.2, 0.2)
    temperature: float = 1.0
    max_tokens: int = 8
    gamma: float = 1.0
    by_turn: bool = True
    reward_clip: tuple[float, float] | None = None
    overlong: tuple[int, float] | None = None  # L_cache, and what a reply of max_tokens loses
    drop_truncated: bool = False
    beta: float = 0.0
    estimator: str = "k3"
    kl_in: str = "loss"
    kl_target: float | None = None
    entropy_bonus: float = 0.0
    importance_cap: float | None = None
    critic: ValueFunction | None = None
    minibatches: int = 1
    epochs: int = 1
    learning_rate: float = 1e-3
    rates: list[float] = field(default_factory=lambda: [1.0])  # of the highest, step by step
    weight_decay: float = 0.0
    max_norm: float = 1.0


_HEAD = ("weight", "bias")

# from rewards to advantages


def mean(values):
    return math.fsum(values) / len(values)


def deviation(values):
    middle = mean(values)
    return math.sqrt(math.fsum((v - middle) ** 2 for v in values) / max(1, len(values) - 1))


def advantages(name, groups):
    """The advantages of groups of rewards: one list a task, of the rollouts that were judged."""
    centred = [[r - mean(g) for r in g] if g else [] for g in groups]
    if name == "by group":
        return [
            [a / (deviation(g) + 1e-4) for a in c] for c, g in zip(centred, groups, strict=True)
        ]
    if name == "centred":
        return centred
    if name == "by batch":
        spread = deviation([a for c in centred for a in c]) + 1e-4
        return [[a / spread for a in c] for c in centred]
    if name == "by mean":
        return [
            [a / mean(g) if mean(g) > 0 else 0.0 for a in c]
            for c, g in zip(centred, groups, strict=True)
        ]
    assert name == "leave one out"
    return [
        [r - mean(g[:i] + g[i + 1 :]) if len(g) > 1 else 0.0 for i, r in enumerate(g)]
        for g in groups
    ]


def estimate(name, logprobs, reference):
    """KL(policy, reference) from one sample: Schulman 2020."""
    log_ratio = logprobs - reference
    if name == "k1":
        return log_ratio
    if name == "k2":
        return 0.5 * log_ratio**2
    return torch.exp(-log_ratio) - 1 + log_ratio


def discounted(rewards, gamma):
    return [
        sum(gamma ** (j - k) * rewards[j] for j in range(k, len(rewards)))
        for k in range(len(rewards))
    ]


def generalized_advantages(rewards, values, gamma, lam):
    after = [*values[1:], 0.0]
    deltas = [r + gamma * n - v for r, n, v in zip(rewards, after, values, strict=True)]
    return [
        sum((gamma * lam) ** (j - t) * deltas[j] for j in range(t, len(deltas)))
        for t in range(len(deltas))
    ]


# the step


class PlainTrainer:
    """Trains copies of a policy, and of a critic, by a recipe.

    policy, reference: causal LMs. trunk, head: of a critic, whose head is a weight (1, H) and a
    bias (1,); with a shared critic the trunk is the policy's own.
    """

    def __init__(self, recipe, policy, reference, trunk=None, head=()):
        self.r = recipe
        self.policy = copy.deepcopy(policy).double()
        self.reference = copy.deepcopy(reference).double()
        self.trunk = copy.deepcopy(trunk).double() if trunk is not None else None
        self.head = [torch.nn.Parameter(p.detach().double()) for p in head]
        self.beta = recipe.beta
        self.gradients: list[dict[str, torch.Tensor]] = []  # one entry an optimizer step
        self.moments: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def named_parameters(self):
        """Yield the name, the parameter and the highest learning rate of all that is trained."""
        rate = self.r.learning_rate
        yield from ((f"policy.{n}", p, rate) for n, p in self.policy.named_parameters())
        apart = self.trunk is not None
        if apart and self.r.critic.learning_rate is not None:
            rate = self.r.critic.learning_rate
        if apart:
            yield from ((f"trunk.{n}", p, rate) for n, p in self.trunk.named_parameters())
        yield from (
            (f"head.{n}", p, rate) for n, p in zip(_HEAD, self.head, strict=bool(self.head))
        )

    # what models say

    def said(self, model, episode):
        """The log-distributions that an episode's tokens were drawn from: (N, V)."""
        logits = model(input_ids=torch.tensor([episode.tokens])).logits[0]
        before = torch.tensor(episode.places) - 1
        return torch.log_softmax(logits[before] / self.r.temperature, -1)

    def chosen(self, said, episode):
        tokens = torch.tensor([episode.tokens[at] for at in episode.places])
        return said[torch.arange(len(tokens)), tokens]

    def values(self, episode):
        """The values of the states that an episode's tokens were drawn in: (N,)."""
        ids = torch.tensor([episode.tokens])
        if self.trunk is not None:
            hidden = self.trunk(input_ids=ids).last_hidden_state[0]
        else:
            hidden = self.policy(input_ids=ids, output_hidden_states=True).hidden_states[-1][0]
        weight, bias = self.head
        return (hidden @ weight[0] + bias)[torch.tensor(episode.places) - 1]

    # a step

    @torch.no_grad()
    def before(self, episodes):
        """What is known of each episode before the first optimizer step."""
        known = {}
        for key, e in episodes.items():
            told = torch.tensor(e.sampled, dtype=torch.float64)
            ours = self.chosen(self.said(self.policy, e), e)
            reference = self.chosen(self.said(self.reference, e), e)
            row = {"old": told, "reference": reference, "weight": torch.ones(len(told))}
            if self.r.kl_in == "reward":
                cost = self.beta * estimate(self.r.estimator, told, reference)
                row["cost"] = torch.where(told.isnan(), 0.0, cost)
            else:
                row["cost"] = torch.zeros(len(told))
            if self.r.importance_cap is not None:
                ratio = torch.exp(ours - told).clamp(max=self.r.importance_cap)
                row["weight"] = torch.where(told.isnan(), 1.0, ratio)
                row["old"] = ours
            if self.r.critic is not None:
                row["value"] = self.values(e)
            known[key] = row
        return known

    def turn_rewards(self, episode):
        """What each turn is worth before any cost of the KL."""
        r = self.r
        earned = episode.rewards if r.by_turn else [sum(episode.rewards)]
        if r.reward_clip is not None:
            low, high = r.reward_clip
            earned = [min(high, max(low, value)) for value in earned]
        if r.overlong is not None:
            cache, penalty = r.overlong
            costs = []
            for start, end in episode.turns:
                over = (end - start) - (r.max_tokens - cache)
                costs.append(penalty * min(1.0, max(0.0, over / cache)))
            costs = costs if r.by_turn else [sum(costs)]
            earned = [value - cost for value, cost in zip(earned, costs, strict=True)]
        return earned

    def compare(self, groups, known):
        """Give every token of every judged rollout its advantage; return who is trained on."""
        r = self.r
        to_go = {}
        for (g, i), row in known.items():
            episode = groups[g][i]
            earned = self.turn_rewards(episode)
            costs = [0.0] * len(episode.turns)
            for k, cost in zip(episode.turn_of(), row["cost"].tolist(), strict=True):
                costs[k] += cost
            costs = costs if r.by_turn else [sum(costs)]
            to_go[g, i] = discounted([e - c for e, c in zip(earned, costs, strict=True)], r.gamma)
            row["by turn"] = [0.0] * len(earned)
        for k in range(max(map(len, to_go.values()))):
            had = [
                [key for key in to_go if key[0] == g and len(to_go[key]) > k]
                for g in range(len(groups))
            ]
            found = advantages(r.advantage, [[to_go[key][k] for key in keys] for keys in had])
            for keys, values in zip(had, found, strict=True):
                for key, value in zip(keys, values, strict=True):
                    known[key]["by turn"][k] = value
        moved = {key[0] for key, row in known.items() if any(abs(a) > 1e-9 for a in row["by turn"])}
        for (g, i), row in known.items():
            spread = [row["by turn"][k if r.by_turn else 0] for k in groups[g][i].turn_of()]
            row["advantage"] = torch.tensor(spread, dtype=torch.float64)
        return [
            (g, i)
            for g, i in known
            if g in moved and not (r.drop_truncated and groups[g][i].truncated)
        ]

    def criticise(self, groups, known):
        """The same with a critic, whose values are given their targets too."""
        r, c = self.r, self.r.critic
        kept = [k for k in known if not (r.drop_truncated and groups[k[0]][k[1]].truncated)]
        for g, i in kept:
            row, turn_of = known[g, i], groups[g][i].turn_of()
            earned = [-cost for cost in row["cost"].tolist()]
            for k, value in enumerate(self.turn_rewards(groups[g][i])):
                earned[len(turn_of) - 1 - turn_of[::-1].index(k)] += value  # its last token
            acts = list(range(len(turn_of)))
            if c.by_turn:
                acts = [turn_of.index(k) for k in range(len(groups[g][i].turns))]
                earned = [
                    sum(e for e, k in zip(earned, turn_of, strict=True) if k == turn)
                    for turn in range(len(acts))
                ]
            values = row["value"][acts]
            found = generalized_advantages(earned, values.tolist(), r.gamma, c.lam)
            row["acts"], row["by act"] = acts, torch.tensor(found, dtype=torch.float64)
            row["return"] = row["by act"] + values
        everything = torch.cat([known[key]["by act"] for key in kept])
        targets = torch.cat([known[key]["return"] for key in kept])
        missed = torch.cat([known[k]["return"] - known[k]["value"][known[k]["acts"]] for k in kept])
        self.explained = 1 - float(missed.var() / targets.var())
        for key in kept:
            row = known[key]
            by_act = row["by act"]
            if c.whiten:
                by_act = (by_act - everything.mean()) / (everything.var() + 1e-8).sqrt()
            turn_of = groups[key[0]][key[1]].turn_of()
            row["advantage"] = by_act[turn_of] if c.by_turn else by_act
        return kept

    def step(self, number, groups):
        """Take step `number`, from 0, on groups of episodes; return what would be logged."""
        judged = {
            (g, i): e for g, group in enumerate(groups) for i, e in enumerate(group) if e.judged
        }
        known = self.before(judged)
        kept = (self.compare if self.r.critic is None else self.criticise)(groups, known)
        trained = sorted({g for g, _ in kept})
        size = math.ceil(len(trained) / self.r.minibatches)
        metrics: list[dict[str, float]] = []
        for _ in range(self.r.epochs):
            for first in range(0, len(trained), size):
                part = [key for key in kept if key[0] in trained[first : first + size]]
                metrics.append(self.descend(number, [(judged[key], known[key]) for key in part]))
        logged = {name: mean([m[name] for m in metrics]) for name in metrics[0]}
        if self.r.critic is not None:
            logged["explained_variance"] = self.explained
        if self.r.kl_target is not None:
            error = min(0.2, max(-0.2, logged["kl"] / self.r.kl_target - 1))
            self.beta *= 1 + 0.1 * error
        return logged

    def descend(self, number, rows):
        """Take one optimizer step along the loss of some episodes."""
        r = self.r
        tokens = sum(len(e.places) for e, _ in rows)
        loss = kl = entropy = value_loss = torch.zeros((), dtype=torch.float64)
        for episode, known in rows:
            said = self.said(self.policy, episode)
            logprobs = self.chosen(said, episode)
            per_token = self.surrogate(logprobs, known)
            if r.kl_in == "loss" and self.beta:
                penalty = estimate(r.estimator, logprobs, known["reference"])
                per_token = per_token + self.beta * penalty
            loss = (
                loss
                + per_token.sum()
                / {
                    "sequence": len(per_token) * len(rows),
                    "token": tokens,
                    "constant": r.max_tokens * len(rows),
                    "sum": len(rows),
                }[r.aggregate]
            )
            entropy = entropy - (said.exp() * said).sum() / tokens
            k3 = estimate("k3", logprobs, known["reference"])
            kl = kl + k3.sum().detach() / tokens
            if r.critic is not None:
                acts = sum(len(row["acts"]) for _, row in rows)
                value_loss = value_loss + self.value_errors(episode, known).sum() / acts
        loss = loss - r.entropy_bonus * entropy
        logged = {"loss": loss.item(), "kl": kl.item(), "entropy": entropy.item()}
        if r.critic is not None:
            logged["value_loss"] = value_loss.item()
            loss = loss + r.critic.coefficient * value_loss
        logged["grad_norm"] = self.update(loss, number)
        return logged

    def surrogate(self, logprobs, known):
        """What is minimized, of each token of one episode: (N,)."""
        r = self.r
        old, advantage, weight = known["old"], known["advantage"], known["weight"]
        if r.surrogate == "reinforce":  # Williams 1992
            return -weight * advantage * logprobs
        low, high = 1 - r.clip[0], 1 + r.clip[1]
        ratio = torch.exp(logprobs - old)
        if r.surrogate == "cispo":  # MiniMax 2025, eq. 4 and 5
            return -weight * ratio.detach().clamp(low, high) * advantage * logprobs
        if r.surrogate == "gspo":  # Zheng et al. 2025, eq. 7, and 4.3 where tokens differ
            sequence = torch.exp((logprobs - old).mean())
            if (weight * advantage).unique().numel() == 1:
                ratio = sequence.expand(len(logprobs))
            else:
                ratio = sequence.detach() * torch.exp(logprobs) / torch.exp(logprobs).detach()
        return -weight * torch.min(ratio * advantage, ratio.clamp(low, high) * advantage)

    def value_errors(self, episode, known):
        """Half the squared error of each act's value, the worse of clipped and not."""
        c, acts = self.r.critic, known["acts"]
        now, old = self.values(episode)[acts], known["value"][acts]
        error = (now - known["return"]) ** 2
        if c.clip is not None:
            clipped = torch.max(torch.min(now, old + c.clip), old - c.clip)
            error = torch.max(error, (clipped - known["return"]) ** 2)
        return error / 2

    def update(self, loss, number):
        """AdamW (Loshchilov and Hutter 2019), with betas 0.9 and 0.95, decay on matrices only."""
        trained = list(self.named_parameters())
        found = torch.autograd.grad(loss, [p for _, p, _ in trained], allow_unused=True)
        gradient = {
            name: torch.zeros_like(p) if g is None else g
            for (name, p, _), g in zip(trained, found, strict=True)
        }
        # the policy, with a head that stands on it, and a critic of its own are clipped apart
        apart = {name for name in gradient if self.trunk is not None and name[:6] != "policy"}
        norms = []
        for names in (gradient.keys() - apart, apart):
            norm = math.sqrt(math.fsum(float((gradient[n] ** 2).sum()) for n in names))
            norms.append(norm)
            for name in names:
                gradient[name] = gradient[name] * min(1.0, self.r.max_norm / (norm + 1e-6))
        self.gradients.append(gradient)
        factor, t = self.r.rates[number], len(self.gradients)
        for name, p, rate in trained:
            g, lr = gradient[name], rate * factor
            zero = torch.zeros_like(p)
            m, v = self.moments.get(name, (zero, zero))
            m, v = 0.9 * m + 0.1 * g, 0.95 * v + 0.05 * g**2
            self.moments[name] = m, v
            with torch.no_grad():
                if p.ndim > 1:
                    p -= lr * self.r.weight_decay * p
                p -= lr * (m / (1 - 0.9**t)) / ((v / (1 - 0.95**t)).sqrt() + 1e-8)
        return norms[0]
