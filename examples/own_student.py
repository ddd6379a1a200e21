"""A network of one's own as the student: docs/your-own-student.md explains."""

# ruff: noqa: D101, D102, D103
import gymnasium as gym
import torch

import wean


class Wide(wean.Student):
    kind = "wide"

    def __init__(self, size=4, hidden=256, num_actions=2):
        super().__init__({"size": size, "hidden": hidden, "num_actions": num_actions}, hidden, num_actions)
        self.layers = torch.nn.Sequential(torch.nn.Linear(size, hidden), torch.nn.Tanh())

    def features(self, observations):
        return self.layers(observations.float())


def make(**kwargs):
    return gym.make("CartPole-v1", **kwargs)


if __name__ == "__main__":
    env, student = make(), Wide()
    wean.check_student(student, env.observation_space, env.action_space)
    run = wean.train("ppo", make, student=student, total_timesteps=30_000, out="runs/own-student")
    print(run.summary["final"]["return"])
