"""A function as the teacher: docs/your-own-teacher.md explains."""
# ruff: noqa: D103

import wean


def advise(situations):
    """For each new situation plans, in the words of its choices, with their probabilities."""
    return [plans(situation.text) for situation in situations]


def plans(text):
    if "seen a key" in text and "holds nothing" in text:
        return {"go to key, pick up key": 1.0}
    if "seen a door" in text and "holds a key" in text:
        return {"go to door, open door": 0.9, "explore": 0.1}
    return {"explore": 1.0}


if __name__ == "__main__":
    teacher = wean.Teacher(advise)
    print(wean.evaluate(teacher, "SimpleDoorKey", episodes=50).success)
    run = wean.train("llm4teach", "SimpleDoorKey", teacher=teacher, total_timesteps=40_000, out="runs/own-teacher")
    print(run.summary["final"]["success"])
