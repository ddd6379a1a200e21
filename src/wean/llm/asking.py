"""From questions to answers: look up, claim, ask what is left live, and wait for what others are asking."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from wean.errors import WeanError
from wean.llm.answers import Answer
from wean.llm.backends.backend import Backend
from wean.llm.budget import Budget, BudgetError, Spending
from wean.llm.ledger import Ledger
from wean.llm.prices import FREE
from wean.llm.question import Key, Sample, estimate_tokens, key_of

Progress = Callable[[int, int], None]

# An answer without a limit of its own is taken to be at most this long when a budget sets its cost aside.
_UNLIMITED_ANSWER = 4096

_FIRST_POLL, _LONGEST_POLL = 0.01, 0.25  # seconds


class Asker:
    """Asks one live model through one ledger.

    Args:
        ledger: Where answers are looked up and kept.
        backend: The live model.
        budget: Limits, or None.
        progress: Called with (answers there, answers wanted) as they come in.
    """

    def __init__(
        self, ledger: Ledger, backend: Backend, budget: Budget | None = None, progress: Progress | None = None
    ) -> None:
        self._ledger = ledger
        self._backend = backend
        self._budget = budget
        self._progress = progress

    def answers(self, samples: Sequence[Sample]) -> dict[Key, Answer]:
        """Answers all samples; those that the ledger knows are not asked.

        Raises:
            WeanError: The first thing that could not be mended by trying again; the answers of all other
                samples that were under way are committed first.
        """
        wanted = {key_of(sample): sample for sample in samples}
        found = self._ledger.find(wanted.values())
        missing = [sample for key, sample in wanted.items() if key not in found]
        if not missing:
            return found
        if self._ledger.replay_only:
            self._ledger.note_unanswered(missing, "replay only")
            raise WeanError(
                f"{len(missing)} question(s) to {self._backend.name} are not in the ledger "
                f"{self._ledger.path}, which only replays: run once without replay_only, or see `wean "
                "ledger export --unanswered`"
            )
        if self._budget is not None and self._budget.nothing_allowed:
            self._ledger.note_unanswered(missing, "budget")
            raise BudgetError(
                f"the budget is 0 and {len(missing)} question(s) to {self._backend.name} are not in the "
                "ledger: raise the budget, or see `wean ledger export --unanswered`"
            )
        flight = _Flight(self, missing, found)
        flight.run()
        return found

    def claim_and_ask(self, samples: Sequence[Sample]) -> tuple[dict[Key, Answer], list[Sample]]:
        """Answers what nobody else is asking; returns the answers, and the samples that others ask."""
        claimed = self._ledger.claim(samples)
        answers = claimed.answered
        if claimed.mine:
            unfinished = claimed.mine
            try:
                with_costs = self._ask_live(claimed.mine)
                unfinished = []
            finally:
                if unfinished:
                    self._ledger.release(unfinished)
            answers |= with_costs
        return answers, claimed.theirs

    def _ask_live(self, samples: list[Sample]) -> dict[Key, Answer]:
        if self._budget is None:
            return self._ledger.commit(samples, self._backend.ask(samples))
        most = Spending()
        for sample in samples:
            most.add(self._most(sample))
        with self._budget.set_aside(most) as actual:
            replies = self._backend.ask(samples)
            actual.calls = len(replies)
            actual.tokens = sum(reply.prompt_tokens + reply.completion_tokens for reply in replies)
            actual.dollars = sum(reply.cost_usd or 0.0 for reply in replies)
            return self._ledger.commit(samples, replies)

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

    def note_failure(self, samples: Sequence[Sample], reason: str) -> None:
        """Notes samples that stay without an answer, unless the ledger itself is what failed."""
        try:
            self._ledger.note_unanswered(samples, reason)
        except WeanError:
            return

    @property
    def backend(self) -> Backend:
        """The live model."""
        return self._backend

    def report(self, done: int, total: int) -> None:
        """Tells the caller how far it is."""
        if self._progress is not None:
            self._progress(done, total)


class _Flight:
    """One batch on its way: threads that take chunks from a queue until it is empty or something fails."""

    def __init__(self, asker: Asker, missing: Sequence[Sample], found: dict[Key, Answer]) -> None:
        self._asker = asker
        self._queue = deque(missing)
        self._waiting: deque[Sample] = deque()  # others are asking these
        self._found = found
        self._total = len(found) + len(missing)
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._batch = max(1, asker.backend.batch_size)

    def run(self) -> None:
        """Blocks until every sample has its answer; raises the first failure once all threads landed."""
        threads = min(self._asker.backend.concurrency, -(-len(self._queue) // self._batch))
        if threads <= 1:
            self._work()
        else:
            with ThreadPoolExecutor(threads, thread_name_prefix="wean-ask") as pool:
                futures = [pool.submit(self._work) for _ in range(threads)]
                try:
                    for future in futures:
                        future.result()
                except BaseException as error:  # Ctrl-C: let what is under way land and be committed, start nothing.
                    self._fail(error)
                    raise
        if self._failure is not None:
            left = [*self._queue, *self._waiting]
            if left and isinstance(self._failure, BudgetError):
                self._asker.note_failure(left, "budget")
            raise self._failure

    def _work(self) -> None:
        poll = _FIRST_POLL
        while chunk := self._take():
            samples, wait = chunk
            if wait:
                time.sleep(poll)
            try:
                answers, theirs = self._asker.claim_and_ask(samples)
            except BaseException as error:
                if isinstance(error, WeanError):
                    reason = "budget" if isinstance(error, BudgetError) else str(error)
                    self._asker.note_failure(samples, reason)
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
                self._asker.report(done, self._total)

    def _take(self) -> tuple[list[Sample], bool] | None:
        """The next chunk and whether to wait first; None at the end, and after a failure."""
        with self._lock:
            if self._failure is not None:
                return None
            source = self._queue or self._waiting
            chunk = [source.popleft() for _ in range(min(self._batch, len(source)))]
            return (chunk, source is self._waiting) if chunk else None

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self._failure is None:
                self._failure = error
