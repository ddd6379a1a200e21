"""How fast are candidate answers scored? SmolLM2-135M, ratios within one run.

    wean models get smollm2-135m
    python benchmarks/scoring.py [--quick] [--json] [--save]

Ways that are compared, all on the same tokens:

calls   one ordinary pass over prompt and candidate for each candidate
batch   one batch of all prompts with their candidates, padded on the right; the head runs on the answers only
copied  the prompt once, its cache copied for each candidate, candidates as padded rows (`strategy="rows"`)
flat    the prompt once, the candidates side by side in one row behind it, nothing shared among them
trie    the prompt once, the trie of the candidates behind it: what `LocalModel.score` does, tokenisation included

Both `copied` and `flat` share the prompt without a trie: the first is how libraries do it, the second is the trie's own
code without the sharing.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from harness import MEASURED_ANEW, finish, hardware, options
from wean.errors import WeanError
from wean.lm import LocalModel, load_model
from wean.lm.prompts import Question
from wean.lm.scoring import Scorer, log_probability, plain_log_probabilities, score_rows
from wean.lm.trie import ROOT, TokenTrie

RULES = (
    "You are an agent in a small house with several rooms. Doors may be closed; a closed door opens with the key of "
    "its colour. You carry at most one thing at a time, and you must put it down before you take another. You see "
    "only the room that you are in. Think about what the goal needs first, and what stands in the way of it. Do not "
    "repeat an action that changed nothing. "
)
SIGHT = (
    "You are in the {room}. You see a red key on a small table, a blue door to the north that is closed, a green box "
    "beside the window, and a lamp. You carry nothing. Earlier you went to the hall, looked at the blue door and came "
    "back. "
)
SHARING = [
    f"{verb} {thing}"
    for verb in ("go to", "pick up", "look inside", "put down")
    for thing in (
        "the red key",
        "the blue door",
        "the green box",
        "the kitchen table",
        "the old lamp",
        "the window",
    )
]
APART = [
    "open the blue door slowly now", "take the red key from table", "walk back to the hall", "read the note on wall",
    "push that green box away gently", "drop everything you are carrying", "ask someone nearby for some help",
    "wait until morning comes again", "switch off this bright lamp", "climb through a narrow window",
    "knock three times very loudly", "hide behind these long curtains", "search under every single cushion",
    "sit down and rest awhile", "clean both dirty kitchen plates", "lock yourself inside the bathroom",
    "unlock another door with it", "examine strange marks more closely", "throw away useless old papers",
    "fill one glass with water", "heat up soup for dinner", "call out your own name", "measure how tall it stands",
    "leave right away without looking",
]  # fmt: skip
# As in ScienceWorld, actions on two things are most of the list.
ONE_THING = (
    "activate", "close", "deactivate", "disconnect", "eat", "flush", "focus on", "go to", "look at", "look in", "mix",
    "open", "pick up", "put down", "read",
)  # fmt: skip
TWO_THINGS = ("connect {} to {}", "dunk {} in {}", "move {} to {}", "pour {} into {}", "use {} on {}")
THINGS = (
    "metal pot", "glass jar", "stove", "thermometer in inventory", "wood cupboard", "freezer", "red light bulb",
    "bee hive",
)  # fmt: skip
SCIENCE = [f"{verb} {thing}" for verb in ONE_THING for thing in THINGS] + [
    form.format(one, other) for form in TWO_THINGS for one in THINGS for other in THINGS if one != other
]


def messages(room: str = "living room", sights: int = 1) -> list[dict[str, str]]:
    """A request: rules that every situation shares, then what is seen in this one, `sights` times."""
    repeated = SIGHT.format(room=room) * sights
    return [{"role": "user", "content": f"{RULES}{repeated}What do you do next? Answer with one action."}]


def by_calls(model: LocalModel, question: Question) -> list[float]:
    """One pass for each candidate."""
    with torch.inference_mode():
        return plain_log_probabilities(model.model, question)


def by_batch(model: LocalModel, question: Question) -> list[float]:
    """One batch of full strings."""
    rows = [[*question.prompt, *answer] for answer in question.answers]
    width = max(map(len, rows))
    pad = model.tokenizer.pad_token_id
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    before = len(question.prompt) - 1
    with torch.inference_mode():
        logits = model.model(input_ids=ids, attention_mask=mask, logits_to_keep=width - before).logits
        totals = []
        for row, answer in zip(logits, question.answers, strict=True):
            totals.append(sum(log_probability(row, range(len(answer)), answer)))
    return totals


def by_copied(model: LocalModel, question: Question) -> list[float]:
    """The prompt once, its cache copied."""
    with torch.inference_mode():
        return score_rows(model.model, question)[0]


class FlatTrie(TokenTrie):
    """A trie that shares the prompt and nothing else: what is left when the trie is taken out of the method."""

    def insert(self, tokens: Any, parent: int = ROOT) -> list[int]:
        """Forget the nodes behind the prompt, so that the next candidate makes its own."""
        if parent != ROOT:
            self._index = {}
        return super().insert(tokens, parent)


def by_flat(model: LocalModel, question: Question) -> list[float]:
    """The prompt once, nothing else shared."""
    trie = FlatTrie()
    stem = trie.insert(question.prompt)[-1]
    paths = [trie.insert(answer, stem) for answer in question.answers]
    with torch.inference_mode():
        found = Scorer(model.model, "tree").run_tree(trie, {node for path in paths for node in path})
    return [sum(found[node] for node in path) for path in paths]


def rounds(ways: dict[str, Callable[[], Any]], repeats: dict[str, int]) -> dict[str, list[float]]:
    """Time each way, one after the other in every round, so that other load on the machine meets all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(max(repeats.values())):
        for name, way in ways.items():
            if turn < repeats[name]:
                start = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - start)
                print(f"  {name}: {seconds[name][-1]:.2f} s", file=sys.stderr, flush=True)
    return seconds


def compare(
    model: LocalModel,
    candidates: list[str],
    request: list[dict[str, str]],
    repeats: dict[str, int],
    *,
    end_of_turn: bool = True,
) -> dict[str, Any]:
    """Score one list in several ways; times, ratios and differences."""
    question = model.prompts.question(request, candidates, end_of_turn=end_of_turn)
    known: dict[str, Callable[[], list[float]]] = {
        "calls": lambda: by_calls(model, question),
        "batch": lambda: by_batch(model, question),
        "copied": lambda: by_copied(model, question),
        "flat": lambda: by_flat(model, question),
        "trie": lambda: model.score(request, candidates, end_of_turn=end_of_turn),
    }
    values: dict[str, list[float]] = {}

    def keep(name: str) -> Callable[[], None]:
        def run() -> None:
            values[name] = known[name]()

        return run

    known["trie"]()
    tokens_by_trie = model.scorer.nodes_run
    seconds = rounds({name: keep(name) for name in repeats}, repeats)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    sizes = [len(answer) for answer in question.answers]
    stem = len(question.prompt)
    return {
        "candidates": len(candidates),
        "end_of_turn": end_of_turn,
        "prompt_tokens": stem,
        "candidate_tokens_mean": round(statistics.mean(sizes), 2),
        "tokens_run": {
            "batch": len(candidates) * (stem + max(sizes)),
            "flat": stem + sum(size - 1 for size in sizes),
            "trie": tokens_by_trie,
        },
        "seconds_median": {name: round(value, 4) for name, value in median.items()},
        "seconds_all": {name: [round(value, 4) for value in times] for name, times in seconds.items()},
        # The ratio within each round, since other load changes from round to round.
        "times_faster_than": {
            name: round(statistics.median(a / b for a, b in zip(times, seconds["trie"], strict=False)), 2)
            for name, times in seconds.items()
            if name != "trie"
        },
        "largest_difference": {
            name: max(abs(a - b) for a, b in zip(values[name], values["trie"], strict=True))
            for name in values
            if name != "trie"
        },
    }


def shared_beginning(model: LocalModel, repeats: int) -> dict[str, Any]:
    """Four situations under the same rules: together against one after the other."""
    requests = [messages(room, 1) for room in ("kitchen", "hall", "cellar", "garden")]
    lists = [SHARING] * len(requests)
    seconds = rounds(
        {
            "one_by_one": lambda: [model.score(r, c) for r, c in zip(requests, lists, strict=True)],
            "together": lambda: model.score_batch(requests, lists),
        },
        {"one_by_one": repeats, "together": repeats},
    )
    apart = [model.score(r, c) for r, c in zip(requests, lists, strict=True)]
    together = model.score_batch(requests, lists)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    return {
        "requests": len(requests),
        "seconds_median": {name: round(value, 4) for name, value in median.items()},
        "times_faster": round(median["one_by_one"] / median["together"], 2),
        "largest_difference": max(
            abs(a - b) for x, y in zip(apart, together, strict=True) for a, b in zip(x, y, strict=True)
        ),
    }


def measured_on(before: tuple[float, float, float]) -> dict[str, Any]:
    """The machine, and what else ran there."""
    return hardware("torch") | {
        "torch_threads": torch.get_num_threads(),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "default"),
        "load_before": [round(x, 2) for x in before],
        "load_after": [round(x, 2) for x in os.getloadavg()],
    }


def measure(quick: bool, threads: int) -> dict[str, Any]:
    """The results of everything."""
    torch.set_num_threads(threads)
    start = time.perf_counter()
    model = load_model("smollm2-135m", device="cpu")
    loading = time.perf_counter() - start
    slow, fast = (1, 3) if quick else (3, 7)
    request = messages(sights=5)
    results: dict[str, Any] = {
        "quick": quick,
        "model": model.identity,
        "load_seconds": round(loading, 2),
        "small_list": compare(
            model,
            SHARING,
            request,
            {"calls": slow, "batch": slow, "copied": fast, "flat": fast, "trie": fast},
        ),
        "small_list_nothing_shared": compare(model, APART, request, {"batch": slow, "flat": fast, "trie": fast}),
        "large_list": compare(model, SCIENCE, request, {"copied": slow, "flat": fast, "trie": fast}),
        "large_list_without_end": compare(
            model, SCIENCE, request, {"copied": slow, "flat": fast, "trie": fast}, end_of_turn=False
        ),
        "shared_beginning": shared_beginning(model, fast),
    }
    results["targets"] = targets(results)
    return results


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        f"Model {results['model']}, loaded in {results['load_seconds']} s. Medians; each ratio is the median of the "
        "rounds' ratios.",
        "",
        "| list | way | tokens run | seconds | `trie` is faster by | largest difference of log-probabilities |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for key in ("small_list", "small_list_nothing_shared", "large_list", "large_list_without_end"):
        part = results[key]
        notes = ", nothing shared" if key.endswith("shared") else ""
        notes += "" if part["end_of_turn"] else ", end of turn not scored"
        about = f"{part['candidates']} × {part['candidate_tokens_mean']} tokens behind {part['prompt_tokens']}{notes}"
        for way, seconds in part["seconds_median"].items():
            ratio, gap = part["times_faster_than"].get(way), part["largest_difference"].get(way)
            more = f"{ratio:.2f} | {gap:.1e}" if way != "trie" else "|"
            lines.append(f"| {about} | {way} | {part['tokens_run'].get(way, '')} | {seconds:.3f} | {more} |")
    part = results["shared_beginning"]
    lines += [
        "",
        f"{part['requests']} situations under the same rules, {len(SHARING)} candidates each: together "
        f"{part['seconds_median']['together']:.3f} s, one by one {part['seconds_median']['one_by_one']:.3f} s "
        f"({part['times_faster']:.2f} times; largest difference {part['largest_difference']:.1e}).",
        "",
        "`calls`: one pass for each candidate. `batch`: one batch of full prompts. `copied`: the prompt once, its "
        "cache copied for each candidate. `flat`: the prompt once, the candidates side by side behind it. `trie`: "
        "what `LocalModel.score` does.",
        "",
        "`copied` and `flat` both share the prompt without a trie. A processor has work with every token, so what "
        "`trie` can gain over `flat` is bounded by the tokens that it saves: "
        f"{_saved(results['large_list'])} on the long list, {_saved(results['large_list_without_end'])} where the "
        "end of the turn is not scored and the last token of a candidate need not be run.",
        "",
        *(f"Target: {target['what']}: {target['found']:.2f}, {_verdict(target)}  " for target in results["targets"]),
        "",
    ]
    return "\n".join(lines)


def targets(results: dict[str, Any]) -> list[dict[str, Any]]:
    """What this room promised, beside what was measured in this run."""
    small, large = results["small_list"], results["large_list"]
    open_end = results["large_list_without_end"]
    rows = [
        ("small list, times faster than one batch of full prompts", 12, small["times_faster_than"]["batch"]),
        ("long list, times faster than the shared prompt, cache copied", 2, large["times_faster_than"]["copied"]),
        ("long list, times faster than the shared prompt, one row", 2, large["times_faster_than"]["flat"]),
        ("the same, end of turn not scored", 2, open_end["times_faster_than"]["flat"]),
    ]
    return [
        {"what": what, "wanted": wanted, "found": found, "reached": found >= wanted} for what, wanted, found in rows
    ]


def _verdict(target: dict[str, Any]) -> str:
    return f"{'reached' if target['reached'] else 'missed'} (at least {target['wanted']})"


def _saved(part: dict[str, Any]) -> str:
    return f"{part['tokens_run']['flat'] / part['tokens_run']['trie']:.2f} times"


def main() -> None:
    """Parses, measures, prints."""
    parser = options(__doc__, MEASURED_ANEW)
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    arguments = parser.parse_args()
    load = os.getloadavg()
    try:
        results = measure(arguments.quick, arguments.threads)
    except WeanError as error:
        sys.exit(f"scoring: {error}")
    finish("scoring", measured_on(load), results, table(results), arguments)


if __name__ == "__main__":
    main()
