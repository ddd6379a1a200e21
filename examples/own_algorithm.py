"""A learning rule of one's own, REINFORCE: docs/your-own-algorithm.md explains."""

# ruff: noqa: D101, D102, D103
from typing import ClassVar

import gymnasium as gym
import torch
from pydantic import BaseModel

import wean


class ReinforceConfig(BaseModel):
    total_timesteps: int = 20_000
    """Environment steps."""
    learning_rate: float = 0.005
    """Adam's step size."""
    num_envs: ClassVar[int] = 1
    guidance: ClassVar[str] = "advice"


class Reinforce(wean.Algorithm):
    Config, unit, done, total = ReinforceConfig, "env_steps", 0, 0

    def __init__(self, student, tasks, config, guide=None, seed=0):
        self.student, self.tasks, self.total = student, tasks, config.total_timesteps
        self.optimizer = torch.optim.Adam(student.parameters(), config.learning_rate)

    def learn(self, on_update=None):
        episode, mean = 0, 0.0
        while self.done < self.total:
            observation, logs, rewards, over = self.tasks.reset([0], [episode % 5000])[0], [], [], False
            while not over:
                seen = torch.as_tensor(observation)[None, None]
                logits, _, _ = self.student(seen, self.student.first_state(1), torch.ones(1, 1, dtype=torch.bool))
                policy = torch.distributions.Categorical(logits=logits[0, 0])
                action = policy.sample()
                step = self.tasks.step([0], [int(action)])
                observation, over = step.observations[0], bool(step.terminated[0] or step.truncated[0])
                logs.append(policy.log_prob(action))
                rewards.append(float(step.rewards[0]))
            to_go = torch.tensor(rewards).flip(0).cumsum(0).flip(0)
            mean = 0.95 * mean + 0.05 * float(to_go.mean())
            loss = -(torch.stack(logs) * (to_go - mean)).mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.done, episode = self.done + len(rewards), episode + 1
            if on_update:
                on_update(wean.Update(self.done, {"rollout/ep_rew_mean": sum(rewards)}))


METHOD = wean.Method("reinforce", "Monte-Carlo policy gradient", "Williams 1992", Reinforce, teaches=False)


def make(**kwargs):
    return gym.make("CartPole-v1", **kwargs)


if __name__ == "__main__":
    run = wean.train(METHOD, make, total_timesteps=20_000, out="runs/own-algorithm")
    print(run.summary["final"]["return"])
