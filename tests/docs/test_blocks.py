"""Every command and snippet of README and docs runs as it stands, in the order of its page, in an empty folder.

Runs are short: `$WEAN_SETTINGS` holds their budgets, and explicit numbers above those are replaced by `SHORTER`. What
is not run stands in `SKIPPED` with its reason, or in `ELSEWHERE` with the test that runs it.
"""

import io
import re
import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import wean
from wean.cli import main
from wean.lm import packages

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SETTINGS = (
    "total_timesteps=256 num_envs=4 num_steps=16 gradient_steps=20 learning_starts=64 evaluation.episodes=4 "
    "evaluation.curve_points=1 evaluation.curve_episodes=2 evaluation.recorded_episodes=1 student.hidden=16"
)
SHORTER = (
    (r"\btotal_timesteps=\d[\d_]*", "total_timesteps=256"),
    (r"--episodes \d+", "--episodes 10"),
    (r"--per-task \d+", "--per-task 1"),
    (
        r"^wean train subgoals model=scratch --out",
        "wean train subgoals model=scratch data=scienceworld num_epochs=0.02 hidden=32 layers=1 heads=2 vocabulary=400 "
        "measurements=1 dev_share=0.02 swap_entities=0 inject_mistakes=0 drop_distractors=0 --out",
    ),
    (r"^wean (demos|eval)(?!.*(--episodes|--variations|--per-task|scienceworld))", r"wean \1 --episodes=10"),
)
"""What is made shorter than it stands: patterns and what replaces them."""
SKIPPED = {
    r"wean sweep": "starts processes; tests/experiment/test_sweep.py and tests/test_cluster.py sweep",
    r"^git clone|^make |^pip install|^python3? -m venv": "installs, or needs a checkout",
    r"openai:|localhost:": "needs a key or a server",
    r"wean (demos|eval) .*scienceworld": "needs Java",
    r"train subgoals (?!model=scratch --out)|wean practise": "takes minutes however small the student is; README's "
    "and tests/cli/test_practise.py do the same with few demonstrations",
    r"paths\.parquet|demos\.parquet|short\.parquet": "goes on from what needs Java",
    r"hf:smollm2|models get smollm2": "needs a language model of 93 MB",
    r"corrections\.jsonl": "needs what a person saved on the page",
    r"minari:": "writes among the user's own data sets; tests/evaluation/test_minari.py goes there and back",
    r"data import log": "needs the reader's own log; tests/evaluation/test_minari.py imports one",
    r"annotate demos\.jsonl": "needs the reader's own demonstrations",
    r"ledger (stats|export|import)": "needs answers of a live model",
    r"TextWorldCoin --policy random --workers 2": "processes of TextWorld take long to begin",
    r"--policy runs/": "goes on from a run of another page",
    r"wean (serve|gateway)": "runs until it is stopped; tests/serving serves",
    r"gateway.sqlite": "needs the log of a gateway",
    r"data=decisions": "goes on from that log",
    r"own_environment": "test_own_environment.py runs it",
}
"""Commands that are not run, with the reason."""
ELSEWHERE = {
    "docs/annotation.md": "test_annotation_docs.py",
    "docs/data.md": "test_data_page.py",
    "docs/deploy.md": "needs an environment with wean-runtime alone; tests/runtime acts with exported students",
    "docs/local-models.md": "needs a language model of 93 MB",
    "docs/tasks/doorkey.md": "test_doorkey_page.py",
    "docs/tasks/minigrid.md": "test_stock_minigrid.py",
    "docs/tasks/scienceworld.md": "needs Java",
    "docs/tutorial.md": "test_site.py",
    "docs/your-own-algorithm.md": "test_own_parts.py",
    "docs/your-own-environment.md": "test_own_environment.py",
    "docs/your-own-method.md": "test_own_parts.py",
    "docs/your-own-student.md": "test_own_parts.py",
    "docs/your-own-teacher.md": "test_own_parts.py",
}
"""Pages whose Python snippets are run by another test, or why they are not."""


def blocks(page: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a page: language and text."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    """The commands of a block, one a line; a block without any is output."""
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    found = [part.strip() for line in lines for part in re.sub(r"\s+#\s.*", "", line).split(" && ")]
    return [part for part in found if re.match(r"(wean|python|pip|git|make) ", part)]


def reason(command: str, page: str = "") -> str:
    """Why a command is not run; empty for one that is."""
    if page == "docs/annotation.md":
        return "README's block annotates the same demonstrations"
    if re.search(r"models get minilm|dqn|cql|offline-bc|distill", command) and not packages.installed("minilm"):
        return "needs minilm, which is not in the cache here"
    return next((why for pattern, why in SKIPPED.items() if re.search(pattern, command)), "")


def run(command: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a command in this process, as a shell would; returns what it printed."""
    for pattern, shorter in SHORTER:
        command = re.sub(pattern, shorter, command)
    words = [
        str(path) for word in shlex.split(command) for path in (sorted(Path().glob(word)) if "*" in word else [word])
    ]
    monkeypatch.setattr(sys, "argv", words)
    with redirect_stdout(io.StringIO()) as printed, pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0, command
    return printed.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_blocks_of_a_page_run_in_their_order(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = page.relative_to(ROOT).as_posix()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEAN_SETTINGS", SETTINGS)
    train = wean.train
    few = {"total_timesteps": 256, "evaluation": {"episodes": 4, "curve_points": 1, "curve_episodes": 2}}
    monkeypatch.setattr(wean, "train", lambda *words, **settings: train(*words, **(settings | few)))
    ran, known = 0, {"__name__": "__main__"}
    for language, text in blocks(page):
        if language == "python" and name not in ELSEWHERE:
            exec(re.sub(r"\bepisodes=\d+", "episodes=5", text), known)
            ran += 1
        for command in commands(text) if language in ("", "bash", "sh") else ():
            if not reason(command, name):
                run(command, monkeypatch)
                ran += 1
    if not ran:
        pytest.skip(ELSEWHERE.get(name, "nothing on this page is run here"))


def test_what_is_not_run_has_a_reason_that_applies() -> None:
    written = [
        command
        for page in PAGES
        for language, text in blocks(page)
        if language != "python"
        for command in commands(text)
    ]
    for pattern in SKIPPED:
        assert any(re.search(pattern, command) for command in written), pattern
    assert set(ELSEWHERE) <= {page.relative_to(ROOT).as_posix() for page in PAGES}
    assert sum(not reason(command) for command in written) >= 25
