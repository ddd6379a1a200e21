"""Asking a live model: look up in the ledger, claim, ask what is missing within the budget, wait for the others."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from wean.errors import UsageError, WeanError
from wean.llm.answers import CUT, FREE, Answer, Key, Price, Sample, estimate_tokens, key_of
from wean.llm.budget import Budget, BudgetError, Refused, Spending
from wean.llm.ledger import Ledger
from wean.llm.reading import without_thoughts

Progress = Callable[[int, int], None]
"""Called with the number of answers so far and the number wanted."""

# When a budget reserves the cost of an answer without a limit of its own, it is taken to be at most this long.
_UNLIMITED_ANSWER = 4096

_FIRST_POLL, _LONGEST_POLL = 0.01, 0.25  # seconds


class Backend(Protocol):
    """A live model that answers samples; a backend knows nothing of the ledger."""

    name: str
    """The name that the user gave, without secrets."""
    concurrency: int
    """How many `ask` calls may run at once."""
    batch_size: int
    """How many samples one `ask` should get."""
    can_score: bool
    """Whether it answers questions of kind "score"."""
    price: Price | None
    """Price per token; None where unknown."""
    extra: dict[str, Any]
    """Settings of the backend that change its answers; they become part of every question."""

    @property
    def identity(self) -> str:
        """Name and revision, or a digest of local weights; never a path or port."""
        ...

    def ask(self, samples: Sequence[Sample]) -> list[Answer]:
        """Answers all samples, in order, or raises a `WeanError` for all of them."""
        ...

    def close(self) -> None:
        """Releases connections and memory; may be called twice."""
        ...


class LiveAnswers:
    """Answers of one live model: those that the ledger has, and new ones within the budget.

    Raises:
        UsageError: The budget is in dollars and the model's price is unknown.
    """

    def __init__(
        self,
        backend: Backend,
        ledger: Ledger,
        budget: Budget | None = None,
        progress: Progress | None = None,
        refused: Refused | None = None,
    ) -> None:
        if budget is not None and budget.dollars and backend.price is None:
            raise UsageError(
                f"the price of {backend.name} is unknown, so a budget in dollars cannot be kept: add the "
                "price to your prices.yaml (docs/models.md), or give the budget in tokens or calls"
            )
        self.name = backend.name
        self.can_score = backend.can_score
        self.extra = backend.extra
        self.unanswered: dict[Key, dict[str, Any]] = {}
        self.refused = refused or Refused()
        self._backend = backend
        self._ledger = ledger
        self._budget = budget
        self._progress = progress

    @property
    def identity(self) -> str:
        """The model's identity."""
        return self._backend.identity

    @property
    def ledger_name(self) -> str:
        """The model's name in questions: its identity."""
        return self._backend.identity

    def find(self, samples: Sequence[Sample]) -> dict[Key, Answer]:
        """The answer to each sample.

        Raises:
            WeanError: The first failure that retrying could not mend, after all other answers are committed.
        """
        wanted = {key_of(sample): sample for sample in samples}
        found = self._ledger.find(wanted.values())
        missing = [sample for key, sample in wanted.items() if key not in found]
        if not missing:
            return found
        if self._ledger.replay_only:
            self._ledger.note_unanswered(missing, "replay only")
            raise WeanError(
                f"{len(missing)} question(s) to {self.name} are not in the ledger "
                f"{self._ledger.path}, which only replays: run once without replay_only, or see `wean "
                "ledger export --unanswered`"
            )
        if self._budget is not None and self._budget.nothing_allowed:
            self._ledger.note_unanswered(missing, "budget")
            raise BudgetError(
                f"the budget is 0 and {len(missing)} question(s) to {self.name} are not in the "
                "ledger: raise the budget, or see `wean ledger export --unanswered`"
            )
        _Batch(self, missing, found).run(self._backend.concurrency, max(1, self._backend.batch_size))
        return found

    def close(self) -> None:
        """Releases the model's connections and memory."""
        self._backend.close()

    def claim_and_ask(self, samples: Sequence[Sample]) -> tuple[dict[Key, Answer], list[Sample]]:
        """Asks what no other thread or process is asking: (the answers, the samples that others ask)."""
        claimed = self._ledger.claim(samples)
        answers = claimed.answered
        if claimed.mine:
            try:
                answers |= self._ask(claimed.mine)
            except BaseException:
                self._ledger.release(claimed.mine)
                raise
        return answers, claimed.theirs

    def note_failure(self, samples: Sequence[Sample], error: WeanError) -> None:
        """Notes samples that stay without an answer, unless the ledger itself is what failed."""
        try:
            self._ledger.note_unanswered(samples, "budget" if isinstance(error, BudgetError) else str(error))
        except WeanError:
            return

    def report(self, done: int, total: int) -> None:
        """Reports progress to the caller."""
        if self._progress is not None:
            self._progress(done, total)

    def _ask(self, samples: list[Sample]) -> dict[Key, Answer]:
        if self._budget is None:
            return self._commit(samples, self._backend.ask(samples), Spending())
        most = Spending()
        for sample in samples:
            most.add(self._most(sample))
        with self._budget.reserve(most) as actual:
            return self._commit(samples, self._backend.ask(samples), actual)

    def _commit(self, samples: Sequence[Sample], answers: Sequence[Answer], actual: Spending) -> dict[Key, Answer]:
        """Commits answers and fills in their cost; one that was cut off within its thoughts is refused.

        Raises:
            WeanError: There is such a one; the others are committed.
        """
        kept = [(sample, one) for sample, one in zip(samples, answers, strict=True) if not _only_thoughts(one)]
        for _, one in kept:
            actual.add(Spending(1, one.prompt_tokens + one.completion_tokens, one.cost_usd or 0.0))
        found = self._ledger.commit([sample for sample, _ in kept], [one for _, one in kept])
        refused = [one for one in answers if _only_thoughts(one)]
        for one in refused:
            self.refused.add(Spending(0, one.prompt_tokens + one.completion_tokens, one.cost_usd or 0.0), priced=True)
        if refused:
            limit = samples[0][0].parameters.get("max_tokens", "its own limit")
            raise WeanError(
                f"{len(refused)} answer(s) of {self.name} were cut off at max_tokens={limit} before they said anything "
                "but thoughts; raise the option max_tokens"
            )
        return found

    def _most(self, sample: Sample) -> Spending:
        """The most that one sample is taken to cost; three characters a token, to be on the safe side."""
        question = sample[0]
        read = estimate_tokens(question.characters * 4 // 3) + 8 * len(question.messages)
        if question.kind == "score":
            written = sum(estimate_tokens(len(text)) for text in question.parameters["candidates"])
        else:
            written = int(question.parameters.get("max_tokens", _UNLIMITED_ANSWER))
        price = self._backend.price or FREE
        return Spending(1, read + written, price.cost(read, written))


def _only_thoughts(answer: Answer) -> bool:
    return answer.finish_reason == CUT and not without_thoughts(answer.text or "").strip()


class _Batch:
    """Samples being asked: threads take chunks from a queue until it is empty or something fails."""

    def __init__(self, source: LiveAnswers, missing: Sequence[Sample], found: dict[Key, Answer]) -> None:
        self._source = source
        self._queue = deque(missing)
        self._waiting: deque[Sample] = deque()  # others are asking these
        self._found = found
        self._total = len(found) + len(missing)
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._size = 1

    def run(self, concurrency: int, size: int) -> None:
        """Blocks until every sample has its answer; raises the first failure once all threads have ended."""
        self._size = size
        threads = min(concurrency, -(-len(self._queue) // size))
        if threads <= 1:
            self._work()
        else:
            with ThreadPoolExecutor(threads, thread_name_prefix="wean-ask") as pool:
                futures = [pool.submit(self._work) for _ in range(threads)]
                try:
                    for future in futures:
                        future.result()
                except BaseException as error:  # Ctrl-C: commit what is under way, start nothing new
                    self._fail(error)
                    raise
        if self._failure is not None:
            left = [*self._queue, *self._waiting]
            if left and isinstance(self._failure, BudgetError):
                self._source.note_failure(left, self._failure)
            raise self._failure

    def _work(self) -> None:
        poll = _FIRST_POLL
        while chunk := self._take():
            samples, wait = chunk
            if wait:
                time.sleep(poll)
            try:
                answers, theirs = self._source.claim_and_ask(samples)
            except WeanError as error:
                self._source.note_failure(samples, error)
                self._fail(error)
                return
            except BaseException as error:
                self._fail(error)
                if not isinstance(error, Exception):
                    raise
                return
            poll = _FIRST_POLL if answers else min(poll * 1.5, _LONGEST_POLL)
            with self._lock:
                self._found.update(answers)
                self._waiting.extend(theirs)
                done = len(self._found)
            if answers:
                self._source.report(done, self._total)

    def _take(self) -> tuple[list[Sample], bool] | None:
        """The next chunk and whether to wait first; None at the end, and after a failure."""
        with self._lock:
            if self._failure is not None:
                return None
            source = self._queue or self._waiting
            chunk = [source.popleft() for _ in range(min(self._size, len(source)))]
            return (chunk, source is self._waiting) if chunk else None

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self._failure is None:
                self._failure = error
