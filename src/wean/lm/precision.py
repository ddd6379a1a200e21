"""Whether this processor multiplies bfloat16 matrices faster than float32 ones."""

from __future__ import annotations

import time
from functools import cache

import torch
from torch.nn import functional

WORTH = 1.3
"""Least speed-up for which bfloat16 is used."""


@cache
def halves_speedup() -> float:
    """How many times as fast this processor multiplies bfloat16 matrices as float32 ones; measured once.

    It depends on more than what the processor can do: AMX is 6 times as fast, AVX-512's bfloat16 2 to 3 times; without
    either the products are emulated, and slower. The first product of each sort is not counted.
    """
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        one, two = torch.ones(512, 576, dtype=dtype), torch.ones(1536, 576, dtype=dtype)
        took = []
        for _ in range(6):
            started = time.thread_time()  # of this thread alone: on a busy machine it waits for others
            functional.linear(one, two)
            took.append(time.thread_time() - started)
        seconds[dtype] = min(took[1:])
    return seconds[torch.float32] / seconds[torch.bfloat16]
